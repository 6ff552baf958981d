// What stands in the composers of the conversations that one left: it is there again when one comes back, and after a
// reload.

import { ofTab } from "../browser/storage.js";
import { isPeer } from "../peers.js";

export class Drafts {
  /** @type {Map<string, string>} */
  #byPeer;
  #key;

  /** @param {string} userId */
  constructor(userId) {
    this.#key = `rowbox.drafts.${userId}`;
    const kept = ofTab.get(this.#key);
    const entries = kept && typeof kept === "object" && !Array.isArray(kept) ? Object.entries(kept) : [];
    this.#byPeer = new Map(entries.filter(([peer, text]) => isPeer(peer) && typeof text === "string" && text !== ""));
  }

  /** The peers, users and groups, for whom there is a draft. */
  get peers() {
    return [...this.#byPeer.keys()];
  }

  /** @param {string} peer */
  get(peer) {
    return this.#byPeer.get(peer) ?? "";
  }

  /**
   * @param {string} peer
   * @param {string} text
   */
  set(peer, text) {
    if (text === "") this.#byPeer.delete(peer);
    else this.#byPeer.set(peer, text);
    ofTab.set(this.#key, Object.fromEntries(this.#byPeer));
  }

  clear() {
    this.#byPeer.clear();
    ofTab.remove(this.#key);
  }
}
