// The messages of one conversation: the newest page, what comes behind it, and older ones as one scrolls up.

import { Observable } from "../observable.js";

const PAGE_SIZE = 50;
/** How long an older page is tried. After that the reader is told, and may ask again. */
const PATIENCE_MS = 5_000;
/** The least time between two read marks, which count against the limit of sends: a lively conversation must not use it up. */
const LEAST_MS_BETWEEN_MARKS = 1_000;

/** @typedef {import("../../client/rowbox.js").RowboxError} RowboxError */
/**
 * @typedef {Omit<import("../../client/rowbox.js").Message, "participants" | "lastUpdatedTimestamp"> &
 *   {lastUpdatedTimestamp?: number}} Message What is known of a message; as soon as it is sent that is no version yet.
 */

export class Thread extends Observable {
  /** Oldest first, by the API's order of a conversation. @type {Message[]} */
  messages = [];
  isLoaded = false;
  isLoadingOlder = false;
  /** Why the newest page or the last older one did not come: a RowboxError, or null. @type {?RowboxError} */
  failure = null;
  #client;
  /** @type {?string} */
  #conversationId = null;
  /** @type {Map<string, Message>} */
  #byId = new Map();
  /** @type {?string} */
  #cursor = null;
  /** What ends the loading of the newest page that is under way. @type {?AbortController} */
  #loading = null;
  #end = new AbortController();
  #accountEnd;
  #isMarking = false;
  /** The newest message that was seen, and up to which the server was told. @type {?string} */
  #seenId = null;
  /** @type {?string} */
  #markedId = null;

  /**
   * @param {import("../../client/rowbox.js").Rowbox} client
   * @param {string} peer
   * @param {{isFocused: boolean, end: AbortSignal}} options Whether the keyboard goes to where one writes; and what ends
   *   the calls that go on when the conversation is left: what was read stays read.
   */
  constructor(client, peer, { isFocused, end }) {
    super();
    this.#accountEnd = end;
    this.#client = client;
    this.peer = peer;
    /** How often the keyboard's focus was moved to the composer. */
    this.focusCount = isFocused ? 1 : 0;
  }

  get hasOlder() {
    return this.#cursor !== null;
  }

  get conversationId() {
    return this.#conversationId;
  }

  /** Loads it, once it is known which conversation it is: one that nobody wrote in yet has no id. @param {string} conversationId */
  begin(conversationId) {
    if (this.#conversationId !== null || this.#end.signal.aborted) return;
    this.#conversationId = conversationId;
    void this.#load();
  }

  /** Loads it anew, because the mailbox begins anew. What is shown stays until that has come. */
  reload() {
    if (this.#conversationId === null || this.#end.signal.aborted) return;
    this.#byId = new Map();
    this.#cursor = null;
    void this.#load();
  }

  /** Moves the keyboard's focus to the composer. */
  focus() {
    this.focusCount += 1;
    this.changed();
  }

  /** To be called where there is no conversation yet, so that there is nothing to load. */
  beginEmpty() {
    this.isLoaded = true;
    this.changed();
  }

  close() {
    this.#end.abort();
  }

  /** Takes messages from wherever they came; one that is here in a newer version stays as it is. @param {Message[]} messages */
  take(messages) {
    for (const message of messages) {
      const known = this.#byId.get(message.messageId);
      const isOlder = (known?.lastUpdatedTimestamp ?? 0) > (message.lastUpdatedTimestamp ?? 0);
      if (!isOlder) this.#byId.set(message.messageId, message);
    }
    if (this.isLoaded && this.#loading) return; // it is loaded anew: what is shown is whole
    this.messages = [...this.#byId.values()].sort(oldestFirst);
    this.changed();
  }

  async loadOlder() {
    if (!this.hasOlder || this.isLoadingOlder) return;
    this.isLoadingOlder = true;
    this.failure = null;
    this.changed();
    const cursor = this.#cursor;
    const query = { conversationId: this.#conversationId, pageSize: PAGE_SIZE, cursor };
    try {
      const page = await this.#client.fetchMessages(query, { patienceMs: PATIENCE_MS, signal: this.#end.signal });
      if (cursor === this.#cursor) {
        if (page.resetReason) this.#byId.clear(); // the cursor's list is gone, and this is the first page of another one
        this.#cursor = page.nextCursor;
        this.take(page.messages);
      }
    } catch (error) {
      this.failure = /** @type {RowboxError} */ (error);
    }
    this.isLoadingOlder = false;
    this.changed();
  }

  /** To be called when the reader sees the newest message. Tells the server, but not too often. */
  markRead() {
    const newest = this.messages.at(-1);
    const conversationId = this.#conversationId;
    if (!newest || conversationId === null || newest.messageId === this.#markedId) return;
    this.#seenId = newest.messageId;
    if (!this.#isMarking) void this.#mark(conversationId, newest.messageId);
  }

  /** @param {string} conversationId @param {string} messageId */
  async #mark(conversationId, messageId) {
    this.#isMarking = true;
    this.#markedId = messageId;
    try {
      await this.#client.markRead(conversationId, messageId, { signal: this.#accountEnd });
    } catch {
      this.#markedId = null; // the count stays, and the next look tries again
    }
    setTimeout(() => {
      this.#isMarking = false;
      const seenId = this.#seenId; // meanwhile, maybe by who has left the conversation since
      if (this.#markedId !== null && seenId !== null && seenId !== this.#markedId) void this.#mark(conversationId, seenId);
      else this.changed();
    }, LEAST_MS_BETWEEN_MARKS);
  }

  async #load() {
    this.#loading?.abort();
    const loading = new AbortController();
    this.#loading = loading;
    const end = () => loading.abort();
    this.#end.signal.addEventListener("abort", end);
    try {
      const query = { conversationId: this.#conversationId };
      const page = await this.#client.fetchMessages(query, { patienceMs: Number.POSITIVE_INFINITY, signal: loading.signal });
      if (loading.signal.aborted) return;
      this.#cursor = page.nextCursor;
      this.isLoaded = true;
      this.#loading = null;
      this.take(page.messages);
    } catch (error) {
      if (loading.signal.aborted) return;
      this.#loading = null;
      this.failure = /** @type {RowboxError} */ (error);
      this.changed();
    } finally {
      this.#end.signal.removeEventListener("abort", end);
    }
  }
}

/**
 * @param {Message} one
 * @param {Message} other
 */
function oldestFirst(one, other) {
  if (one.sentTimestamp !== other.sentTimestamp) return one.sentTimestamp - other.sentTimestamp;
  return one.messageId < other.messageId ? -1 : 1;
}
