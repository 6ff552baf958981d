// What both places to write have in common: they grow with the text, and know how long it may be.

import { useLayoutEffect } from "../vendor/htm-preact.js";

/** The API's limit of a message's content. */
const MOST_BYTES = 65_535;

/** By how many bytes a text is too long for a message; 0 or less: it is not. @param {string} text */
export const excessOf = (text) => new TextEncoder().encode(text).length - MOST_BYTES;

/**
 * Makes a text field as high as its text.
 * @param {{current: any}} input
 * @param {string} text
 */
export function useHeightOf(input, text) {
  useLayoutEffect(() => {
    input.current.style.height = "auto";
    input.current.style.height = `${input.current.scrollHeight}px`;
  }, [text]);
}
