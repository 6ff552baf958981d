// Where one writes what one looks for, above the list. Escape clears it, an arrow goes down to what was found.

import { html } from "../../vendor/htm-preact.js";
import { isComposing } from "../../keys.js";

/** The API's limit of what is looked for. */
const MOST_CHARACTERS = 256;

/** @param {{search: import("../../mail/search.js").Search, field: {current: any}, onDown: () => void}} props */
export function SearchField({ search, field, onDown }) {
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (isComposing(event)) return;
    if (event.key === "Escape") search.clear();
    else if (event.key === "ArrowDown" && search.hits.length > 0) onDown();
    else return;
    event.preventDefault();
  };
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    search.look();
  };
  return html`
    <form class="search" role="search" aria-label="Messages" onSubmit=${submit}>
      <input ref=${field} type="search" aria-label="Search messages" placeholder="Search messages" enterkeyhint="search" autocomplete="off"
        spellcheck=${false} maxlength=${MOST_CHARACTERS} value=${search.text} onKeyDown=${onKeyDown}
        onInput=${(/** @type {any} */ event) => search.write(event.target.value)} />
      <p class=${search.isOn ? "soft" : "unseen"} role="status">${search.isOn && statusOf(search)}</p>
    </form>
  `;
}

/** @param {import("../../mail/search.js").Search} search */
function statusOf({ failure, isBusy, isComplete, hits, hasMore, asked, text }) {
  if (failure) return `${failure}.`;
  const count = hits.length === 1 ? "1 message" : `${hits.length}${hasMore ? " or more" : ""} messages`;
  const found = hits.length === 0 ? "Nothing found" : `${count} found`;
  if (isBusy && asked !== text.trim()) return "Searching…";
  return isComplete ? `${found}.` : `${found} so far. Older messages are being looked through…`;
}
