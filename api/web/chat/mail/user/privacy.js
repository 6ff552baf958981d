// Whether the user is shown as online to those whom he talks to. It is in his profile, and holds both ways: who is not shown is
// shown nobody.

import { Observable } from "../../observable.js";
import { reasonFor } from "../reasons.js";

/** How long a request is tried. After that its user is told, and may ask again. */
const PATIENCE_MS = 5_000;
const REASONS = /** @type {Record<string, string>} */ ({
  unknown_user: "Set your name first",
  peer_too_old: "The server is being upgraded, and cannot keep this yet. Try again later",
});

export class Privacy extends Observable {
  /** As the server said last; null before that. @type {?boolean} */
  isShown = null;
  /** Whether there is a profile in which this can be kept. */
  hasProfile = false;
  #client;
  #userId;
  #end;

  /**
   * @param {Pick<import("../../../client/rowbox.js").Rowbox, "fetchUser" | "fetchUsers" | "updateUser">} client
   * @param {string} userId
   * @param {AbortSignal} end
   */
  constructor(client, userId, end) {
    super();
    this.#client = client;
    this.#userId = userId;
    this.#end = end;
  }

  /** Asks the server. Never rejects: what was known stays where it does not answer. */
  async load() {
    try {
      const { users } = await this.#client.fetchUsers([this.#userId], this.#options); // else it would be an error to be unknown
      if (users.length === 0) return this.#become(true, false);
      const { lastSeen } = await this.#client.fetchUser(undefined, this.#options);
      this.#become(lastSeen !== "nobody", true);
    } catch {
      // it is asked again with the next change of the account
    }
  }

  /** Null when it was done; else why not, in words without a full stop. @param {boolean} isShown @returns {Promise<?string>} */
  async choose(isShown) {
    this.#become(isShown, true); // as it will be: what was chosen is not taken back while that is on its way
    try {
      await this.#client.updateUser({ lastSeen: isShown ? "everyone" : "nobody" }, this.#options);
      return null;
    } catch (error) {
      this.#become(!isShown, true);
      return reasonFor(error, REASONS);
    }
  }

  /** @param {boolean} isShown @param {boolean} hasProfile */
  #become(isShown, hasProfile) {
    this.isShown = isShown;
    this.hasProfile = hasProfile;
    this.changed();
  }

  get #options() {
    return { patienceMs: PATIENCE_MS, signal: this.#end };
  }
}
