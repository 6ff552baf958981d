// What the page keeps over a reload, and the only place that touches the browser's storage. That may be blocked (then
// its mere name throws), full, or hold anything at all: the page works the same, it only remembers less.

/** Values that the browser did not take: they last as long as the page. @type {Map<string, unknown>} */
const unstored = new Map();

class Area {
  #name;

  /** @param {"sessionStorage" | "localStorage"} name */
  constructor(name) {
    this.#name = name;
  }

  /** What was kept under `key`; undefined where that is nothing, or no JSON. Its shape is for the caller to doubt. @param {string} key */
  get(key) {
    if (unstored.has(key)) return unstored.get(key);
    try {
      return JSON.parse(window[this.#name].getItem(key) ?? "");
    } catch {
      return undefined;
    }
  }

  /**
   * @param {string} key
   * @param {unknown} value
   */
  set(key, value) {
    try {
      window[this.#name].setItem(key, JSON.stringify(value));
      unstored.delete(key);
    } catch {
      this.remove(key); // what is there is older than this: after a reload nothing is better than that
      unstored.set(key, value);
    }
  }

  /** Whether what was set under `key` is there after a reload. @param {string} key */
  keeps(key) {
    return !unstored.has(key);
  }

  /** @param {string} key */
  remove(key) {
    unstored.delete(key);
    try {
      window[this.#name].removeItem(key);
    } catch {
      // Blocked: there is nothing to remove.
    }
  }
}

/** Storage that lives as long as the tab: whose tab it is, and what was written in it. */
export const ofTab = new Area("sessionStorage");

/** Storage that stays in this browser: its owner's preferences. */
export const ofBrowser = new Area("localStorage");
