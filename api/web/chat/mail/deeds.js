// What a user does to messages that are there: another text, taking one back, a reaction. The mailbox brings what became
// of it; here is said only whether it was done.

import { reasonFor } from "./reasons.js";

/** How long a deed is tried. After that its user is told, and may do it again. */
const PATIENCE_MS = 5_000;
const REASONS = /** @type {Record<string, string>} */ ({
  message_unsent: "This message was taken back",
  too_late_to_change: "It is too late for that: the message is too old",
  unknown_message: "This message is not there any more",
  not_an_emoji: "That is not one emoji",
  message_too_large: "This text is too long",
  too_many_reactions: "There are too many different reactions already. Choose one of them",
});

/** @typedef {{conversationId: string, messageId: string}} Place */

export class Deeds {
  #client;
  #end;

  /**
   * @param {Pick<import("../../client/rowbox.js").Rowbox, "editMessage" | "unsendMessage" | "react">} client
   * @param {AbortSignal} end
   */
  constructor(client, end) {
    this.#client = client;
    this.#end = end;
  }

  /** Gives one's own message another text. Null when it was done; else why not, in words. @param {Place} place @param {string} text */
  edit({ conversationId, messageId }, text) {
    return reasonOf(this.#client.editMessage(conversationId, messageId, text, this.#options));
  }

  /** Takes a message back, for everybody: one's own, in one's group anybody's. As `edit`. @param {Place} place */
  takeBack({ conversationId, messageId }) {
    return reasonOf(this.#client.unsendMessage(conversationId, messageId, this.#options));
  }

  /** Reacts to anybody's message; "" takes that back. As `edit`. @param {Place} place @param {string} emoji */
  react({ conversationId, messageId }, emoji) {
    return reasonOf(this.#client.react(conversationId, messageId, emoji, this.#options));
  }

  get #options() {
    return { patienceMs: PATIENCE_MS, signal: this.#end };
  }
}

/** @param {Promise<unknown>} call @returns {Promise<?string>} */
async function reasonOf(call) {
  try {
    await call;
    return null;
  } catch (caught) {
    return reasonFor(caught, REASONS);
  }
}
