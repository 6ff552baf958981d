// What is over by itself: a message that disappears is gone at its end, and nothing else tells of that.

const US_A_MS = 1_000;
/** The longest time that browsers' timers take. */
const LONGEST_MS = 2 ** 31 - 1;

/** Whether something is over that ends then, in microseconds since the epoch; undefined: never. @param {number | undefined} end */
export const hasEnded = (end) => end !== undefined && end <= Date.now() * US_A_MS;

/** Calls somebody when the first of some ends comes. */
export class Endings {
  #call;
  #signal;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {() => void} call It may be called before the end that is waited for: then it watches anew.
   * @param {AbortSignal} signal What ends the waiting.
   */
  constructor(call, signal) {
    this.#call = call;
    this.#signal = signal;
    signal.addEventListener("abort", () => clearTimeout(this.#timer));
  }

  /** Waits for the first of these, and for none of those before. @param {(number | undefined)[]} ends */
  watch(ends) {
    clearTimeout(this.#timer);
    const first = ends.reduce((/** @type {number} */ least, end) => (end !== undefined && end < least ? end : least), Number.POSITIVE_INFINITY);
    if (first === Number.POSITIVE_INFINITY || this.#signal.aborted) return;
    const waitMs = Math.ceil(first / US_A_MS) - Date.now();
    this.#timer = setTimeout(this.#call, Math.min(LONGEST_MS, Math.max(0, waitMs)));
  }
}
