// What became of an own message: in a conversation of two by the marks that it has of the other one; in a group by asking.

/** How long is asked. The menu that shows it asks again. */
const PATIENCE_MS = 5_000;

/** @typedef {"Sent" | "Delivered" | "Read"} Receipt */

/**
 * A mark holds for all messages before it, and ids sort as their messages do.
 * @param {string} messageId
 * @param {import("../../client/rowbox.js").Receipts} [receipts] Missing where nothing is known.
 * @returns {Receipt}
 */
export function receiptOf(messageId, receipts) {
  if (!receipts || messageId > receipts.deliveredUpTo) return "Sent";
  return receipts.readUpTo !== null && messageId <= receipts.readUpTo ? "Read" : "Delivered";
}

/** Asks who of a group has read one's own messages. */
export class Readers {
  #client;
  #end;

  /**
   * @param {Pick<import("../../client/rowbox.js").Rowbox, "fetchReceipts">} client
   * @param {AbortSignal} end
   */
  constructor(client, end) {
    this.#client = client;
    this.#end = end;
  }

  /**
   * Who has read the message, and of how many; null where that is not known now.
   * @param {{conversationId: string, messageId: string}} place
   * @returns {Promise<?{users: string[], of: number}>}
   */
  async of({ conversationId, messageId }) {
    try {
      const options = { patienceMs: PATIENCE_MS, signal: this.#end };
      const { receipts } = await this.#client.fetchReceipts(conversationId, [messageId], options);
      const { members } = receipts[0];
      return { users: members.filter(({ state }) => state === "read").map(({ userId }) => userId), of: members.length };
    } catch {
      return null;
    }
  }
}
