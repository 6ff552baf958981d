// What the user sets of a conversation for himself: nobody else sees it. The mailbox brings what became of it; here is said
// only why something was not done.

import { reasonFor } from "../reasons.js";

/** How long a request is tried. After that its user is told, and may ask again. */
const PATIENCE_MS = 5_000;
const US_A_MS = 1_000;
/** The API's time for "until that is ended". */
const FOR_GOOD = Number.MAX_SAFE_INTEGER;
const REASONS = /** @type {Record<string, string>} */ ({
  too_many_pinned: "As many are pinned as there may be: unpin another one first",
  unknown_conversation: "This conversation is not there any more",
  not_allowed: "Only the owner and admins of this group set that",
  blocked_by_you: "You have blocked this user",
  feature_off: "The server is being upgraded, and cannot do that yet. Try again later",
  peer_too_old: "The server is being upgraded, and cannot do that yet. Try again later",
});

/** @typedef {import("../../../client/rowbox.js").Conversation} Conversation */

/** Whether its messages call nobody now. @param {Conversation} conversation @param {number} [now] Milliseconds since the epoch. */
export const isMuted = ({ mutedUntil = 0 }, now = Date.now()) => mutedUntil > now * US_A_MS;

/** Whether there is something unread in it, or its user wants it to look so. @param {Conversation} conversation */
export const isUnread = ({ unreadCount, markedUnread = false }) => unreadCount > 0 || markedUnread;

export class ConversationSettings {
  #client;
  #end;

  /**
   * @param {Pick<import("../../../client/rowbox.js").Rowbox, "setConversation" | "deleteConversation" | "markRead" | "setTtl">} client
   * @param {AbortSignal} end
   */
  constructor(client, end) {
    this.#client = client;
    this.#end = end;
  }

  /** Null when it was done; else why not, in words without a full stop. @param {Conversation} conversation @param {boolean} pinned */
  pin({ conversationId }, pinned) {
    return this.#set(conversationId, { pinned });
  }

  /** As `pin`. @param {Conversation} conversation @param {boolean} archived */
  archive({ conversationId }, archived) {
    return this.#set(conversationId, { archived });
  }

  /** As `pin`. For so long; null: until that is ended. @param {Conversation} conversation @param {?number} ms */
  mute({ conversationId }, ms) {
    return this.#set(conversationId, { mutedUntil: ms === null ? FOR_GOOD : (Date.now() + ms) * US_A_MS });
  }

  /** As `pin`. @param {Conversation} conversation */
  unmute({ conversationId }) {
    return this.#set(conversationId, { mutedUntil: 0 });
  }

  /** As `pin`. @param {Conversation} conversation */
  markUnread({ conversationId }) {
    return this.#set(conversationId, { markedUnread: true });
  }

  /** As `pin`. The user's own copy is gone then, of what is there now. @param {Conversation} conversation */
  delete({ conversationId }) {
    return outcomeOf(this.#client.deleteConversation(conversationId, this.#options));
  }

  /** As `pin`. For everybody: what is sent from now on disappears after so long; 0: not by itself. @param {Conversation} conversation @param {number} ms */
  disappear({ conversationId }, ms) {
    return outcomeOf(this.#client.setTtl(conversationId, ms, this.#options));
  }

  /** As `pin`. All that is there now is read. @param {Conversation} conversation */
  markRead({ conversationId, lastMessageId }) {
    return outcomeOf(this.#client.markRead(conversationId, lastMessageId, this.#options));
  }

  /** @param {string} conversationId @param {Parameters<import("../../../client/rowbox.js").Rowbox["setConversation"]>[1]} settings */
  #set(conversationId, settings) {
    return outcomeOf(this.#client.setConversation(conversationId, settings, this.#options));
  }

  get #options() {
    return { patienceMs: PATIENCE_MS, signal: this.#end };
  }
}

/** @param {Promise<unknown>} call @returns {Promise<?string>} */
async function outcomeOf(call) {
  try {
    await call;
    return null;
  } catch (error) {
    return reasonFor(error, REASONS);
  }
}
