// What can be done with the open conversation, at its top.

import { html, useState } from "../../vendor/htm-preact.js";
import { ActionMenu } from "../menu/action_menu.js";
import { MenuButton } from "../menu/menu_button.js";

const LABEL = "Conversation actions";

/** @param {{actions: import("../menu/action_menu.js").Action[]}} props */
export function ConversationMenu({ actions }) {
  const [isOpen, setOpen] = useState(false);
  const popup = (/** @type {() => void} */ close) => html`<${ActionMenu} label=${LABEL} actions=${actions} frame=".thread" close=${close} />`;
  return html`<${MenuButton} label=${LABEL} popup=${popup} isStop=${true} isOpen=${isOpen} onMenu=${setOpen} />`;
}
