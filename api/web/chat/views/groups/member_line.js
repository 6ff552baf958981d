// One member of a group, and behind a button what can be done to him.

import { html, useEffect, useRef } from "../../vendor/htm-preact.js";
import { isComposing } from "../../keys.js";
import { Avatar } from "../avatar.js";

const ROLES = { owner: "Owner", admin: "Admin", member: "" };

/**
 * `onGone` is called when the line goes while the keyboard is in it.
 * @param {{member: import("../../../client/rowbox.js").Group["members"][0], name: string, isSelf: boolean, isOpen: boolean,
 *   deeds: {name: string, isBad?: boolean, run: () => void}[], onToggle: (isOpen: boolean) => void, onWrite: () => void, onGone: () => void}} props
 */
export function MemberLine({ member: { userId, role }, name, isSelf, isOpen, deeds, onToggle, onWrite, onGone }) {
  const line = useRef(/** @type {any} */ (null));
  const more = useRef(/** @type {any} */ (null));
  useEffect(() => {
    const { current } = line;
    return () => {
      if (current.contains(document.activeElement) || document.activeElement === document.body) onGone();
    };
  }, []);
  const close = () => {
    more.current.focus();
    onToggle(false);
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (!isOpen || event.key !== "Escape" || isComposing(event)) return;
    event.stopPropagation(); // it would close all of it
    close();
  };
  const all = [{ name: `Write to ${name}`, isBad: false, run: onWrite }, ...deeds];
  return html`
    <li class="member ${isOpen ? "is-open" : ""}" ref=${line} onKeyDown=${onKeyDown}>
      <${Avatar} peer=${userId} title=${name} />
      <span class="name"><bdi>${name}</bdi>${isSelf && html` <span class="soft">(you)</span>`}${name !== userId && html` <span class="soft id">${userId}</span>`}</span>
      ${ROLES[role] && html`<span class="role">${ROLES[role]}</span>`}
      ${!isSelf && html`
        <button type="button" class="act" ref=${more} aria-label=${`Actions for ${name}`} aria-expanded=${isOpen} onClick=${() => onToggle(!isOpen)}>⋯</button>
      `}
      ${isOpen && !isSelf && html`
        <div class="deeds" role="group" aria-label=${`Actions for ${name}`}>
          ${all.map(({ name: deed, isBad, run }) => {
            const choose = () => {
              close();
              run();
            };
            return html`<button type="button" key=${deed} class=${isBad ? "bad" : ""} onClick=${choose}>${deed}</button>`;
          })}
        </div>
      `}
    </li>
  `;
}
