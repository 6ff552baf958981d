// A menu of what can be done with something. What has to be chosen or confirmed first stands in its place.

import { html, useLayoutEffect, useRef, useState } from "../../vendor/htm-preact.js";
import { itemsOf } from "./menu_button.js";

/**
 * @typedef {object} Action One of: done at once (`run`), done after a question has been answered with yes (`run`, `question`), or a way to
 *   something else that stands in the place of the menu then: further actions (`choices`), or whatever `popup` makes of what closes the menu.
 * @property {string} name
 * @property {() => void} [run]
 * @property {{text: string, yes: string}} [question]
 * @property {Action[]} [choices]
 * @property {(close: () => void) => any} [popup]
 */

const LEAST_GAP_PX = 8;

/**
 * `frame`: what it must not reach out of, as a selector. `children` stand below the actions.
 * @param {{label: string, actions: Action[], frame: string, close: () => void, children?: any}} props
 */
export function ActionMenu({ label, actions, frame, close, children }) {
  const root = useRef(/** @type {any} */ (null));
  const [chosen, setChosen] = useState(/** @type {?Action} */ (null));
  useLayoutEffect(() => {
    place(root.current.parentElement, frame);
    itemsOf(root.current)[0].focus();
  }, [chosen]);
  const run = (/** @type {Action} */ action) => {
    close();
    action.run?.();
  };
  const choose = (/** @type {Action} */ action) => (action.question || action.choices || action.popup ? setChosen(action) : run(action));
  const item = (/** @type {string} */ name, /** @type {() => void} */ onClick) =>
    html`<button type="button" role="menuitem" tabindex="-1" key=${name} onClick=${onClick}>${name}</button>`;
  const shown = () => {
    if (chosen?.popup) return chosen.popup(close);
    const { question } = chosen ?? {};
    if (chosen && question) {
      return html`
        <div class="menu" role="menu" aria-label=${question.text}>
          <p role="presentation">${question.text}</p>
          ${item(question.yes, () => run(chosen))}${item("Cancel", close)}
        </div>
      `;
    }
    return html`
      <div class="menu" role="menu" aria-label=${chosen ? chosen.name : label}>
        ${(chosen?.choices ?? actions).map((action) => item(action.name, () => choose(action)))}
        ${!chosen && children}
      </div>
    `;
  };
  return html`<div class="menu-place" ref=${root}>${shown()}</div>`;
}

/** Has the menu of a button open where there is room: above one that is low, and not beyond the frame's edges. @param {HTMLElement} button @param {string} selector */
function place(button, selector) {
  const frame = /** @type {Element} */ (button.closest(selector)).getBoundingClientRect();
  button.classList.toggle("is-low", button.getBoundingClientRect().top > (frame.top + frame.bottom) / 2);
  const menu = /** @type {HTMLElement} */ (button.querySelector(".menu"));
  menu.style.translate = "";
  const { left, right } = menu.getBoundingClientRect();
  const beyond = Math.max(0, right - (frame.right - LEAST_GAP_PX)) - Math.max(0, frame.left + LEAST_GAP_PX - left);
  if (beyond !== 0) menu.style.translate = `${-beyond}px`;
}
