// One conversation in the list: with whom, how its newest message begins, what is to be known of it at a glance, and a menu of
// what can be done with it. A long press and a press of the right button open that as well.

import { html } from "../../vendor/htm-preact.js";
import { briefTime, isoTime } from "../../time.js";
import { Avatar } from "../avatar.js";
import { ActionMenu } from "../menu/action_menu.js";
import { useLongPress } from "../menu/long_press.js";
import { MenuButton } from "../menu/menu_button.js";

const MARKS = { draft: "Draft: ", waiting: "Waiting to be sent: ", failed: "Not sent: ", you: "You: " };
const MOST_COUNTED = 999;
const MUTED = "M10 5 6 9H3v6h3l4 4zM15 9l6 6M21 9l-6 6";
const PINNED = "M9 3h6l-1 7 4 4H6l4-4zM12 14v7";

/**
 * `actions`: none where there is no conversation yet.
 * @param {{entry: import("../../mail/entries.js").Entry, isOpen: boolean, actions: import("../menu/action_menu.js").Action[],
 *   isOnline: boolean, handling: import("../menu/menu_button.js").Handling, onOpen: (peer: string) => void}} props
 */
export function ConversationLine({ entry, isOpen, isOnline, actions, handling, onOpen }) {
  const { peer, title, time, mark, sender, text, unreadCount, isPinned, isMuted, isMarkedUnread } = entry;
  const { isStop, onFocus, onMenu } = handling;
  const hasMenu = actions.length > 0;
  const { onContextMenu, ...longPress } = useLongPress(() => hasMenu && onMenu(true));
  const isUnread = unreadCount > 0 || isMarkedUnread;
  const label = `Actions for ${title}`;
  const openMenu = (/** @type {PointerEvent} */ event) => {
    onContextMenu(event);
    if (!hasMenu || event.defaultPrevented) return;
    event.preventDefault(); // in place of the browser's own
    onMenu(true);
  };
  return html`
    <li class="entry ${handling.isOpen ? "is-open" : ""} ${isUnread ? "is-unread" : ""} ${isMuted ? "is-muted" : ""}" onContextMenu=${openMenu} ...${longPress}>
      <button type="button" class="conversation" aria-current=${isOpen ? "true" : null} tabindex=${isStop ? 0 : -1}
        onClick=${() => onOpen(peer)} onFocus=${onFocus}>
        <${Avatar} peer=${peer} title=${title} isOnline=${isOnline} />
        <span class="head"><bdi class="name">${title}</bdi>${isOnline && html`<span class="unseen">, online</span>`}${isMuted && html`<${Sign} name="muted" path=${MUTED} />`}${isPinned && html`<${Sign} name="pinned" path=${PINNED} />`}</span>
        ${time !== null && html`<time datetime=${isoTime(time)}>${briefTime(time)}</time>`}
        <span class="snippet">${mark && html`<span class="mark mark-${mark}">${MARKS[mark]}</span>`}${sender && html`<span class="from"><bdi>${sender}</bdi>: </span>`}<bdi>${text ?? "No messages any more"}</bdi></span>
        ${isUnread && html`<span class="badge">${unreadCount > MOST_COUNTED ? `${MOST_COUNTED}+` : unreadCount || ""}<span class="unseen"> ${unreadCount ? "unread" : "marked as unread"}</span></span>`}
      </button>
      ${hasMenu && html`
        <${MenuButton} label=${label} ...${handling}
          popup=${(/** @type {() => void} */ close) => html`<${ActionMenu} label=${label} actions=${actions} frame=".conversations" close=${close} />`} />
      `}
    </li>
  `;
}

/** @param {{name: string, path: string}} props */
function Sign({ name, path }) {
  return html`<svg class="sign" viewBox="0 0 24 24" aria-hidden="true"><path d=${path} /></svg><span class="unseen">, ${name}</span>`;
}
