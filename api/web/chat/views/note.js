// What is said for a moment, as why something was not done.

import { html, useEffect, useState } from "../vendor/htm-preact.js";

const SHOWN_MS = 4_000;

/** @returns {[?string, (text: string) => void]} What is said now, and how it is said. */
export function useNote() {
  const [text, setText] = useState(/** @type {?string} */ (null));
  useEffect(() => {
    if (text === null) return;
    const timer = setTimeout(() => setText(null), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return [text, setText];
}

/** @param {{text: ?string}} props */
export function Note({ text }) {
  return html`<p class=${text ? "note" : "unseen"} role="status">${text}</p>`;
}
