// What became of one's own newest messages in a group that is looked at. Nothing tells of it (docs/adr/0065), so the
// server is asked: at once, and then more and more seldom, until all have read them. When somebody writes it is asked
// sooner again, because who writes has read.

import { Observable } from "../observable.js";

/** The API's bound, of messages of a group. */
const MOST_ASKED = 10;
/** A member's marks are gathered for so long before they are told. */
const FIRST_MS = 3_000;
const LONGEST_MS = 60_000;
const PATIENCE_MS = 5_000;

/**
 * @typedef {import("./receipts.js").Receipt} Receipt
 * @typedef {object} InGroup
 * @property {Receipt} state What all members have of it.
 * @property {number} readBy How many have read it.
 */

/** @type {InGroup} */
const NOT_KNOWN = { state: "Sent", readBy: 0 };

export class GroupReceipts extends Observable {
  #client;
  #conversationId;
  #end;
  #now;
  /** @type {Map<string, InGroup>} */
  #known = new Map();
  /** @type {string[]} */
  #watched = [];
  /** What is in sight. */
  #seen = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #askedAt = -FIRST_MS;
  #pauseMs = FIRST_MS;

  /**
   * @param {Pick<import("../../client/rowbox.js").Rowbox, "fetchReceipts">} client
   * @param {string} conversationId
   * @param {AbortSignal} end
   * @param {() => number} [now] Milliseconds that only rise.
   */
  constructor(client, conversationId, end, now = () => performance.now()) {
    super();
    this.#client = client;
    this.#conversationId = conversationId;
    this.#end = end;
    this.#now = now;
  }

  /** What is known of a message. @param {string} messageId */
  of(messageId) {
    return this.#known.get(messageId) ?? NOT_KNOWN;
  }

  /**
   * To be called with one's own messages that are in sight, the oldest first, and with the newest message of all, as often
   * as one likes. With none of them nobody looks, and nothing is asked.
   * @param {string[]} messageIds
   * @param {string} newestId
   */
  watch(messageIds, newestId) {
    const watched = messageIds.slice(-MOST_ASKED);
    const seen = [newestId, ...watched].join();
    if (seen === this.#seen) return;
    this.#seen = seen;
    this.#watched = watched;
    this.#pauseMs = FIRST_MS;
    this.#askAfter(Math.max(0, this.#askedAt + FIRST_MS - this.#now()));
  }

  /** Those that somebody has not read. */
  get #asked() {
    return this.#watched.filter((messageId) => this.of(messageId).state !== "Read");
  }

  /** @param {number} ms */
  #askAfter(ms) {
    clearTimeout(this.#timer);
    if (this.#asked.length > 0 && !this.#end.aborted) this.#timer = setTimeout(() => void this.#ask(), ms);
  }

  async #ask() {
    this.#askedAt = this.#now();
    try {
      const options = { patienceMs: PATIENCE_MS, signal: this.#end };
      const { receipts } = await this.#client.fetchReceipts(this.#conversationId, this.#asked, options);
      for (const { messageId, members } of receipts) this.#known.set(messageId, inGroup(members));
      this.changed();
    } catch {
      // It is asked again.
    }
    this.#askAfter(this.#pauseMs);
    this.#pauseMs = Math.min(LONGEST_MS, 2 * this.#pauseMs);
  }
}

/**
 * What is shown of a message of a group. Where nobody else was in, nothing becomes of it.
 * @param {{state: "sent" | "delivered" | "read"}[]} members
 * @returns {InGroup}
 */
function inGroup(members) {
  const readBy = members.filter(({ state }) => state === "read").length;
  const isAnywhere = members.length > 0 && members.every(({ state }) => state !== "sent");
  return { state: !isAnywhere ? "Sent" : readBy === members.length ? "Read" : "Delivered", readBy };
}
