// The conversations of a user: one stop of the Tab key, and arrows between them.

import { html, useState } from "../vendor/htm-preact.js";
import { entriesOf } from "../mail/entries.js";
import { useObserved } from "../observable.js";
import { briefTime, isoTime } from "../time.js";
import { Avatar } from "./avatar.js";

/** @type {Record<string, (at: number, last: number) => number>} */
const STEPS = { ArrowDown: (at) => at + 1, ArrowUp: (at) => at - 1, Home: () => 0, End: (_, last) => last };
const LOAD_WITHIN_PX = 300;
const MARKS = { draft: "Draft: ", waiting: "Waiting to be sent: ", failed: "Not sent: ", you: "You: " };

/**
 * @param {{account: import("../mail/account.js").Account, openPeer?: string, onOpen: (peer: string) => void,
 *   onBegin: () => void}} props
 */
export function ConversationList({ account, openPeer, onOpen, onBegin }) {
  const { inbox } = account;
  useObserved(account.outbox, account.lastEvents);
  const [focusedPeer, setFocusedPeer] = useState(/** @type {?string} */ (null));
  const [hasFailed, setFailed] = useState(false);
  const entries = entriesOf(account, openPeer);
  const peers = entries.map(({ peer }) => peer);
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

  if (peers.length === 0) {
    if (!inbox.isLoaded) return html`<p class="hint" role="status">Loading…</p>`;
    return html`
      <div class="hint">
        <p>No conversations yet.</p>
        <button type="button" class="primary" onClick=${onBegin}>Write to somebody</button>
      </div>
    `;
  }
  return html`
    <nav class="conversations" aria-label="Conversations" onKeyDown=${onKeyDown} onScroll=${onScroll}>
      <ul>
        ${entries.map(
          (entry) => html`
            <${Item} key=${entry.peer} entry=${entry} isOpen=${entry.peer === openPeer} isStop=${entry.peer === stop}
              onOpen=${onOpen} onFocus=${setFocusedPeer} />
          `,
        )}
      </ul>
      ${hasFailed && html`<button type="button" class="more" onClick=${loadMore}>Could not load more. Try again</button>`}
    </nav>
  `;
}

/**
 * @param {{entry: import("../mail/entries.js").Entry, isOpen: boolean, isStop: boolean, onOpen: (peer: string) => void,
 *   onFocus: (peer: string) => void}} props
 */
function Item({ entry: { peer, title, time, mark, sender, text, unreadCount }, isOpen, isStop, onOpen, onFocus }) {
  const count = unreadCount > 999 ? "999+" : unreadCount;
  return html`
    <li>
      <button type="button" class="conversation ${unreadCount ? "is-unread" : ""}" aria-current=${isOpen ? "true" : null}
        tabindex=${isStop ? 0 : -1} onClick=${() => onOpen(peer)} onFocus=${() => onFocus(peer)}>
        <${Avatar} peer=${peer} title=${title} />
        <bdi class="name">${title}</bdi>
        ${time !== null && html`<time datetime=${isoTime(time)}>${briefTime(time)}</time>`}
        <span class="snippet">${mark && html`<span class="mark mark-${mark}">${MARKS[mark]}</span>`}${sender && html`<span class="from"><bdi>${sender}</bdi>: </span>`}<bdi>${text ?? "No messages any more"}</bdi></span>
        ${unreadCount > 0 && html`<span class="badge">${count}<span class="unseen"> unread</span></span>`}
      </button>
    </li>
  `;
}
