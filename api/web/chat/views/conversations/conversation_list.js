// The conversations of a user: one stop of the Tab key, and arrows between them. What he has put into the archive is a list of
// its own, behind a button at the top of the other one.

import { html, useEffect, useRef, useState } from "../../vendor/htm-preact.js";
import { entriesOf } from "../../mail/entries.js";
import { useObserved } from "../../observable.js";
import { actionsFor } from "./conversation_actions.js";
import { ConversationLine } from "./conversation_line.js";

/** @type {Record<string, (at: number, last: number) => number>} */
const STEPS = { ArrowDown: (at) => at + 1, ArrowUp: (at) => at - 1, Home: () => 0, End: (_, last) => last };
const LOAD_WITHIN_PX = 300;
/** So many lines more are drawn where one comes near the end. */
const LINES = 100;

/**
 * `tell` says why something was not done to a conversation.
 * @param {{account: import("../../mail/account.js").Account, openPeer?: string, onOpen: (peer: string) => void, onLeave: () => void,
 *   onBegin: () => void, tell: (outcome: Promise<?string>) => void}} props
 */
export function ConversationList({ account, openPeer, onOpen, onLeave, onBegin, tell }) {
  const { inbox } = account;
  useObserved(account.outbox, account.lastEvents, account.blocks, account.presence);
  const list = useRef(/** @type {any} */ (null));
  const [usedPeer, setUsedPeer] = useState(/** @type {?string} */ (null));
  const [menuPeer, setMenuPeer] = useState(/** @type {?string} */ (null));
  const [isArchive, setArchive] = useState(false);
  const [most, setMost] = useState(LINES);
  const [hasFailed, setFailed] = useState(false);
  const all = entriesOf(account, openPeer);
  const archivedCount = all.filter(({ isArchived }) => isArchived).length;
  const isInArchive = isArchive && archivedCount > 0;
  const shown = all.filter((entry) => entry.isArchived === isInArchive);
  const entries = shown.slice(0, most);
  const peers = entries.map(({ peer }) => peer);
  const stop = [usedPeer, openPeer].find((peer) => peer && peers.includes(peer)) ?? peers[0];

  const loadMore = () => inbox.loadMore().then(() => setFailed(false), () => setFailed(true));
  const look = () => {
    if (!list.current) return;
    const { scrollHeight, scrollTop, clientHeight } = list.current;
    if (scrollHeight - scrollTop - clientHeight >= LOAD_WITHIN_PX) return;
    if (shown.length > most) setMost(most + LINES);
    else if (inbox.hasMore && !hasFailed) loadMore();
  };
  useEffect(look, [inbox.conversations, isInArchive, most]); // what is shown of a page may be shorter than the window
  useEffect(() => {
    // Where the line went at which the keyboard was, as into the archive, it is at another one.
    if (usedPeer === null || peers.includes(usedPeer)) return;
    setUsedPeer(null);
    if (document.activeElement === document.body) list.current?.querySelector("[tabindex='0']")?.focus();
  });
  const onKeyDown = (/** @type {any} */ event) => {
    const step = STEPS[event.key];
    if (!step || !event.target.matches(".conversation, .act")) return;
    event.preventDefault();
    const last = peers.length - 1;
    const at = Math.max(0, Math.min(last, step(peers.indexOf(stop), last)));
    event.currentTarget.querySelectorAll("button.conversation")[at]?.focus();
  };

  if (all.length === 0) {
    if (!inbox.isLoaded) return html`<p class="hint" role="status">Loading…</p>`;
    return html`
      <div class="hint">
        <p>No conversations yet.</p>
        <button type="button" class="primary" onClick=${onBegin}>Write to somebody</button>
      </div>
    `;
  }
  const line = (/** @type {import("../../mail/entries.js").Entry} */ entry) => {
    const { peer, conversation } = entry;
    const around = { isOpen: peer === openPeer, tell, onLeave };
    const handling = {
      isStop: peer === stop,
      isOpen: peer === menuPeer,
      onFocus: () => setUsedPeer(peer),
      onMenu: (/** @type {boolean} */ isOpen) => setMenuPeer(isOpen ? peer : null),
    };
    return html`
      <${ConversationLine} key=${peer} entry=${entry} isOpen=${peer === openPeer} isOnline=${account.presence.of(peer)?.online ?? false} handling=${handling} onOpen=${onOpen}
        actions=${conversation ? actionsFor(conversation, account, around) : []} />
    `;
  };
  return html`
    <nav class="conversations" ref=${list} aria-label=${isInArchive ? "Archived conversations" : "Conversations"} onKeyDown=${onKeyDown} onScroll=${look}>
      ${archivedCount > 0 && html`
        <button type="button" class="to-archive" aria-expanded=${isInArchive} onClick=${() => setArchive(!isInArchive)}>
          ${isInArchive ? "‹ All conversations" : html`Archived <span class="soft">${archivedCount}</span>`}
        </button>
      `}
      ${entries.length === 0 && html`<p class="hint">All conversations are archived.</p>`}
      <ul>${entries.map(line)}</ul>
      ${hasFailed && html`<button type="button" class="more" onClick=${loadMore}>Could not load more. Try again</button>`}
    </nav>
  `;
}
