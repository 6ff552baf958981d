// One message: its text, when it was sent, what became of it, and what can be done with it.

import { html, useMemo } from "../../vendor/htm-preact.js";
import { withLinks } from "../../links.js";
import { takenBack } from "../../told.js";
import { clockTime, fullTime, isoTime } from "../../time.js";
import { Avatar, colourOf } from "../avatar.js";
import { useLongPress } from "../menu/long_press.js";
import { MessageEditor } from "./message_editor.js";
import { MessageMenu } from "./message_menu.js";
import { Reactions, whoReacts } from "./reactions.js";

/** @typedef {import("../menu/menu_button.js").Handling} Handling */

/** How many ticks stand before it. @type {Record<import("../../mail/receipts.js").Receipt, string>} */
const TICKS = { Sent: "✓", Delivered: "✓✓", Read: "✓✓" };

/**
 * @typedef {object} Editing What a message that is being edited needs.
 * @property {(text: string) => Promise<?string>} onSave Null when it was saved; else why not.
 * @property {() => void} onClose
 */

/**
 * A message of the mailbox. `isOfGroup`: it says who wrote it. `isFirst` and `isLast`: of those of one sender that follow each
 * other; `isTimed`: its time was asked for; `isSought`: one came for it, and the keyboard may be at it; `editing`: null where it is not being edited; `receipt`: what became of it, where it
 * is one's own; `canReact`: reactions are offered; `askReaders`: as of its menu.
 * @param {{message: import("../../mail/thread.js").Message, userId: string, nameOf: import("../../mail/user/names.js").NameOf, isOfGroup: boolean, isFirst: boolean, isLast: boolean, isTimed: boolean,
 *   isSought: boolean, receipt: import("../../mail/group_receipts.js").InGroup, onTap: () => void, actions: import("../menu/action_menu.js").Action[], handling: Handling, editing: ?Editing,
 *   canReact: boolean, onReact: import("./reactions.js").OnReact, askReaders: ?import("./read_by.js").AskReaders}} props
 */
export function Message({ message, userId, nameOf, isOfGroup, isFirst, isLast, isTimed, isSought, receipt, onTap, actions, handling, editing, canReact, onReact, askReaders }) {
  const { senderId, messageContent, sentTimestamp, messageId, unsent, editedTimestamp, reactions = [] } = message;
  const isMine = senderId === userId;
  const isNamed = isOfGroup && !isMine;
  const time = isTimed ? fullTime(sentTimestamp) : clockTime(sentTimestamp);
  const longPress = useLongPress(() => handling.onMenu(true));
  if (editing) {
    return html`
      <li class="message is-first ${isMine ? "is-mine" : ""}" data-id=${messageId}>
        <${MessageEditor} content=${messageContent} isGone=${unsent === true} ...${editing} />
      </li>
    `;
  }
  const reacting = unsent || !canReact ? null : { own: reactions.find(({ mine }) => mine)?.emoji ?? null, onReact };
  return html`
    <li class="message ${isMine ? "is-mine" : ""} ${isFirst ? "is-first" : ""} ${isTimed ? "is-timed" : ""} ${unsent ? "is-unsent" : ""} ${isNamed ? "is-named" : ""} ${isSought ? "is-sought" : ""}" data-id=${messageId}
      tabindex=${isSought ? -1 : null}>
      <span class="unseen"><bdi>${isMine ? "You" : nameOf(senderId)}</bdi>: </span>
      ${isNamed && isFirst && html`
        <${Avatar} peer=${senderId} title=${nameOf(senderId)} />
        <bdi class="sender colour-${colourOf(senderId)}" title=${senderId} aria-hidden="true">${nameOf(senderId)}</bdi>
      `}
      <div class="line" ...${longPress}>
        <${Text} content=${unsent ? takenBack(message, userId, nameOf) : messageContent} title=${fullTime(sentTimestamp)} onTap=${onTap} />
        <${MessageMenu} actions=${actions} reacting=${reacting} nameOf=${nameOf} askReaders=${askReaders} ...${handling} />
      </div>
      ${reactions.length > 0 && html`<${Reactions} reactions=${reactions} userId=${userId} nameOf=${nameOf} canReact=${canReact} onReact=${onReact} />`}
      ${isTimed && reactions.length > 0 && html`
        <p class="meta">${reactions.map((one) => `${one.emoji} ${whoReacts(one, userId, nameOf)}`).join(" · ")}</p>
      `}
      ${(isLast || isTimed || editedTimestamp) && html`
        <p class="meta"><time datetime=${isoTime(sentTimestamp)}>${time}</time>${editedTimestamp && html`<span>· Edited</span>`}${isMine && !unsent && html`<${Tick} receipt=${receipt} />`}</p>
      `}
    </li>
  `;
}

/**
 * In a group it is said how many have read it, as long as some have not. Nobody is told aloud when it changes: the log around it
 * tells of messages.
 * @param {{receipt: import("../../mail/group_receipts.js").InGroup}} props
 */
function Tick({ receipt: { state, readBy } }) {
  const words = state !== "Read" && readBy > 0 ? `Read by ${readBy}` : state;
  return html`<span class="tick is-${state.toLowerCase()}" aria-live="off">· <span aria-hidden="true">${TICKS[state]}</span> ${words}</span>`;
}

/**
 * A message that the server has not confirmed.
 * @param {{unsent: import("../../mail/outbox.js").Unsent, isConnected: ?boolean, onSendAgain: () => void, onDiscard: () => void,
 *   actions: import("../menu/action_menu.js").Action[], handling: Handling}} props
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
