// The group whose conversation is open: who is in, and who may do what. The server is asked when it is opened, and again
// when the mailbox tells of a newer state.

import { Observable } from "../observable.js";
import { GroupReceipts } from "./group_receipts.js";
import { reasonFor } from "./reasons.js";

const PATIENCE_MS = 5_000;

/**
 * @typedef {import("../../client/rowbox.js").Group} Group
 * @typedef {import("../../client/rowbox.js").Conversation} Conversation
 */

export class OpenGroup extends Observable {
  /** As it was last told; null before that. @type {?Group} */
  group = null;
  /** Why it could not be loaded, in words. @type {?string} */
  failure = null;
  #client;
  #end;
  /** The loading that is under way. @type {?Promise<void>} */
  #loading = null;
  /** The version that the mailbox knows of. */
  #wanted = 0;

  /**
   * @param {Pick<import("../../client/rowbox.js").Rowbox, "fetchGroup" | "fetchReceipts">} client
   * @param {string} conversationId
   * @param {AbortSignal} end
   */
  constructor(client, conversationId, end) {
    super();
    this.#client = client;
    this.conversationId = conversationId;
    this.#end = end;
    this.receipts = new GroupReceipts(client, conversationId, end);
    this.receipts.subscribe(() => this.changed());
  }

  /** To be called with what the mailbox knows of the group. Who is out is not told of it any more. @param {Conversation} conversation */
  follow({ membership, groupVersion = 0 }) {
    if (membership !== "in") return;
    this.#wanted = groupVersion;
    if ((this.group?.version ?? -1) < groupVersion) void this.load();
  }

  /** Asks for it now. Never rejects: `failure` says why it did not come. */
  load() {
    this.#loading ??= this.#load().finally(() => (this.#loading = null));
    return this.#loading;
  }

  async #load() {
    this.failure = null;
    this.changed();
    try {
      let asked;
      do {
        asked = this.#wanted;
        this.group = await this.#client.fetchGroup(this.conversationId, { patienceMs: PATIENCE_MS, signal: this.#end });
        this.changed();
      } while (this.#wanted > asked && this.group.version < this.#wanted);
    } catch (error) {
      this.failure = reasonFor(error, {});
      this.changed();
    }
  }
}
