// The messages of one conversation: the newest page, what comes behind it, and older ones as one scrolls up.

import { Observable } from "../observable.js";
import { Endings, hasEnded } from "../endings.js";

const PAGE_SIZE = 50;
/** While a message is looked for: the API's largest page, and after so many of them the reader is asked whether to go on. */
const SEEK_PAGE_SIZE = 200;
const MOST_PAGES_SOUGHT = 10;
/** How long an older page is tried. After that the reader is told, and may ask again. */
const PATIENCE_MS = 5_000;
/** The least time between two read marks, which count against the limit of sends: a lively conversation must not use it up. */
const LEAST_MS_BETWEEN_MARKS = 1_000;

/**
 * @typedef {import("../../client/rowbox.js").RowboxError} RowboxError
 *
 * @typedef {object} Sought A message that one came for, and how far it is found.
 * @property {string} messageId
 * @property {number} sentTimestamp
 * @property {"looking" | "found" | "far" | "gone" | "failed"} state far: it is older than what was looked through.
 * @property {number} count How many messages were looked through.
 */
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
  /** @type {?Sought} */
  sought = null;
  #client;
  /** @type {?string} */
  #conversationId = null;
  /** @type {Map<string, Message>} */
  #byId = new Map();
  /** @type {?string} */
  #cursor = null;
  /** Resolves `#whenLoaded`. @type {() => void} */
  #loaded = () => {};
  /** What ends the loading of the newest page that is under way. @type {?AbortController} */
  #loading = null;
  #end = new AbortController();
  #endings = new Endings(() => this.take([]), this.#end.signal);
  #accountEnd;
  /** Resolved when the newest page is there; another one where it is loaded anew. */
  #whenLoaded = this.#notLoaded();
  #isMarking = false;
  #droppedUpTo = 0;
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
    const wait = this.#loaded;
    this.#whenLoaded = this.#notLoaded();
    wait(); // for the other one
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
    this.#loaded();
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
    for (const [id, message] of this.#byId) if (this.#isDropped(message)) this.#byId.delete(id);
    this.#endings.watch([...this.#byId.values()].map(({ expiresTimestamp }) => expiresTimestamp));
    if (this.isLoaded && this.#loading) return; // it is loaded anew: what is shown is whole
    this.messages = [...this.#byId.values()].sort(oldestFirst);
    this.changed();
  }

  /** Shows none of the messages up to this time of the mailbox, in microseconds, any more: the user has deleted them. @param {number} upTo */
  drop(upTo) {
    if (upTo <= this.#droppedUpTo) return;
    this.#droppedUpTo = upTo;
    this.take([]);
  }

  /** Whether it was deleted, or has disappeared. @param {Message} message One that was just sent has no version yet, and is newer. */
  #isDropped({ lastUpdatedTimestamp = Number.POSITIVE_INFINITY, expiresTimestamp }) {
    return lastUpdatedTimestamp <= this.#droppedUpTo || hasEnded(expiresTimestamp);
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

  /**
   * Loads messages back to this one. What is shown has no gap then: it is all from that message, and the page before it, to
   * the newest, and so goes on as it does otherwise. `sought` says how far that is.
   * @param {{messageId: string, sentTimestamp: number}} message
   */
  async seek({ messageId, sentTimestamp }) {
    this.sought = { messageId, sentTimestamp, state: "looking", count: 0 };
    await this.seekOn();
  }

  /** Goes on looking, after `sought` was far or failed. */
  async seekOn() {
    const { sought } = this;
    if (!sought) return;
    this.#seekTo(sought, "looking");
    await this.#settled();
    if (sought === this.sought) await this.#seek(sought);
  }

  /** Looks no further, and marks nothing any more. */
  stopSeeking() {
    this.sought = null;
    this.changed();
  }

  /** @param {Sought} sought */
  async #seek(sought) {
    /** @type {Message[]} */
    let older = [];
    let cursor = this.#cursor;
    const isOver = () => sought !== this.sought || this.#end.signal.aborted;
    const isThere = () => [...older, ...this.#byId.values()].some(({ messageId }) => messageId === sought.messageId);
    const isBehind = () => cursor === null || [...older, ...this.#byId.values()].some((message) => oldestFirst(message, sought) < 0);
    let state = /** @type {Sought["state"]} */ ("far");
    for (let pages = 0; !isOver(); pages++) {
      if (isThere()) state = "found";
      else if (isBehind()) state = "gone";
      if (state !== "far" || pages === MOST_PAGES_SOUGHT) break;
      const begun = this.#cursor;
      this.isLoadingOlder = true;
      this.changed();
      try {
        const query = { conversationId: this.#conversationId, pageSize: SEEK_PAGE_SIZE, cursor };
        const page = await this.#client.fetchMessages(query, { patienceMs: PATIENCE_MS, signal: this.#end.signal });
        if (begun !== this.#cursor || page.resetReason) return this.#seekAnew(sought, page.resetReason !== null);
        older = [...older, ...page.messages];
        cursor = page.nextCursor;
      } catch {
        state = "failed";
        break;
      }
      sought.count = this.#byId.size + older.length;
    }
    this.isLoadingOlder = false;
    if (this.#end.signal.aborted) return;
    this.#cursor = cursor; // all that was loaded is shown at once: drawing each page would take longer than loading it
    this.take(older);
    if (!isOver()) this.#seekTo(sought, state);
  }

  /** The list that was being read is gone: `isStale`, so is the page that is here. @param {Sought} sought @param {boolean} isStale */
  async #seekAnew(sought, isStale) {
    this.isLoadingOlder = false;
    if (isStale) this.reload();
    await this.#settled();
    if (sought === this.sought) await this.#seek(sought);
  }

  /** Resolves when the newest page is there, also where it is loaded anew meanwhile. */
  async #settled() {
    for (let loaded = null; loaded !== this.#whenLoaded; await loaded) loaded = this.#whenLoaded;
  }

  /** @returns {Promise<void>} */
  #notLoaded() {
    return new Promise((resolve) => (this.#loaded = () => resolve()));
  }

  /** @param {Sought} sought @param {Sought["state"]} state */
  #seekTo(sought, state) {
    sought.state = state;
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
      this.#loaded();
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
 * @param {Pick<Message, "messageId" | "sentTimestamp">} one
 * @param {Pick<Message, "messageId" | "sentTimestamp">} other
 */
function oldestFirst(one, other) {
  if (one.sentTimestamp !== other.sentTimestamp) return one.sentTimestamp - other.sentTimestamp;
  return one.messageId < other.messageId ? -1 : 1;
}
