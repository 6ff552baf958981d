// The messages that were found, in the place of the conversations: one stop of the Tab key, and arrows between them.

import { html, useState } from "../../vendor/htm-preact.js";
import { excerptOf } from "../../found.js";
import { briefTime, fullTime, isoTime } from "../../time.js";
import { Avatar } from "../avatar.js";

/** @type {Record<string, (at: number, last: number) => number>} */
const STEPS = { ArrowDown: (at) => at + 1, ArrowUp: (at) => at - 1, Home: () => 0, End: (_, last) => last };

/**
 * `onOpen` opens the conversation of a message at that message; `onUp` is called where one leaves the list upwards.
 * @param {{account: import("../../mail/account.js").Account, onOpen: (message: import("../../mail/search.js").Message) => void,
 *   list: {current: any}, onUp: () => void}} props
 */
export function FoundList({ account, list, onOpen, onUp }) {
  const { search } = account;
  const [usedId, setUsedId] = useState(/** @type {?string} */ (null));
  const ids = search.hits.map(({ messageId }) => messageId);
  const stop = usedId !== null && ids.includes(usedId) ? usedId : ids[0];
  const onKeyDown = (/** @type {any} */ event) => {
    const isUp = event.key === "ArrowUp" && stop === ids[0] && event.target.matches(".conversation");
    const step = STEPS[event.key];
    if (isUp) onUp();
    else if (event.key === "Escape") {
      search.clear();
      onUp();
    } else if (step) {
      const last = ids.length - 1;
      const at = Math.max(0, Math.min(last, step(ids.indexOf(stop), last)));
      event.currentTarget.querySelectorAll("button.conversation")[at]?.focus();
    } else return;
    event.preventDefault();
  };
  return html`
    <nav class="conversations" aria-label="Found messages" ref=${list} onKeyDown=${onKeyDown}>
      <ul>
        ${search.hits.map(
          (message) => html`
            <${Hit} key=${message.messageId} account=${account} message=${message} isStop=${message.messageId === stop}
              onOpen=${() => onOpen(message)} onFocus=${() => setUsedId(message.messageId)} />
          `,
        )}
      </ul>
      ${search.failure && search.canRetry && html`<button type="button" class="more" onClick=${() => search.look()}>Try again</button>`}
      ${search.hasMore && html`<button type="button" class="more" disabled=${search.isBusy} onClick=${() => void search.loadMore()}>Show more</button>`}
    </nav>
  `;
}

/**
 * @param {{account: import("../../mail/account.js").Account, message: import("../../mail/search.js").Message, isStop: boolean,
 *   onOpen: () => void, onFocus: () => void}} props
 */
function Hit({ account: { userId, inbox, names, search, thread }, message, isStop, onOpen, onFocus }) {
  const { senderId, sentTimestamp, messageContent, messageId } = message;
  const { peer, title, isGroup } = inbox.placeOf(message);
  const from = senderId === userId && peer !== userId ? "You" : isGroup ? names.of(senderId) : null;
  const isOpen = thread?.sought?.messageId === messageId;
  return html`
    <li>
      <button type="button" class="conversation" aria-current=${isOpen ? "true" : null} tabindex=${isStop ? 0 : -1} onClick=${onOpen} onFocus=${onFocus}>
        <${Avatar} peer=${peer} title=${title} />
        <bdi class="name">${title}</bdi>
        <time datetime=${isoTime(sentTimestamp)} title=${fullTime(sentTimestamp)}>${briefTime(sentTimestamp)}</time>
        <span class="excerpt">${from && html`<span class="from"><bdi>${from}</bdi>: </span>`}<bdi>${excerptOf(messageContent, search.asked).map(
          ({ text, isFound }) => (isFound ? html`<mark>${text}</mark>` : text),
        )}</bdi></span>
      </button>
    </li>
  `;
}
