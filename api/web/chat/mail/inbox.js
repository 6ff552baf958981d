// A user's conversations, newest first, as far as they were loaded.

import { Endings, hasEnded } from "../endings.js";
import { isMuted } from "./user/conversation_settings.js";
import { Observable } from "../observable.js";
import { groupIdOf, groupPeer } from "../peers.js";
import { listOf, withinWords } from "../told.js";

/** How long a further page is tried. After that the reader is told, and may ask again. */
const PATIENCE_MS = 5_000;
const PAGE_SIZE = 100;
/** So many conversations are loaded by themselves. */
const MOST_AHEAD = 1_000;

/**
 * @typedef {import("../../client/rowbox.js").Conversation} Conversation
 * @typedef {import("../../client/rowbox.js").Changes} Changes
 */

export class Inbox extends Observable {
  /** @type {Conversation[]} */
  conversations = [];
  isLoaded = false;
  /** @type {Map<string, Conversation>} */
  #byId = new Map();
  #client;
  #userId;
  #names;
  #end;
  #endings;
  /** @type {?string} */
  #cursor = null;
  /** @type {?Promise<void>} */
  #loading = null;

  /**
   * @param {import("../../client/rowbox.js").Rowbox} client
   * @param {string} userId
   * @param {import("./user/names.js").Names} names
   * @param {AbortSignal} end
   */
  constructor(client, userId, names, end) {
    super();
    this.#end = end;
    this.#endings = new Endings(() => this.#take([]), end);
    this.#client = client;
    this.#userId = userId;
    this.#names = names;
  }

  get hasMore() {
    return this.#cursor !== null;
  }

  /** Of all conversations that may call the user. */
  get unreadCount() {
    const counts = this.conversations.map((one) => (isMuted(one) ? 0 : one.unreadCount || Number(one.markedUnread ?? false)));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** Whom a conversation is with: a group, the other one, or oneself in notes to oneself. @param {Conversation} conversation */
  peerOf({ kind, conversationId, participants }) {
    if (kind === "group") return groupPeer(conversationId);
    return participants.find((participant) => participant !== this.#userId) ?? this.#userId;
  }

  /** @param {string} peer */
  with(peer) {
    return this.conversations.find((conversation) => this.peerOf(conversation) === peer) ?? null;
  }

  /** What a peer is called: a user by his name; a group as nameOf says. @param {string} peer */
  titleOf(peer) {
    const conversation = this.with(peer);
    if (conversation) return this.nameOf(conversation);
    return groupIdOf(peer) === null ? this.#names.of(peer) : "Group";
  }

  /** What a conversation is called: as the other one is; a group by its name, or by who is in where it has none. @param {Conversation} conversation */
  nameOf(conversation) {
    const { kind, name, participants, memberCount = 0 } = conversation;
    if (kind !== "group") return this.#names.of(this.peerOf(conversation));
    if (name) return name;
    const others = participants.filter((participant) => participant !== this.#userId).map((other) => withinWords(this.#names.of(other)));
    const more = memberCount - participants.length;
    if (others.length === 0) return "Group";
    return more > 0 ? `${others.join(", ")} and ${more} more` : listOf(others);
  }

  /**
   * Of a message in any conversation: whom that is with, and what it is called. The conversation may be further down the list
   * than what is loaded: a message of two names both, and one of a group nobody.
   * @param {import("../../client/rowbox.js").Message} message
   */
  placeOf({ conversationId, participants }) {
    const isGroup = participants.length === 0;
    const peer = isGroup ? groupPeer(conversationId) : (participants.find((participant) => participant !== this.#userId) ?? this.#userId);
    return { peer, title: this.titleOf(peer), isGroup };
  }

  /** Users whom the user writes to or shares a group with, the latest first. */
  get people() {
    const people = new Set(this.conversations.flatMap(({ participants }) => participants));
    people.delete(this.#userId);
    return [...people];
  }

  /** Takes what the client's follower gives. Of a beginning, which is short, further pages are loaded by themselves. @param {Changes} change */
  apply({ isDeltaUpdate, conversations, nextCursor }) {
    if (!isDeltaUpdate) {
      this.#byId.clear();
      this.#cursor = nextCursor;
    }
    this.#take(conversations);
    if (!isDeltaUpdate) void this.#loadAhead().catch(() => {}); // who scrolls there asks again
  }

  /** Loads so many that what is pinned or archived is among them as a rule, however long ago its last message is. */
  async #loadAhead() {
    while (this.hasMore && this.#byId.size < MOST_AHEAD) {
      const { size } = this.#byId;
      await this.loadMore(size < PAGE_SIZE ? PAGE_SIZE - size : PAGE_SIZE);
    }
  }

  /** Loads the next page. Throws what the client throws, and may then be called again. */
  loadMore(pageSize = PAGE_SIZE) {
    this.#loading ??= this.#loadPage(pageSize).finally(() => (this.#loading = null));
    return this.#loading;
  }

  /** The conversation with `peer`, looked for on all pages; null where there is none. Throws as loadMore. @param {string} peer */
  async find(peer) {
    while (!this.with(peer) && this.hasMore) await this.loadMore();
    return this.with(peer);
  }

  /**
   * Whom a conversation is with, looked for on all pages; and if it is on none, waited for, because it may be new. Null where it
   * did not come until `end`. @param {string} conversationId @param {AbortSignal} end
   */
  async peerIn(conversationId, end) {
    while (!end.aborted) {
      const conversation = this.#byId.get(conversationId);
      if (conversation) return this.peerOf(conversation);
      const isNext = this.hasMore && (await this.loadMore().then(() => true, () => false));
      if (!isNext) await this.#change(end);
    }
    return null;
  }

  /** @param {AbortSignal} end @returns {Promise<void>} */
  #change(end) {
    return new Promise((resolve) => {
      const stop = this.subscribe(() => done());
      const done = () => {
        stop();
        end.removeEventListener("abort", done);
        resolve();
      };
      end.addEventListener("abort", done);
    });
  }

  /** @param {number} pageSize */
  async #loadPage(pageSize) {
    const cursor = this.#cursor;
    const page = await this.#client.fetchConversation({ pageSize, cursor }, { patienceMs: PATIENCE_MS, signal: this.#end });
    if (cursor !== this.#cursor) return; // a reset came meanwhile: this page belongs to the list before it
    if (page.resetReason) this.#byId.clear(); // the cursor's list is gone, and this is the first page of another one
    this.#cursor = page.nextCursor;
    this.#take(page.conversations);
  }

  /** @param {Conversation[]} conversations */
  #take(conversations) {
    for (const conversation of conversations) {
      const known = this.#byId.get(conversation.conversationId);
      // A page behind a cursor is as old as the list's first page, so changes that came since are newer.
      if (known && known.lastUpdatedTimestamp > conversation.lastUpdatedTimestamp) continue;
      this.#byId.set(conversation.conversationId, conversation);
    }
    // What the user has deleted stays known: an older state of it may come later, from a page.
    this.conversations = [...this.#byId.values()].filter(({ deleted }) => !deleted).sort(newestFirst).map(asOfNow);
    this.#endings.watch(this.conversations.map(({ snippet, snippetExpiresTimestamp }) => (snippet === null ? undefined : snippetExpiresTimestamp)));
    this.isLoaded = true;
    this.changed();
  }
}

/** A conversation without the text of a newest message that has disappeared since. @param {Conversation} conversation @returns {Conversation} */
function asOfNow(conversation) {
  return hasEnded(conversation.snippetExpiresTimestamp) ? { ...conversation, snippet: null } : conversation;
}

/**
 * @param {Conversation} one
 * @param {Conversation} other
 */
function newestFirst(one, other) {
  if (one.lastSentTimestamp !== other.lastSentTimestamp) return other.lastSentTimestamp - one.lastSentTimestamp;
  return one.lastMessageId < other.lastMessageId ? 1 : -1;
}
