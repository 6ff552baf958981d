// The field to search, and below it what was found; while nothing is looked for, what else stands there.

import { html, useRef } from "../../vendor/htm-preact.js";
import { useObserved } from "../../observable.js";
import { FoundList } from "./found_list.js";
import { SearchField } from "./search_field.js";

/**
 * `onOpen` opens the conversation of a message at that message; `children` are what stands there else.
 * @param {{account: import("../../mail/account.js").Account, onOpen: (message: import("../../mail/search.js").Message) => void,
 *   children?: any}} props
 */
export function Finder({ account, onOpen, children }) {
  const { search } = account;
  useObserved(search);
  const field = useRef(/** @type {any} */ (null));
  const list = useRef(/** @type {any} */ (null));
  return html`
    <${SearchField} search=${search} field=${field} onDown=${() => list.current?.querySelector("[tabindex='0']")?.focus()} />
    ${search.isOn ? html`<${FoundList} account=${account} list=${list} onOpen=${onOpen} onUp=${() => field.current.focus()} />` : children}
  `;
}
