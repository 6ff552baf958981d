// What can be done with a message: a button that shows when one points at the message, taps it or comes by the keyboard,
// and the menu behind it (the menu button pattern of WAI-ARIA: arrows, Home, End and Escape). On a screen a long press of
// the message opens it as well. What has to be chosen or confirmed first stands in the place of the menu.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../../vendor/htm-preact.js";
import { ReactionPicker } from "./reactions.js";
import { ReadBy } from "./read_by.js";

/**
 * @typedef {object} Action `question`: what is asked first, and how yes is said.
 * @property {string} name
 * @property {() => void} run
 * @property {{text: string, yes: string}} [question]
 *
 * @typedef {object} Reacting How the user reacts to the message.
 * @property {?string} own The emoji that he has by now.
 * @property {import("./reactions.js").OnReact} onReact
 */

const LEAST_GAP_PX = 8;

/**
 * `askReaders`: asks who has read the message, where that is to be shown.
 * @param {{actions: Action[], reacting?: ?Reacting, nameOf?: import("../../mail/user/names.js").NameOf, askReaders?: ?import("./read_by.js").AskReaders} & import("./message.js").Handling} props
 */
export function MessageMenu({ actions, reacting = null, nameOf = (userId) => userId, askReaders = null, isStop, isOpen, onFocus, onMenu }) {
  const frame = useRef(/** @type {any} */ (null));
  const [asked, setAsked] = useState(/** @type {?Action | "react"} */ (null));
  const items = () => [...frame.current.querySelectorAll("[role='menuitem'], [data-item]")];
  const close = () => {
    frame.current.querySelector(".act").focus();
    onMenu(false);
  };
  useLayoutEffect(() => {
    if (!isOpen) return setAsked(null);
    place(frame.current);
    items()[0].focus();
  }, [isOpen, asked]);
  useEffect(() => {
    if (!isOpen) return;
    const onPress = (/** @type {any} */ event) => !frame.current.contains(event.target) && onMenu(false);
    document.addEventListener("pointerdown", onPress);
    return () => document.removeEventListener("pointerdown", onPress);
  }, [isOpen]);

  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (!isOpen) return;
    const all = items();
    const at = all.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    const isTab = event.key === "Tab";
    if (to !== undefined) all.at(to % all.length).focus();
    else if (event.key === "Escape") close();
    else if (isTab && asked !== "react") onMenu(false);
    else return;
    event.stopPropagation(); // Escape would leave the conversation, arrows go to another message
    if (!isTab) event.preventDefault();
  };
  const choose = (/** @type {Action} */ action) => {
    if (action.question && asked !== action) return setAsked(action);
    close();
    action.run();
  };
  const item = (/** @type {string} */ name, /** @type {() => void} */ onClick) =>
    html`<button type="button" role="menuitem" tabindex="-1" key=${name} onClick=${onClick}>${name}</button>`;
  const popup = () => {
    if (asked === "react" && reacting) {
      const onReact = (/** @type {string} */ emoji) => {
        close();
        reacting.onReact(emoji);
      };
      return html`<${ReactionPicker} own=${reacting.own} onReact=${onReact} />`;
    }
    if (asked && asked !== "react" && asked.question) {
      const { text, yes } = asked.question;
      return html`
        <div class="menu" role="menu" aria-label=${text}>
          <p role="presentation">${text}</p>
          ${item(yes, () => choose(asked))}${item("Cancel", close)}
        </div>
      `;
    }
    return html`
      <div class="menu" role="menu" aria-label="Message actions">
        ${reacting && item("React", () => setAsked("react"))}
        ${actions.map((action) => item(action.name, () => choose(action)))}
        ${askReaders && html`<${ReadBy} ask=${askReaders} nameOf=${nameOf} />`}
      </div>
    `;
  };
  return html`
    <div class="message-menu ${isOpen ? "is-open" : ""}" ref=${frame} onKeyDown=${onKeyDown}>
      <button type="button" class="act" aria-label="Message actions" aria-haspopup="menu" aria-expanded=${isOpen}
        tabindex=${isStop ? 0 : -1} onFocus=${onFocus} onClick=${() => onMenu(!isOpen)}>⋯</button>
      ${isOpen && popup()}
    </div>
  `;
}

/** Has the menu open where there is room: above a message that is low, and not beyond the log's edges. @param {HTMLElement} frame */
function place(frame) {
  const log = /** @type {Element} */ (frame.closest(".log")).getBoundingClientRect();
  frame.classList.toggle("is-low", frame.getBoundingClientRect().top > (log.top + log.bottom) / 2);
  const menu = /** @type {HTMLElement} */ (frame.querySelector(".menu"));
  menu.style.translate = "";
  const { left, right } = menu.getBoundingClientRect();
  const beyond = Math.max(0, right - (log.right - LEAST_GAP_PX)) - Math.max(0, log.left + LEAST_GAP_PX - left);
  if (beyond !== 0) menu.style.translate = `${-beyond}px`;
}
