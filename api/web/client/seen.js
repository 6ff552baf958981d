/**
 * Whom a program watches, and what it was told of them. Pure, as feed.js, of which it is a part: it is no module for others.
 * client/following/seen.py is the same in Python.
 *
 * A new connection watches anew. What the one before it told is believed for UNSEEN_MS, so that nobody flickers where a
 * connection is replaced; then it is not known any more.
 *
 * @module seen
 */

/** How often the server is told of others to watch. The newest counts. */
const WATCH_MS = 1_000;
/** How long what a connection told is believed behind its end: who is online was active within the last 30 s. */
const UNSEEN_MS = 30_000;

/** @typedef {import("./feed.js").Effect} Effect */

/** The watch of one following. */
export class People {
  /** @type {Set<string>} */
  #watched = new Set();
  /** The server is to be told of `#watched`. */
  #isUnsaid = false;
  #saidMs = -Infinity;
  /** Those of whom something is known. @type {Set<string>} */
  #shown = new Set();
  /** Those of them of whom this connection has told nothing yet. @type {Set<string>} */
  #stale = new Set();
  /** When nothing is known of those any more. */
  #forgetMs = Infinity;

  /**
   * As FeedSession has it.
   * @param {string[]} users
   * @param {number} nowMs
   * @param {boolean} isOpen
   * @returns {Effect[]}
   */
  watch(users, nowMs, isOpen) {
    const watched = new Set(users);
    if (watched.size === this.#watched.size && [...watched].every((user) => this.#watched.has(user))) return [];
    this.#watched = watched;
    this.#isUnsaid = true;
    this.#shown = new Set([...this.#shown].filter((user) => watched.has(user)));
    this.#refreshed([...this.#stale].filter((user) => watched.has(user)));
    return isOpen ? this.#say(nowMs) : [];
  }

  /** A connection is open. @param {number} nowMs @returns {Effect[]} */
  opened(nowMs) {
    this.#isUnsaid = this.#watched.size > 0;
    this.#saidMs = -Infinity;
    return this.#say(nowMs);
  }

  /**
   * The server has told what is so of users. Some of them may not be watched any more.
   * @param {Record<string, any>} users
   * @returns {Effect[]}
   */
  told(users) {
    const known = Object.entries(users).filter(([user]) => this.#watched.has(user));
    for (const [user, seen] of known) {
      if (seen === null) this.#shown.delete(user);
      else this.#shown.add(user);
      this.#stale.delete(user);
    }
    this.#refreshed([...this.#stale]);
    return known.length ? [{ do: "seen", users: Object.fromEntries(known) }] : [];
  }

  /** A connection that was open is not any more. @param {number} nowMs */
  apart(nowMs) {
    if (this.#shown.size === 0) return;
    this.#stale = new Set(this.#shown);
    this.#forgetMs = Math.min(this.#forgetMs, nowMs + UNSEEN_MS);
  }

  /** There is no connection, and there will be none: nothing is known any more. @returns {Effect[]} */
  forget() {
    this.#stale = this.#shown;
    return this.#forgotten();
  }

  /** When `elapsed` is to be called. @param {boolean} isOpen */
  dueMs(isOpen) {
    return Math.min(this.#isUnsaid && isOpen ? this.#saidMs + WATCH_MS : Infinity, this.#forgetMs);
  }

  /** Time has passed. @param {number} nowMs @param {boolean} isOpen @returns {Effect[]} */
  elapsed(nowMs, isOpen) {
    const forgotten = nowMs >= this.#forgetMs ? this.#forgotten() : [];
    return isOpen ? [...forgotten, ...this.#say(nowMs)] : forgotten;
  }

  /** @param {number} nowMs @returns {Effect[]} */
  #say(nowMs) {
    if (!this.#isUnsaid || nowMs < this.#saidMs + WATCH_MS) return [];
    this.#isUnsaid = false;
    this.#saidMs = nowMs;
    return [{ do: "say", frame: { t: "watch", users: [...this.#watched] } }];
  }

  /** Only these are stale now. @param {string[]} stale */
  #refreshed(stale) {
    this.#stale = new Set(stale);
    if (stale.length === 0) this.#forgetMs = Infinity;
  }

  /** @returns {Effect[]} */
  #forgotten() {
    const users = [...this.#stale];
    this.#shown = new Set([...this.#shown].filter((user) => !this.#stale.has(user)));
    this.#refreshed([]);
    return users.length ? [{ do: "seen", users: Object.fromEntries(users.map((user) => [user, null])) }] : [];
  }
}
