// What users are called. A name that is shown is asked for, with all others that are shown at that time, and kept for an
// hour: nothing tells the page that somebody else has another name. Who has no profile is called by his userId.

import { Observable } from "../../observable.js";

/** The API's limit of one request. */
const MOST_ASKED = 50;
/** The longest ago asked for is forgotten for the next one. */
const MOST_KEPT = 5_000;
const KEPT_MS = 3_600_000;
/** How long is waited after an answer that did not come. A connection that is back ends that. */
const PAUSE_MS = 30_000;
const PATIENCE_MS = 5_000;
/** Marks that turn the direction of what stands around them: a name turns nothing but itself. */
const TURNING = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** @typedef {(userId: string) => string} NameOf What a user is called. */

/** A name as it is shown; "" where nothing of it can be seen. @param {string} name */
export const shownName = (name) => name.replace(TURNING, "").replace(/\s+/gu, " ").trim();

export class Names extends Observable {
  /** The name of each user who was asked for, "" where he has none, and when that was. @type {Map<string, {name: string, askedAt: number}>} */
  #known = new Map();
  /** Whose names are to be asked for. @type {Set<string>} */
  #wanted = new Set();
  #isAsking = false;
  #pausedUntil = 0;
  #client;
  #end;
  #now;

  /**
   * @param {Pick<import("../../../client/rowbox.js").Rowbox, "fetchUsers">} client
   * @param {AbortSignal} end
   * @param {() => number} [now] Milliseconds since the epoch.
   */
  constructor(client, end, now = Date.now) {
    super();
    this.#client = client;
    this.#end = end;
    this.#now = now;
  }

  /** What the user is called as far as that is known; it is asked for where it is not, or was long ago. @type {NameOf} */
  of = (userId) => {
    const known = this.#known.get(userId);
    if (!known || known.askedAt + KEPT_MS <= this.#now()) this.#want(userId);
    return known?.name || userId;
  };

  /** The name that the user has in his profile; null where he has none or that is not known. @param {string} userId */
  given(userId) {
    return this.#known.get(userId)?.name || null;
  }

  /** To be called when the user's profile may have changed. @param {string} userId */
  askAgain(userId) {
    this.#want(userId);
  }

  /** To be called when the server is there again. */
  goOn() {
    this.#pausedUntil = 0;
    if (this.#wanted.size > 0) void this.#askAll();
  }

  /** @param {string} userId */
  #want(userId) {
    this.#wanted.add(userId);
    if (this.#now() >= this.#pausedUntil) void this.#askAll();
  }

  async #askAll() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    await null; // all that is drawn now is one request
    try {
      while (this.#wanted.size > 0 && !this.#end.aborted) await this.#ask([...this.#wanted].slice(0, MOST_ASKED));
    } catch {
      this.#pausedUntil = this.#now() + PAUSE_MS; // userIds do until then
    }
    this.#isAsking = false;
  }

  /** @param {string[]} userIds */
  async #ask(userIds) {
    for (const userId of userIds) this.#wanted.delete(userId); // who is wanted meanwhile is asked for once more
    let users;
    try {
      ({ users } = await this.#client.fetchUsers(userIds, { patienceMs: PATIENCE_MS, signal: this.#end }));
    } catch (error) {
      for (const userId of userIds) this.#wanted.add(userId);
      throw error;
    }
    const names = new Map(users.map(({ userId, name }) => [userId, shownName(name)]));
    const isNews = userIds.some((userId) => (names.get(userId) ?? "") !== (this.#known.get(userId)?.name ?? ""));
    for (const userId of userIds) {
      this.#known.delete(userId); // it is the last one now
      this.#known.set(userId, { name: names.get(userId) ?? "", askedAt: this.#now() });
    }
    for (const userId of [...this.#known.keys()].slice(0, Math.max(0, this.#known.size - MOST_KEPT))) this.#known.delete(userId);
    if (isNews) this.changed();
  }
}
