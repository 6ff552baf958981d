// What a user wrote that the server has not confirmed. It is kept in the tab's storage under its clientMessageId, so a
// reload goes on with it and it is still one message.

import { newClientMessageId } from "../client/rowbox.js";
import { Observable } from "./observable.js";

/**
 * @typedef {object} Unsent
 * @property {string} clientMessageId
 * @property {string} recipientId
 * @property {string} content
 * @property {number} writtenAt Milliseconds since the epoch.
 * @property {"sending" | "failed"} state
 * @property {string} [reason] Why it failed, in words.
 * @property {boolean} [isRefused] The server said no: trying again changes nothing.
 */
export class Outbox extends Observable {
  /** @type {Unsent[]} */
  #unsent;
  #client;
  #key;
  #onSent;

  /**
   * `onSent(unsent, sent)` is called with what was written and the server's answer.
   * @param {import("../client/rowbox.js").Rowbox} client
   * @param {string} userId
   * @param {(unsent: Unsent, sent: import("../client/rowbox.js").Sent) => void} onSent
   */
  constructor(client, userId, onSent) {
    super();
    this.#client = client;
    this.#key = `rowbox.outbox.${userId}`;
    this.#onSent = onSent;
    this.#unsent = JSON.parse(sessionStorage.getItem(this.#key) ?? "[]");
  }

  /** Goes on with what was under way when the page was left, in the order in which it was written. */
  resume() {
    for (const unsent of this.#unsent) if (unsent.state === "sending") void this.#send(unsent);
  }

  /** What is not confirmed to `recipientId`, oldest first. @param {string} recipientId */
  to(recipientId) {
    return this.#unsent.filter((unsent) => unsent.recipientId === recipientId);
  }

  /**
   * @param {string} recipientId
   * @param {string} content
   */
  submit(recipientId, content) {
    /** @type {Unsent} */
    const unsent = { clientMessageId: newClientMessageId(), recipientId, content, writtenAt: Date.now(), state: "sending" };
    this.#unsent = [...this.#unsent, unsent];
    this.#store();
    void this.#send(unsent);
  }

  /** Tries a failed one again, behind what was written since. @param {Unsent} failed */
  retry(failed) {
    /** @type {Unsent} */
    const unsent = { ...failed, state: "sending", reason: undefined };
    this.#unsent = [...this.#unsent.filter((one) => one !== failed), unsent];
    this.#store();
    void this.#send(unsent);
  }

  /** Forgets these: thrown away by the user, or seen in the mailbox. @param {Set<string | undefined>} clientMessageIds */
  forget(clientMessageIds) {
    const kept = this.#unsent.filter((unsent) => !clientMessageIds.has(unsent.clientMessageId));
    if (kept.length === this.#unsent.length) return;
    this.#unsent = kept;
    this.#store();
  }

  /** @param {Unsent} unsent */
  async #send(unsent) {
    const { recipientId, content, clientMessageId } = unsent;
    try {
      const sent = await this.#client.send(recipientId, content, { clientMessageId });
      this.#onSent(unsent, sent);
      this.forget(new Set([clientMessageId]));
    } catch (error) {
      this.#fail(unsent, /** @type {import("../client/rowbox.js").RowboxError} */ (error));
    }
  }

  /**
   * @param {Unsent} unsent
   * @param {import("../client/rowbox.js").RowboxError} error
   */
  #fail(unsent, { message, retryable }) {
    /** @type {Unsent} */
    const failed = { ...unsent, state: "failed", reason: message, isRefused: !retryable };
    this.#unsent = this.#unsent.map((one) => (one === unsent ? failed : one));
    this.#store();
  }

  #store() {
    try {
      sessionStorage.setItem(this.#key, JSON.stringify(this.#unsent));
    } catch {
      // Full: the message is sent all the same, it would only not survive a reload.
    }
    this.changed();
  }
}
