// What became of an own message, by the marks that the conversation has of the other one.

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
