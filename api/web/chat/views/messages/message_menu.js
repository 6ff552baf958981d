// What can be done with a message: a button that shows when one points at the message, taps it or comes by the keyboard,
// and the menu behind it. On a screen a long press of the message opens it as well.

import { html } from "../../vendor/htm-preact.js";
import { ActionMenu } from "../menu/action_menu.js";
import { MenuButton } from "../menu/menu_button.js";
import { ReactionPicker } from "./reactions.js";
import { ReadBy } from "./read_by.js";

/**
 * @typedef {import("../menu/action_menu.js").Action} Action
 *
 * @typedef {object} Reacting How the user reacts to the message.
 * @property {?string} own The emoji that he has by now.
 * @property {import("./reactions.js").OnReact} onReact
 */

/**
 * `askReaders`: asks who has read the message, where that is to be shown.
 * @param {{actions: Action[], reacting?: ?Reacting, nameOf?: import("../../mail/user/names.js").NameOf, askReaders?: ?import("./read_by.js").AskReaders} & import("../menu/menu_button.js").Handling} props
 */
export function MessageMenu({ actions, reacting = null, nameOf = (userId) => userId, askReaders = null, ...handling }) {
  const all = reacting ? [reactionOf(reacting), ...actions] : actions;
  const popup = (/** @type {() => void} */ close) => html`
    <${ActionMenu} label="Message actions" actions=${all} frame=".log" close=${close}>
      ${askReaders && html`<${ReadBy} ask=${askReaders} nameOf=${nameOf} />`}
    <//>
  `;
  return html`<${MenuButton} label="Message actions" popup=${popup} ...${handling} />`;
}

/** @param {Reacting} reacting @returns {Action} */
function reactionOf({ own, onReact }) {
  /** @param {() => void} close */
  const popup = (close) => {
    const react = (/** @type {string} */ emoji) => {
      close();
      onReact(emoji);
    };
    return html`<${ReactionPicker} own=${own} onReact=${react} />`;
  };
  return { name: "React", popup };
}
