// Who of those whom the user talks to is online, and since when somebody is not. The server tells it of those whom the page
// watches: the other one of the conversation that is open, and those of the list, the newest first.

import { Observable } from "../../observable.js";

/** The API's limit. */
const MOST_WATCHED = 200;

/** @typedef {import("../../../client/rowbox.js").Presence} Seen */

export class Presence extends Observable {
  /** Of those of whom it is known and shown. @type {Map<string, Seen>} */
  #seen = new Map();
  #client;

  /** @param {Pick<import("../../../client/rowbox.js").Rowbox, "watch" | "active">} client */
  constructor(client) {
    super();
    this.#client = client;
  }

  /** When the user was there last, as far as that is known and shown. @param {string} userId @returns {?Seen} */
  of(userId) {
    return this.#seen.get(userId) ?? null;
  }

  /** Watches these from now on, and nobody else; the first ones where they are too many. @param {string[]} userIds */
  watch(userIds) {
    const watched = [...new Set(userIds)].slice(0, MOST_WATCHED);
    const gone = [...this.#seen.keys()].filter((userId) => !watched.includes(userId));
    for (const userId of gone) this.#seen.delete(userId);
    this.#client.watch(watched);
    if (gone.length > 0) this.changed();
  }

  /** What the server has told. @param {Record<string, ?Seen>} users */
  take(users) {
    for (const [userId, seen] of Object.entries(users)) {
      if (seen === null) this.#seen.delete(userId);
      else this.#seen.set(userId, seen);
    }
    this.changed();
  }

  /** A person looks at the page. */
  look() {
    this.#client.active();
  }
}
