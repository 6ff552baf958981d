// One user's half of the page: the list of conversations beside the one that is open, or one of the two where it is narrow.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { useObserved } from "../observable.js";
import { signedOutBecause } from "../browser/session.js";
import { AccountButton } from "./account/account_button.js";
import { ConversationList } from "./conversations/conversation_list.js";
import { NewConversation } from "./new_conversation.js";
import { NewGroup } from "./new_group.js";
import { NotificationsButton } from "./notifications_button.js";
import { fullName } from "../told.js";
import { Note, useNote } from "./note.js";
import { Finder } from "./search/finder.js";
import { ThreadView } from "./thread.js";

/** @typedef {import("../mail/account.js").Account} Account */

/**
 * @param {{account: Account, notifier: import("../browser/notifier.js").Notifier, isCurrent: boolean, onSignOut: () => void,
 *   onRenew: () => void, onAsk: (question: import("../main.js").Question) => void, onOpen: import("./app.js").OnOpen, onLeave: () => void}} props
 */
export function Pane({ account, notifier, isCurrent, onSignOut, onRenew, onAsk, onOpen, onLeave }) {
  useObserved(account, account.inbox);
  const { userId, thread, inbox } = account;
  const side = useRef(/** @type {any} */ (null));
  const threadBefore = useRef(/** @type {Account["thread"]} */ (null));
  useEffect(() => {
    // Whoever left a conversation is back at its line in the list, which was not there to be focused before.
    if (threadBefore.current && !thread) side.current.querySelector(".conversation[tabindex='0']")?.focus();
    threadBefore.current = thread;
  }, [thread]);
  const [note, say] = useNote();
  const tell = async (/** @type {Promise<?string>} */ outcome) => {
    const reason = await outcome;
    if (reason !== null) say(`${reason}.`);
  };
  const openAt = (/** @type {import("../mail/search.js").Message} */ message) => onOpen(inbox.placeOf(message).peer, message);
  const begin = () => side.current.querySelector(".new-conversation input").focus();
  return html`
    <section class="pane ${thread ? "has-thread" : ""} ${isCurrent ? "is-current" : ""}" aria-label=${`Signed in as ${fullName(userId, account.names.of)}`}>
      <div class="side" ref=${side}>
        <header class="bar">
          <${AccountButton} account=${account} />
          <${NotificationsButton} notifier=${notifier} />
          <button type="button" class="quiet" onClick=${onSignOut}>Sign out</button>
        </header>
        <${NewConversation} onOpen=${onOpen} />
        <${NewGroup} account=${account} onOpen=${onOpen} />
        <${Finder} account=${account} onOpen=${openAt}>
          <${ConversationList} account=${account} openPeer=${thread?.peer} onOpen=${onOpen} onLeave=${onLeave} onBegin=${begin} tell=${tell} />
        <//>
      </div>
      <div class="main">
        <${Status} account=${account} onRenew=${onRenew} />
        ${thread
          ? html`<${ThreadView} key=${thread.peer} account=${account} thread=${thread} onAsk=${onAsk} onOpen=${onOpen} onLeave=${onLeave} tell=${tell} />`
          : html`
              <p class="hint">
                ${"Choose a conversation, or "}<button type="button" class="link" onClick=${begin}>write to somebody new</button>.
              </p>
            `}
      </div>
      <${Note} text=${note} />
    </section>
  `;
}

/**
 * What stands between the user and his messages, if anything does.
 * @param {{account: Account, onRenew: () => void}} props
 */
function Status({ account, onRenew }) {
  useObserved(account.outbox);
  const isOnline = useOnline();
  const { failure, isConnected, outbox } = account;
  if (account.isElsewhere) {
    return html`
      <div class="banner is-bad" role="alert">
        <span>You are connected in too many places: this one had to go.</span>
        <button type="button" onClick=${() => account.useHere()}>Use here</button>
      </div>
    `;
  }
  if (failure) {
    return html`
      <div class="banner is-bad" role="alert">
        <span>${signedOutBecause(account.token, failure)}${!outbox.isEmpty && " What you wrote is kept for your next sign-in in this tab."}</span>
        <button type="button" onClick=${onRenew}>Sign in again</button>
      </div>
    `;
  }
  const waiting = (/** @type {string} */ back) => (outbox.isEmpty ? "" : ` What you write is sent when ${back}.`);
  const text = !isOnline
    ? `You are offline.${waiting("you are back")}`
    : isConnected === false ? `No connection to the server. Trying again…${waiting("it is back")}` : null;
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
