// A button with a menu behind it (the menu button pattern of WAI-ARIA: arrows, Home, End and Escape).

import { html, useEffect, useRef } from "../../vendor/htm-preact.js";

/**
 * @typedef {object} Handling What is around the button knows of it.
 * @property {boolean} isStop It is the one of several that the Tab key reaches.
 * @property {boolean} isOpen
 * @property {() => void} [onFocus]
 * @property {(isOpen: boolean) => void} onMenu
 */

/**
 * `popup`: what is shown while it is open; it is given what closes it.
 * @param {{label: string, popup: (close: () => void) => any} & Handling} props
 */
export function MenuButton({ label, popup, isStop, isOpen, onFocus, onMenu }) {
  const frame = useRef(/** @type {any} */ (null));
  const close = () => {
    frame.current.querySelector(".act").focus();
    onMenu(false);
  };
  useEffect(() => {
    if (!isOpen) return;
    const onPress = (/** @type {any} */ event) => !frame.current.contains(event.target) && onMenu(false);
    document.addEventListener("pointerdown", onPress);
    return () => document.removeEventListener("pointerdown", onPress);
  }, [isOpen]);

  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (!isOpen) return;
    const all = itemsOf(frame.current);
    const at = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const to = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    const isTab = event.key === "Tab";
    if (to !== undefined) all.at(to % all.length)?.focus();
    else if (event.key === "Escape") close();
    else if (isTab && !frame.current.querySelector("form")) onMenu(false);
    else return;
    event.stopPropagation(); // Escape would leave the conversation, arrows go to another message
    if (!isTab) event.preventDefault();
  };
  return html`
    <div class="menu-button ${isOpen ? "is-open" : ""}" ref=${frame} onKeyDown=${onKeyDown}>
      <button type="button" class="act" aria-label=${label} aria-haspopup="menu" aria-expanded=${isOpen}
        tabindex=${isStop ? 0 : -1} onFocus=${onFocus} onClick=${() => onMenu(!isOpen)}>⋯</button>
      ${isOpen && popup(close)}
    </div>
  `;
}

/** What the arrows go to. @param {Element} root @returns {HTMLElement[]} */
export const itemsOf = (root) => [...root.querySelectorAll(/** @type {"button"} */ ("[role='menuitem'], [data-item]"))];
