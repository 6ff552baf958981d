// What the user looks for in all his messages, and what was found of it.

import { Observable } from "../observable.js";
import { reasonFor } from "./reasons.js";

/** One who types makes one search of a word, not one of each letter. */
const TYPING_MS = 300;
/** How long until it is looked again, while the server has not been through all messages. */
const AGAIN_MS = 1_000;
const PATIENCE_MS = 5_000;
const PAGE_SIZE = 20;
const REASONS = /** @type {Record<string, string>} */ ({
  search_off: "This server does not search",
  bad_request: "Write a letter, a digit or a symbol to look for",
  peer_too_old: "The server is being upgraded, and cannot search yet",
});

/** @typedef {import("../../client/rowbox.js").Message} Message */

export class Search extends Observable {
  /** What stands in the field. */
  text = "";
  /** What `hits` were found by. */
  asked = "";
  /** The newest first. @type {Message[]} */
  hits = [];
  /** Whether an answer is awaited. */
  isBusy = false;
  /** Whether the server had been through all messages. */
  isComplete = true;
  /** Why nothing was found, in words without a full stop; null: it was searched. @type {?string} */
  failure = null;
  /** Whether the same search may succeed later. */
  canRetry = false;
  /** @type {?string} */
  #cursor = null;
  #timer = 0;
  /** What ends the search that is under way. */
  #looking = new AbortController();
  #client;

  /**
   * @param {Pick<import("../../client/rowbox.js").Rowbox, "search">} client
   * @param {AbortSignal} end
   */
  constructor(client, end) {
    super();
    this.#client = client;
    end.addEventListener("abort", () => this.#stop());
  }

  /** Whether there is something to look for: what was found stands in the place of the conversations then. */
  get isOn() {
    return this.text.trim() !== "";
  }

  /** Whether there is more behind the last hit. While the search is not complete it may still be filled in between. */
  get hasMore() {
    return this.#cursor !== null && this.isComplete && !this.failure;
  }

  /** Looks for this, a moment after the last letter. @param {string} text */
  write(text) {
    this.#stop();
    this.text = text;
    this.isBusy = this.isOn;
    this.failure = null;
    if (this.isOn) this.#timer = setTimeout(() => void this.#look(), TYPING_MS);
    else Object.assign(this, { hits: [], asked: "", isComplete: true });
    this.changed();
  }

  clear() {
    this.write("");
  }

  /** Looks at once: for what stands there, or again after a failure. */
  look() {
    if (this.isOn) void this.#look();
  }

  /** Adds the next page. */
  async loadMore() {
    if (!this.hasMore || this.isBusy) return;
    await this.#ask(this.#cursor);
  }

  async #look() {
    await this.#ask(null);
    if (!this.isComplete && !this.failure && !this.isBusy) this.#timer = setTimeout(() => void this.#look(), AGAIN_MS);
  }

  /** @param {?string} cursor */
  async #ask(cursor) {
    this.#stop();
    const { signal } = this.#looking;
    const asked = this.text.trim();
    const isMore = cursor !== null;
    Object.assign(this, { isBusy: true, failure: null });
    this.changed();
    try {
      const page = await this.#client.search(asked, { pageSize: PAGE_SIZE, cursor, patienceMs: PATIENCE_MS, signal });
      if (signal.aborted) return;
      this.#cursor = page.nextCursor;
      const hits = isMore ? [...this.hits, ...page.messages] : page.messages;
      Object.assign(this, { hits, asked, isComplete: page.complete });
    } catch (error) {
      if (signal.aborted) return;
      this.failure = reasonFor(error, REASONS);
      this.canRetry = /** @type {import("../../client/rowbox.js").RowboxError} */ (error).retryable;
      if (!isMore) Object.assign(this, { hits: [], asked });
    }
    this.isBusy = false;
    this.changed();
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#looking.abort();
    this.#looking = new AbortController();
  }
}
