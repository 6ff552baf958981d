// What a group's newest message says where nobody wrote it, for the list of conversations: a conversation tells that text
// of a message only. What comes is taken as it comes; what was there before is asked for, one group after the other.

import { Observable } from "../observable.js";

/** So many of the list's first lines are asked for: as many as somebody sees at once, and some more. */
const MOST_ASKED = 30;
const PATIENCE_MS = 5_000;

/**
 * @typedef {import("../../client/rowbox.js").Conversation} Conversation
 * @typedef {import("../../client/rowbox.js").GroupEvent} GroupEvent
 */

export class LastEvents extends Observable {
  /**
   * Of each group the newest message that was looked at. Its event is null where retention took it, undefined where that
   * was asked for and has not come.
   * @type {Map<string, {messageId: string, event: ?GroupEvent | undefined}>}
   */
  #known = new Map();
  /** @type {Conversation[]} */
  #shown = [];
  #client;
  #end;
  #isAsking = false;

  /**
   * @param {Pick<import("../../client/rowbox.js").Rowbox, "fetchMessages">} client
   * @param {AbortSignal} end
   */
  constructor(client, end) {
    super();
    this.#client = client;
    this.#end = end;
  }

  /** The event; null where there is none any more; undefined where that is not known. @param {Conversation} conversation */
  of({ conversationId, lastMessageId }) {
    const known = this.#known.get(conversationId);
    return known?.messageId === lastMessageId ? known.event : undefined;
  }

  /** Takes what a change brings, oldest first. @param {import("../../client/rowbox.js").Message[]} messages */
  take(messages) {
    for (const { kind, conversationId, messageId, event } of messages) {
      if (kind === "system") this.#known.set(conversationId, { messageId, event: event ?? null });
    }
  }

  /** Asks for what the first of these lack. @param {Conversation[]} conversations The newest first. */
  async look(conversations) {
    this.#shown = conversations.slice(0, MOST_ASKED);
    if (this.#isAsking) return;
    this.#isAsking = true;
    for (let next = this.#lacking; next; next = this.#lacking) {
      try {
        await this.#ask(next);
      } catch {
        this.#known.delete(next.conversationId); // the next change of the list asks again
        break;
      }
    }
    this.#isAsking = false;
  }

  get #lacking() {
    const isLooked = (/** @type {Conversation} */ one) => this.#known.get(one.conversationId)?.messageId === one.lastMessageId;
    return this.#shown.find((one) => isWithoutText(one) && !isLooked(one));
  }

  /** @param {Conversation} conversation */
  async #ask({ conversationId, lastMessageId: messageId }) {
    this.#known.set(conversationId, { messageId, event: undefined });
    const options = { patienceMs: PATIENCE_MS, signal: this.#end };
    const { messages } = await this.#client.fetchMessages({ conversationId, pageSize: 1 }, options);
    const newest = messages.at(0);
    if (newest && newest.messageId !== messageId) return; // another one came meanwhile, and with it a change
    if (this.#known.get(conversationId)?.messageId !== messageId) return;
    this.#known.set(conversationId, { messageId, event: newest?.event ?? null });
    this.changed();
  }
}

/** Whether a line of the list has to say an event. @param {Conversation} conversation */
const isWithoutText = ({ kind, snippet, lastMessageUnsent }) => kind === "group" && snippet === null && !lastMessageUnsent;
