// What a press of a key means, before it means anything to the page.

/** The key code of presses that an input method takes for itself. */
const TAKEN_BY_INPUT_METHOD = 229;

/**
 * Whether the key belongs to the input method: a character is being composed (Japanese, an accent), and Enter chooses it.
 * Safari ends the composition before it tells of that Enter, and only the code says whose it was.
 * @param {KeyboardEvent} event
 */
export function isComposing(event) {
  return event.isComposing || event.keyCode === TAKEN_BY_INPUT_METHOD;
}

/** Whether one writes on a screen: its Enter begins a line, as there is no Shift+Enter, and a button sends. */
export const isTouch = () => matchMedia("(pointer: coarse)").matches;
