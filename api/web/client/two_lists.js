/**
 * What changes in a mailbox, also while its owner is too old to say so in one answer: client/following/two_lists.py in
 * JavaScript, which says why. tests/client/feed/two_lists.json has what both do.
 *
 * @module two_lists
 */

/** @typedef {import("./rowbox.js").Changes} Changes */

const PEER_TOO_OLD = "peer_too_old";
/** After this the owner is asked for the feed again, where it does not say when. */
const AGAIN_MS = 10_000;
/** The longest that a poll of the messages is held: what changes in the list alone comes so late at most. */
const HELD_S = 10;
const PAGE_SIZE = 100;

/** The fetches of one following. */
export class TwoLists {
  #now;
  /** When the owner may be asked for the feed. */
  #againMs = -Infinity;
  /** @type {?string} */
  #messages = null;
  /** @type {?string} */
  #conversations = null;

  /** @param {() => number} now Milliseconds. */
  constructor(now) {
    this.#now = now;
  }

  /**
   * What changed after the feed's token, "" as the answer before may have had; null: a beginning.
   * @param {(name: "fetchChanges" | "fetchMessages" | "fetchConversation", query: Record<string, any>) => Promise<any>} call
   *   Makes one call.
   * @param {?string} since
   * @param {number | undefined} wait For how many seconds the server may hold it.
   * @returns {Promise<Changes>}
   */
  async fetch(call, since, wait) {
    if (this.#now() >= this.#againMs) {
      try {
        const page = await call("fetchChanges", { lastUpdatedTimestamp: since || undefined, wait });
        this.#messages = this.#conversations = null;
        return page;
      } catch (error) {
        const { code, retryAfterMs } = /** @type {{code?: string, retryAfterMs?: number}} */ (error ?? {});
        if (code !== PEER_TOO_OLD) throw error;
        this.#againMs = this.#now() + (retryAfterMs || AGAIN_MS);
      }
    }
    if (since === null) this.#messages = this.#conversations = null;
    return this.#ofBoth(call, since, wait && Math.min(wait, HELD_S));
  }

  /**
   * Both tokens move when both answers are there.
   * @param {(name: "fetchMessages" | "fetchConversation", query: Record<string, any>) => Promise<any>} call
   * @param {?string} since
   * @param {number | undefined} wait
   * @returns {Promise<Changes>}
   */
  async #ofBoth(call, since, wait) {
    const held = this.#messages === null ? undefined : wait;
    const fresh = await call("fetchMessages", { pageSize: PAGE_SIZE, lastUpdatedTimestamp: this.#messages ?? undefined, wait: held });
    const listed = await call("fetchConversation", { pageSize: PAGE_SIZE, lastUpdatedTimestamp: this.#conversations ?? undefined });
    this.#messages = fresh.lastUpdatedTimestamp;
    this.#conversations = listed.lastUpdatedTimestamp;
    const isBeginning = since === null;
    const inOrder = (/** @type {any[]} */ items, /** @type {boolean} */ isInOrder) => (isInOrder ? items : [...items].reverse());
    return {
      messages: isBeginning ? [] : inOrder(fresh.messages, fresh.isDeltaUpdate),
      conversations: inOrder(listed.conversations, isBeginning || listed.isDeltaUpdate),
      account: false,
      isDeltaUpdate: !isBeginning,
      lastUpdatedTimestamp: since ?? "",
      hasMore: !isBeginning && fresh.isDeltaUpdate && fresh.hasMore,
      resetReason: null,
      nextCursor: isBeginning ? listed.nextCursor : null,
    };
  }
}
