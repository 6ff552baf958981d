// One user's half of the page: the list of conversations beside the one that is open, or one of the two where it is narrow.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { useObserved } from "../observable.js";
import { Avatar } from "./avatar.js";
import { ConversationList } from "./conversation_list.js";
import { NewConversation } from "./new_conversation.js";
import { ThreadView } from "./thread.js";

/** @typedef {import("../account.js").Account} Account */

/** @param {{account: Account, isCurrent: boolean, onSignOut: () => void}} props */
export function Pane({ account, isCurrent, onSignOut }) {
  useObserved(account, account.inbox);
  const { userId, thread, inbox } = account;
  const side = useRef(/** @type {any} */ (null));
  const threadBefore = useRef(/** @type {Account["thread"]} */ (null));
  useEffect(() => {
    // Whoever left a conversation is back at its line in the list, which was not there to be focused before.
    if (threadBefore.current && !thread) side.current.querySelector(".conversation[tabindex='0']")?.focus();
    threadBefore.current = thread;
  }, [thread]);
  return html`
    <section class="pane ${thread ? "has-thread" : ""} ${isCurrent ? "is-current" : ""}" aria-label=${`Signed in as ${userId}`}>
      <aside class="side" ref=${side}>
        <header class="bar">
          <${Avatar} userId=${userId} />
          <h2>${userId}</h2>
          <button type="button" class="quiet" onClick=${onSignOut}>Sign out</button>
        </header>
        <${NewConversation} onOpen=${(/** @type {string} */ peer) => account.open(peer)} />
        <${ConversationList} inbox=${inbox} openPeer=${thread?.peer}
          onOpen=${(/** @type {string} */ peer) => account.open(peer)} />
      </aside>
      <div class="main">
        <${Status} account=${account} onSignOut=${onSignOut} />
        ${thread
          ? html`<${ThreadView} key=${thread.peer} account=${account} thread=${thread} onLeave=${() => account.leave()} />`
          : html`<p class="hint">Choose a conversation, or write to somebody new.</p>`}
      </div>
    </section>
  `;
}

/**
 * What stands between the user and his messages, if anything does.
 * @param {{account: Account, onSignOut: () => void}} props
 */
function Status({ account, onSignOut }) {
  const isOnline = useOnline();
  const { failure, isConnected } = account;
  if (failure) {
    return html`
      <div class="banner is-bad" role="alert">
        <span>You are signed out: ${failure.message}.</span>
        <button type="button" onClick=${onSignOut}>Sign in again</button>
      </div>
    `;
  }
  const text = !isOnline ? "You are offline." : isConnected === false ? "No connection to the server. Trying again…" : null;
  return html`<div class=${text ? "banner" : ""} role="status">${text}</div>`;
}

function useOnline() {
  const [isOnline, setOnline] = useState(navigator.onLine);
  useEffect(() => {
    const look = () => setOnline(navigator.onLine);
    addEventListener("online", look);
    addEventListener("offline", look);
    return () => {
      removeEventListener("online", look);
      removeEventListener("offline", look);
    };
  }, []);
  return isOnline;
}
