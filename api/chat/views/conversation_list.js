// The conversations of a user: one stop of the Tab key, and arrows between them.

import { html, useState } from "../vendor/htm-preact.js";
import { briefTime, isoTime } from "../time.js";
import { Avatar } from "./avatar.js";

/** @type {Record<string, (at: number, last: number) => number>} */
const STEPS = { ArrowDown: (at) => at + 1, ArrowUp: (at) => at - 1, Home: () => 0, End: (_, last) => last };
const LOAD_WITHIN_PX = 300;

/** @typedef {import("../inbox.js").Conversation} Conversation */

/** @param {{inbox: import("../inbox.js").Inbox, openPeer?: string, onOpen: (peer: string) => void}} props */
export function ConversationList({ inbox, openPeer, onOpen }) {
  const [focusedPeer, setFocusedPeer] = useState(/** @type {?string} */ (null));
  const [hasFailed, setFailed] = useState(false);
  const peers = inbox.conversations.map((conversation) => inbox.peerOf(conversation));
  const stop = [focusedPeer, openPeer].find((peer) => peer && peers.includes(peer)) ?? peers[0];

  const onKeyDown = (/** @type {any} */ event) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const last = peers.length - 1;
    const at = Math.max(0, Math.min(last, step(peers.indexOf(stop), last)));
    event.currentTarget.querySelectorAll("button.conversation")[at]?.focus();
  };
  const loadMore = () => inbox.loadMore().then(() => setFailed(false), () => setFailed(true));
  const onScroll = (/** @type {any} */ { currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
    if (inbox.hasMore && !hasFailed && scrollHeight - scrollTop - clientHeight < LOAD_WITHIN_PX) loadMore();
  };

  if (inbox.isLoaded && peers.length === 0) return html`<p class="hint">No conversations yet.</p>`;
  return html`
    <nav class="conversations" aria-label="Conversations" onKeyDown=${onKeyDown} onScroll=${onScroll}>
      <ul>
        ${inbox.conversations.map(
          (conversation, at) => html`
            <${Item} key=${conversation.conversationId} conversation=${conversation} peer=${peers[at]}
              isOpen=${peers[at] === openPeer} isStop=${peers[at] === stop} onOpen=${onOpen} onFocus=${setFocusedPeer} />
          `,
        )}
      </ul>
      ${hasFailed && html`<button type="button" class="more" onClick=${loadMore}>Could not load more. Try again</button>`}
    </nav>
  `;
}

/**
 * @param {{conversation: Conversation, peer: string, isOpen: boolean, isStop: boolean, onOpen: (peer: string) => void,
 *   onFocus: (peer: string) => void}} props
 */
function Item({ conversation, peer, isOpen, isStop, onOpen, onFocus }) {
  const { snippet, unreadCount, lastSentTimestamp } = conversation;
  const count = unreadCount > 999 ? "999+" : unreadCount;
  return html`
    <li>
      <button type="button" class="conversation ${unreadCount ? "is-unread" : ""}" aria-current=${isOpen ? "true" : null}
        tabindex=${isStop ? 0 : -1} onClick=${() => onOpen(peer)} onFocus=${() => onFocus(peer)}>
        <${Avatar} userId=${peer} />
        <span class="name">${peer}</span>
        <time datetime=${isoTime(lastSentTimestamp)}>${briefTime(lastSentTimestamp)}</time>
        <span class="snippet" dir="auto">${snippet ?? "No messages any more"}</span>
        ${unreadCount > 0 && html`<span class="badge">${count}<span class="unseen"> unread</span></span>`}
      </button>
    </li>
  `;
}
