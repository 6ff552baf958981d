// Whom the user blocks. Nothing of what such a user writes to him is shown, and he is not told.

import { Observable } from "../../observable.js";
import { reasonFor } from "../reasons.js";

/** How long a request is tried. After that its user is told, and may ask again. */
const PATIENCE_MS = 5_000;
const REASONS = /** @type {Record<string, string>} */ ({
  feature_off: "The servers are being upgraded, and cannot block yet",
  peer_too_old: "The servers are being upgraded, and cannot block yet",
  too_many_blocks: "You block as many people as you may",
});

export class Blocks extends Observable {
  /** Their userIds, as they were last told; null before that. @type {?Set<string>} */
  users = null;
  #isLoading = false;
  #isStale = false;
  #client;
  #end;

  /**
   * @param {Pick<import("../../../client/rowbox.js").Rowbox, "block" | "unblock" | "fetchBlocks">} client
   * @param {AbortSignal} end
   */
  constructor(client, end) {
    super();
    this.#client = client;
    this.#end = end;
  }

  /** Whether the user blocks this one, as far as it is known. @param {string} userId */
  has(userId) {
    return this.users?.has(userId) ?? false;
  }

  /** To be called at the beginning, and when they may have changed. Never rejects: what was known stays then. */
  async load() {
    this.#isStale = true;
    if (this.#isLoading) return;
    this.#isLoading = true;
    while (this.#isStale) {
      this.#isStale = false;
      const users = await this.#all().catch(() => null); // cannot be said, or nobody answers: asked with the next change
      if (users === null || this.#isStale) continue; // what changed while it was asked for is newer than what it says
      this.users = users;
      this.changed();
    }
    this.#isLoading = false;
  }

  /** Null when it was done; else why not, in words without a full stop. @param {string} userId */
  block(userId) {
    return this.#do(this.#client.block(userId, this.#options), (users) => users.add(userId));
  }

  /** As `block`. @param {string} userId */
  unblock(userId) {
    return this.#do(this.#client.unblock(userId, this.#options), (users) => users.delete(userId));
  }

  /** What was done is shown also where the list cannot be had behind it.
   * @param {Promise<unknown>} call @param {(users: Set<string>) => unknown} apply @returns {Promise<?string>} */
  async #do(call, apply) {
    try {
      await call;
    } catch (error) {
      return reasonFor(error, REASONS);
    }
    if (this.users) {
      const users = new Set(this.users);
      apply(users);
      this.users = users;
      this.changed();
    }
    await this.load();
    return null;
  }

  async #all() {
    /** @type {Set<string>} */
    const users = new Set();
    for (let hasMore = true; hasMore; ) {
      const after = [...users].at(-1);
      const page = await this.#client.fetchBlocks({ ...(after !== undefined && { after }), ...this.#options });
      for (const { userId } of page.blocks) users.add(userId);
      hasMore = page.hasMore;
    }
    return users;
  }

  get #options() {
    return { patienceMs: PATIENCE_MS, signal: this.#end };
  }
}
