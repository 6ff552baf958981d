// What can be done with a message: a button that shows when one points at the message, taps it or comes by the keyboard,
// and the menu behind it (the menu button pattern of WAI-ARIA: arrows, Home, End and Escape).

import { html, useEffect, useLayoutEffect, useRef } from "../vendor/htm-preact.js";

/** @typedef {{name: string, run: () => void}} Action */

/** @param {{actions: Action[]} & import("./message.js").Handling} props */
export function MessageMenu({ actions, isStop, isOpen, onFocus, onMenu }) {
  const frame = useRef(/** @type {any} */ (null));
  const items = () => [...frame.current.querySelectorAll("[role='menuitem']")];
  const close = () => {
    frame.current.querySelector(".act").focus();
    onMenu(false);
  };
  useLayoutEffect(() => {
    if (!isOpen) return;
    const { top, bottom } = frame.current.closest(".log").getBoundingClientRect();
    const isLow = frame.current.getBoundingClientRect().top > (top + bottom) / 2;
    frame.current.classList.toggle("is-low", isLow);
    items()[0].focus();
  }, [isOpen]);
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
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (to !== undefined) all.at(to % all.length).focus();
    else if (event.key === "Escape") close();
    else if (event.key === "Tab") onMenu(false);
    else return;
    event.stopPropagation(); // Escape would leave the conversation, arrows go to another message
    if (event.key !== "Tab") event.preventDefault();
  };
  const choose = (/** @type {Action} */ action) => {
    close();
    action.run();
  };
  return html`
    <div class="message-menu ${isOpen ? "is-open" : ""}" ref=${frame} onKeyDown=${onKeyDown}>
      <button type="button" class="act" aria-label="Message actions" aria-haspopup="menu" aria-expanded=${isOpen}
        tabindex=${isStop ? 0 : -1} onFocus=${onFocus} onClick=${() => onMenu(!isOpen)}>⋯</button>
      ${isOpen && html`
        <div class="menu" role="menu" aria-label="Message actions">
          ${actions.map(
            (action) => html`<button type="button" role="menuitem" tabindex="-1" onClick=${() => choose(action)}>${action.name}</button>`,
          )}
        </div>
      `}
    </div>
  `;
}
