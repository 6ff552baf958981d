// A user's sign: the first letter, in a colour that is always the same for a user.

import { html } from "../vendor/htm-preact.js";

const COLOURS = 6;

/** @param {{userId: string}} props */
export function Avatar({ userId }) {
  const sum = [...userId].reduce((total, letter) => (total * 31 + (letter.codePointAt(0) ?? 0)) % 997, 0);
  return html`<span class=${`avatar colour-${sum % COLOURS}`} aria-hidden="true">${userId[0].toUpperCase()}</span>`;
}
