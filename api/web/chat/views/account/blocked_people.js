// Whom the user blocks, and how that is ended.

import { html, useRef, useState } from "../../vendor/htm-preact.js";
import { useObserved } from "../../observable.js";
import { Avatar } from "../avatar.js";

/** @param {{blocks: import("../../mail/user/blocks.js").Blocks, nameOf: import("../../mail/user/names.js").NameOf}} props */
export function BlockedPeople({ blocks, nameOf }) {
  useObserved(blocks);
  const heading = useRef(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {?string} */ (null));
  const end = async (/** @type {string} */ userId) => {
    heading.current.focus(); // the button goes
    setProblem(await blocks.unblock(userId));
  };
  if (!blocks.users?.size) return null;
  return html`
    <section class="blocked" aria-label="Blocked people">
      <h3 ref=${heading} tabindex="-1">Blocked people</h3>
      <p class="problem" role="alert">${problem && `${problem}.`}</p>
      <ul>
        ${[...blocks.users].map(
          (userId) => html`
            <li key=${userId}>
              <${Avatar} peer=${userId} title=${nameOf(userId)} />
              <span class="name"><bdi>${nameOf(userId)}</bdi>${nameOf(userId) !== userId && html` <span class="soft id">${userId}</span>`}</span>
              <button type="button" aria-label=${`Unblock ${nameOf(userId)}`} onClick=${() => void end(userId)}>Unblock</button>
            </li>
          `,
        )}
      </ul>
    </section>
  `;
}
