// State that views look at: they are drawn again when it says that it has changed.

import { useLayoutEffect, useReducer } from "./vendor/htm-preact.js";

export class Observable {
  #listeners = new Set();

  /** Calls `listener` after each change; what it returns ends that. */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  changed() {
    for (const listener of [...this.#listeners]) listener();
  }
}

/** Draws the calling component again whenever one of these has changed. */
export function useObserved(...observed) {
  const [, redraw] = useReducer((count) => count + 1, 0);
  useLayoutEffect(() => {
    const ends = observed.map((one) => one.subscribe(redraw));
    return () => ends.forEach((end) => end());
  }, observed);
}
