// The open conversation: its messages, and the place to write.

import { html } from "../vendor/htm-preact.js";
import { isComposing } from "../keys.js";
import { useObserved } from "../observable.js";
import { Avatar } from "./avatar.js";
import { Composer } from "./composer.js";
import { MessageLog } from "./messages/message_log.js";

/**
 * @param {{account: import("../mail/account.js").Account, thread: import("../mail/thread.js").Thread, onLeave: () => void}} props
 */
export function ThreadView({ account, thread, onLeave }) {
  useObserved(thread, account.outbox, account.inbox);
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => event.key === "Escape" && !isComposing(event) && onLeave();
  return html`
    <article class="thread" aria-label=${`Conversation with ${thread.peer}`} onKeyDown=${onKeyDown}>
      <header class="bar">
        <button type="button" class="quiet back" aria-label="Back to the conversations" onClick=${onLeave}>‹</button>
        <${Avatar} userId=${thread.peer} />
        <h2><bdi>${thread.peer}</bdi></h2>
      </header>
      <${MessageLog} account=${account} thread=${thread} />
      <${Composer} peer=${thread.peer} drafts=${account.drafts} focusCount=${thread.focusCount}
        onSend=${(/** @type {string} */ content) => account.outbox.submit(thread.peer, content)} />
    </article>
  `;
}
