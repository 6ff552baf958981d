/** Tells one listener that there is something new. A ring that comes while nobody listens is heard by the next. */
export class Bell {
  #isRung = false;
  /** @type {?(() => void)} */
  #heard = null;

  ring() {
    this.#isRung = true;
    this.#heard?.();
  }

  /** Resolves once it was rung since the last time. */
  async next() {
    if (!this.#isRung) await /** @type {Promise<void>} */ (new Promise((resolve) => (this.#heard = resolve)));
    this.#isRung = false;
  }
}
