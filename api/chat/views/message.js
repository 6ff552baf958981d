// One message: its text, when it was sent, and what became of it.

import { html } from "../vendor/htm-preact.js";
import { clockTime, isoTime } from "../time.js";

/**
 * A message of the mailbox. `isFirst` and `isLast`: of those of one sender that follow each other.
 * @param {{message: import("../thread.js").Message, isMine: boolean, isFirst: boolean, isLast: boolean}} props
 */
export function Message({ message, isMine, isFirst, isLast }) {
  const { senderId, messageContent, sentTimestamp } = message;
  return html`
    <li class="message ${isMine ? "is-mine" : ""} ${isFirst ? "is-first" : ""}" data-id=${message.messageId}>
      <span class="unseen">${isMine ? "You" : senderId}: </span>
      <p class="text" dir="auto">${messageContent}</p>
      ${isLast && html`
        <p class="meta"><time datetime=${isoTime(sentTimestamp)}>${clockTime(sentTimestamp)}</time>${isMine && "· Sent"}</p>
      `}
    </li>
  `;
}

/**
 * A message that the server has not confirmed.
 * @param {{unsent: import("../outbox.js").Unsent, onRetry: () => void, onDiscard: () => void}} props
 */
export function UnsentMessage({ unsent, onRetry, onDiscard }) {
  const { content, state, reason, isRefused } = unsent;
  return html`
    <li class="message is-mine is-first is-${state}">
      <span class="unseen">You: </span>
      <p class="text" dir="auto">${content}</p>
      ${state === "sending"
        ? html`<p class="meta">Sending…</p>`
        : html`
            <p class="meta" title=${reason}>
              <strong>Not sent${isRefused && `: ${reason}`}</strong>
              ${!isRefused && html`<button type="button" onClick=${onRetry}>Try again</button>`}
              <button type="button" onClick=${onDiscard}>Discard</button>
            </p>
          `}
    </li>
  `;
}
