// One message: its text, when it was sent, what became of it, and what can be done with it.

import { html, useMemo } from "../vendor/htm-preact.js";
import { withLinks } from "../links.js";
import { clockTime, fullTime, isoTime } from "../time.js";
import { MessageMenu } from "./message_menu.js";

/**
 * @typedef {object} Handling What the log knows of a message beside what it says.
 * @property {boolean} isStop Its menu is the one that the Tab key reaches.
 * @property {boolean} isOpen Its menu is open.
 * @property {() => void} onFocus
 * @property {(isOpen: boolean) => void} onMenu
 */

/** What stands in the place of a text that its author took back. */
const TAKEN_BACK = "This message was taken back";

/**
 * A message of the mailbox. `isFirst` and `isLast`: of those of one sender that follow each other; `isTimed`: its time was
 * asked for.
 * @param {{message: import("../mail/thread.js").Message, isMine: boolean, isFirst: boolean, isLast: boolean, isTimed: boolean,
 *   onTap: () => void, actions: import("./message_menu.js").Action[], handling: Handling}} props
 */
export function Message({ message, isMine, isFirst, isLast, isTimed, onTap, actions, handling }) {
  const { senderId, messageContent, sentTimestamp, messageId, unsent, editedTimestamp } = message;
  const time = isTimed ? fullTime(sentTimestamp) : clockTime(sentTimestamp);
  return html`
    <li class="message ${isMine ? "is-mine" : ""} ${isFirst ? "is-first" : ""} ${isTimed ? "is-timed" : ""} ${unsent ? "is-unsent" : ""}" data-id=${messageId}>
      <span class="unseen"><bdi>${isMine ? "You" : senderId}</bdi>: </span>
      <div class="line">
        <${Text} content=${unsent ? TAKEN_BACK : messageContent} title=${fullTime(sentTimestamp)} onTap=${onTap} />
        <${MessageMenu} actions=${actions} ...${handling} />
      </div>
      ${(isLast || isTimed || editedTimestamp) && html`
        <p class="meta"><time datetime=${isoTime(sentTimestamp)}>${time}</time>${editedTimestamp && "· Edited"}${isMine && "· Sent"}</p>
      `}
    </li>
  `;
}

/**
 * A message that the server has not confirmed.
 * @param {{unsent: import("../mail/outbox.js").Unsent, isConnected: ?boolean, onSendAgain: () => void, onDiscard: () => void,
 *   actions: import("./message_menu.js").Action[], handling: Handling}} props
 */
export function UnsentMessage({ unsent, isConnected, onSendAgain, onDiscard, actions, handling }) {
  const { content, state, reason, writtenAt } = unsent;
  const shown = state === "sending" && isConnected === false ? "waiting" : state;
  return html`
    <li class="message is-mine is-first is-${shown}">
      <span class="unseen">You: </span>
      <div class="line">
        <${Text} content=${content} title=${fullTime(writtenAt * 1000)} />
        <${MessageMenu} actions=${actions} ...${handling} />
      </div>
      <p class="meta">
        ${shown === "sending" && "Sending…"}
        ${shown === "waiting" && html`<span>Waiting to be sent</span> <button type="button" onClick=${onDiscard}>Discard</button>`}
        ${shown === "refused" && html`
          <strong>Not sent: ${reason}</strong> <button type="button" onClick=${onDiscard}>Discard</button>
        `}
        ${shown === "unsure" && html`
          <strong>Not confirmed. Written ${fullTime(writtenAt * 1000)}; it may have arrived.</strong>
          <button type="button" onClick=${onSendAgain}>Send again</button>
          <button type="button" onClick=${onDiscard}>Discard</button>
        `}
      </p>
    </li>
  `;
}

/** @param {{content: string, title: string, onTap?: () => void}} props */
function Text({ content, title, onTap }) {
  const tap = (/** @type {any} */ event) => {
    const isElsewhere = event.target.closest("a") || getSelection()?.type === "Range";
    if (!isElsewhere) onTap?.();
  };
  const pieces = useMemo(() => withLinks(content), [content]);
  return html`
    <p class="text" dir="auto" title=${title} onClick=${tap}>${pieces.map(({ text, href }) =>
      href === null ? text : html`<a href=${href} target="_blank" rel="noopener noreferrer">${text}</a>`)}</p>
  `;
}
