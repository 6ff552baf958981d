// The open conversation: its messages, and the place to write; of a group also what there is to know about it.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { isComposing } from "../keys.js";
import { useObserved } from "../observable.js";
import { withinWords } from "../told.js";
import { Avatar } from "./avatar.js";
import { Composer } from "./composer.js";
import { actionsFor } from "./conversations/conversation_actions.js";
import { ConversationMenu } from "./conversations/conversation_menu.js";
import { GroupDetails } from "./groups/group_details.js";
import { GroupEnd, whyNotToWrite } from "./groups/group_end.js";
import { Seeking } from "./messages/seeking.js";
import { MessageLog } from "./messages/message_log.js";
import { LastSeen } from "./people/last_seen.js";

/**
 * @param {{account: import("../mail/account.js").Account, thread: import("../mail/thread.js").Thread,
 *   onAsk: (question: import("../main.js").Question) => void, onOpen: (peer: string) => void, onLeave: () => void,
 *   tell: (outcome: Promise<?string>) => void}} props
 */
export function ThreadView({ account, thread, onAsk, onOpen, onLeave, tell }) {
  const { inbox, outbox, names, blocks, presence, openGroup } = account;
  useObserved(thread, outbox, inbox, blocks, presence, openGroup ?? thread);
  const { peer } = thread;
  const title = inbox.titleOf(peer);
  const conversation = inbox.with(peer);
  const why = openGroup && conversation ? whyNotToWrite(conversation, openGroup) : null;
  const hasDetails = openGroup !== null && conversation?.membership === "in";
  const root = useRef(/** @type {any} */ (null));
  const { isOpen, toggle, close, about } = useDetails(hasDetails, root);
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => event.key === "Escape" && !isComposing(event) && onLeave();
  return html`
    <article ref=${root} class="thread ${isOpen ? "has-details" : ""}" aria-label=${`Conversation with ${title}`} onKeyDown=${onKeyDown}>
      <div class="talk">
        <header class="bar">
          <button type="button" class="quiet back" aria-label="Back to the conversations" onClick=${onLeave}>‹</button>
          <${Avatar} peer=${peer} title=${title} />
          ${hasDetails
            ? html`
              <h2><button type="button" class="about" ref=${about} aria-expanded=${isOpen} onClick=${toggle}>
                <bdi>${title}</bdi><span class="soft"><span class="unseen">, </span>${membersOf(conversation, account.userId, names.of)}</span>
              </button></h2>
            `
            : html`<h2 class="who"><bdi>${title}</bdi>${openGroup === null && html`<${About} id=${title === peer ? null : peer} seen=${presence.of(peer)} />`}</h2>`}
          ${conversation && html`<${ConversationMenu} actions=${actionsFor(conversation, account, { isOpen: true, tell, onLeave })} />`}
        </header>
        <${Seeking} thread=${thread} />
        <${MessageLog} account=${account} thread=${thread} />
        ${blocks.has(peer) && html`<${Blocked} title=${title} onUnblock=${() => tell(blocks.unblock(peer))} />`}
        ${!blocks.has(peer) && (why === null
          ? html`
            <${Composer} peer=${peer} title=${title} drafts=${account.drafts} focusCount=${thread.focusCount}
              onSend=${(/** @type {string} */ content) => outbox.submit(peer, content)} />
          `
          : html`<${GroupEnd} why=${why} />`)}
      </div>
      ${isOpen && html`
        <${GroupDetails} account=${account} conversation=${conversation} openGroup=${openGroup} onAsk=${onAsk} onOpen=${onOpen} onClose=${close} />
      `}
    </article>
  `;
}

/**
 * What stands below the name of the other one: his userId, where he is not called by that, and whether he is online.
 * @param {{id: ?string, seen: ?import("../mail/user/presence.js").Seen}} props
 */
function About({ id, seen }) {
  if (id === null && seen === null) return null;
  return html`<span class="soft"><span class="unseen">, </span>${id}${id !== null && seen !== null && " · "}<${LastSeen} seen=${seen} /></span>`;
}

/**
 * What stands in the place of the composer where the user blocks the other one.
 * @param {{title: string, onUnblock: () => void}} props
 */
function Blocked({ title, onUnblock }) {
  return html`
    <p class="no-writing" role="status">
      You block <bdi>${title}</bdi>: nothing more of what comes from there is shown. <button type="button" class="link" onClick=${onUnblock}>Unblock</button>
    </p>
  `;
}

/** Who is in a group, as far as there is room for it. @param {import("../mail/inbox.js").Conversation} conversation @param {string} userId @param {import("../mail/user/names.js").NameOf} nameOf */
function membersOf({ participants, memberCount = 0, name }, userId, nameOf) {
  const count = memberCount === 1 ? "Only you" : `${memberCount} members`;
  if (!name || memberCount === 1) return count;
  const others = participants.filter((participant) => participant !== userId).map((other) => withinWords(nameOf(other)));
  const names = others.length < participants.length ? ["You", ...others] : others;
  return memberCount > participants.length ? `${names.join(", ")} and ${memberCount - participants.length} more` : names.join(", ");
}

/**
 * Whether what there is to know about the group is shown. When it goes, the keyboard is at the button that shows it.
 * @param {boolean} isPossible
 * @param {{current: HTMLElement}} thread
 */
function useDetails(isPossible, thread) {
  const [isWanted, setWanted] = useState(false);
  const about = useRef(/** @type {any} */ (null));
  const isOpen = isWanted && isPossible;
  useEffect(() => {
    if (isPossible || !isWanted) return;
    setWanted(false); // who comes back into the group has not asked for it
    if (document.activeElement === document.body) /** @type {?HTMLElement} */ (thread.current.querySelector(".log"))?.focus();
  }, [isPossible]);
  const close = () => {
    setWanted(false);
    about.current?.focus();
  };
  return { isOpen, close, about, toggle: () => setWanted(!isOpen) };
}
