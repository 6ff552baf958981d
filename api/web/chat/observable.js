// State that views look at: they are drawn again when it says that it has changed.

import { useLayoutEffect, useReducer } from "./vendor/htm-preact.js";

export class Observable {
  /** @type {Set<() => void>} */
  #listeners = new Set();

  /** Calls `listener` after each change; what it returns ends that. @param {() => void} listener */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  changed() {
    for (const listener of [...this.#listeners]) listener();
  }
}

/** Draws the calling component again whenever one of these has changed. @param {...Observable} observed */
export function useObserved(...observed) {
  const [, redraw] = useReducer((/** @type {number} */ count) => count + 1, 0);
  useLayoutEffect(() => {
    const ends = observed.map((one) => one.subscribe(() => redraw(undefined)));
    return () => {
      for (const end of ends) end();
    };
  }, observed);
}
