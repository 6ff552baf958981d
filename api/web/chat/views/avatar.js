// The sign of a user or a group: initials, in a colour that is always the same for that user or group.

import { html } from "../vendor/htm-preact.js";
import { groupIdOf } from "../peers.js";

const COLOURS = 12;
const MOST_INITIALS = 2;

/** One of the colours of chat.css, by its number. @param {string} peer A user or a group. */
export function colourOf(peer) {
  // FNV-1a: names that differ in one letter are far from each other. Its lowest bits are the weak ones.
  const hash = [...peer].reduce((sum, letter) => Math.imul(sum ^ (letter.codePointAt(0) ?? 0), 0x01000193), 0x811c9dc5);
  return (hash >>> 10) % COLOURS;
}

/** The first letters of the first words; the first character where there are no letters. @param {string} title */
export function initialsOf(title) {
  const words = title.match(/[\p{L}\p{N}]+/gu) ?? [title];
  return words.slice(0, MOST_INITIALS).map((word) => [...word][0]?.toUpperCase()).join("");
}

/**
 * `title`: what it is called, where that is not the userId.
 * @param {{peer: string, title?: string, isOnline?: boolean}} props
 */
export function Avatar({ peer, title = peer, isOnline = false }) {
  const kind = groupIdOf(peer) === null ? "" : "is-group";
  return html`<span class=${`avatar ${kind} colour-${colourOf(peer)}`} aria-hidden="true">${initialsOf(title)}${isOnline && html`<span class="dot"></span>`}</span>`;
}
