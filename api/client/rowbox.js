/**
 * A client of Rowbox for browsers and for Node 20.3 or newer: this one file, nothing else.
 *
 *     const alice = new Rowbox({ url: "http://127.0.0.1:8080", token });
 *     await alice.send("bob", "hello");
 *     for await (const change of alice.follow()) console.log(change);
 *
 * The rules it keeps:
 * - A call that may have been lost is repeated: at once, then with backoff and jitter, three times at most and never
 *   sooner than the server asks. A send keeps its clientMessageId, so a repetition is never a second message.
 * - What the server refused (4xx) is not repeated, except 429 (too many requests).
 * - One message to a recipient is under way at a time. The next goes when the last is confirmed or given up: an earlier
 *   one that arrives late cannot overtake it.
 * - A follower hands each change over once and in order, whatever dies meanwhile: its token moves only with an answer
 *   that arrived whole, and it never gives up while an answer may still come.
 *
 * @module rowbox
 */

const RETRIES = 3;
const FIRST_BACKOFF_MS = 500;
const LONGEST_BACKOFF_MS = 10_000;
const CALL_TIMEOUT_MS = 20_000;
const POLL_S = 30;
/** How much longer than its wait a poll may take: the server's X-Poll-Client-Timeout says the same. */
const POLL_MARGIN_S = 15;
/** In the tokens of changes, and in none of the server's. */
const WITHIN = "~";
/** An empty poll that ends sooner was pushed out by another of the same user (8 at most): two must not push in turns. */
const HASTY_POLL_MS = 1_000;

/**
 * @typedef {object} Message One user's copy. Times are microseconds since the epoch.
 * @property {string} messageId
 * @property {string} conversationId
 * @property {string} senderId
 * @property {string[]} participants
 * @property {string} messageContent Text, never markup.
 * @property {number} sentTimestamp A conversation's order: by this, then by messageId.
 * @property {number} lastUpdatedTimestamp
 * @property {string} [clientMessageId] Only in the sender's own copies.
 *
 * @typedef {object} Conversation
 * @property {string} conversationId
 * @property {string[]} participants
 * @property {?string} snippet The first 100 characters of the newest message; null once retention took it.
 * @property {number} lastUpdatedTimestamp
 * @property {string} lastMessageId
 * @property {?string} lastSenderId Whose the newest message is; null where it was stored before that was kept.
 * @property {number} lastSentTimestamp The list's order, newest first: by this, then by lastMessageId.
 * @property {number} unreadCount Exact to 999, then 1000.
 *
 * @typedef {object} Sent
 * @property {string} messageId
 * @property {string} conversationId
 * @property {number} sentTimestamp
 * @property {number} lastUpdatedTimestamp
 * @property {number} pendingRecipients Recipients whose mailbox does not show it yet.
 * @property {boolean} duplicate An earlier request with this clientMessageId had sent it.
 *
 * @typedef {object} PageTail
 * @property {boolean} isDeltaUpdate
 * @property {?string} lastUpdatedTimestamp The token for the next call of this kind: opaque.
 * @property {boolean} hasMore
 * @property {?string} nextCursor
 * @property {?("too_many"|"future"|"expired"|"restored"|"foreign")} resetReason Why a token or a cursor got a full
 *   first page. Pages that were fetched before have to go then.
 * @property {number} [retryAfterMs]
 * @typedef {PageTail & {messages: Message[]}} MessagePage
 * @typedef {PageTail & {conversations: Conversation[]}} ConversationPage
 *
 * @typedef {{type: "message", message: Message, token: string}} NewMessage
 *   `token` is where to follow on from once this message and all before it are dealt with.
 * @typedef {{type: "reset", reason: ?string, messages: Message[], nextCursor: ?string, token: string}} Reset
 *   Where a follower begins (`reason` is null), or begins anew because its token is not served: too old for the server's
 *   log, or of before the store was put back from a copy. The newest page, newest first, in place of what one has. What
 *   is older comes from `messages()` or by `nextCursor`.
 *
 * @typedef {{isReset: boolean, conversations: Conversation[], nextCursor: ?string, token: string}} ConversationChange
 *
 * @typedef {{isConnected: boolean, error?: RowboxError, retryInMs?: number}} Connection
 *
 * @typedef {{code: string, status: number, retryable: boolean, requestId?: ?string, retryAfterMs?: number, cause?: unknown}} Facts
 *   What an error says beside its message.
 *
 * @typedef {Record<string, string | number | null | undefined>} Query
 *   The parameters of a fetch, as the API names them; what is null or undefined is left out.
 *
 * @typedef {object} FollowOptions
 * @property {AbortSignal} [signal] Ends the iteration, without an error.
 * @property {?string} [token] Goes on behind a change's `token` of an earlier follower; without: begins with a reset.
 * @property {(connection: Connection) => void} [onConnection] Told after each failure, and at each first answer.
 * @property {() => Promise<unknown>} [waitForNews] Awaited in place of holding a long poll, for those who learn from
 *   another follower that there is something new: a browser has six connections to a server, and each poll holds one.
 */

/**
 * @template {PageTail} Page
 * @typedef {Omit<Page, "lastUpdatedTimestamp"> & {lastUpdatedTimestamp: string}} Served
 *   A page that has a token: each that was not asked for by number.
 */

/** Anything that went wrong with a call. `status` is HTTP's, 0 where there was no answer. */
export class RowboxError extends Error {
  /**
   * @param {string} message
   * @param {Facts} facts
   */
  constructor(message, { code, status, retryable, requestId = null, retryAfterMs = 0, cause }) {
    super(message, { cause });
    this.name = new.target.name;
    this.code = code;
    this.status = status;
    this.retryable = retryable;
    this.requestId = requestId;
    this.retryAfterMs = retryAfterMs;
    /** Of a send: the id under which it was tried, and under which it can go on. @type {?string} */
    this.clientMessageId = null;
  }
}

/** The server said no (4xx), and wrote nothing. */
export class Refused extends RowboxError {}

/** No answer, or a 5xx: it may have happened. Sent again under its clientMessageId a message is still one message. */
export class OutcomeUnknown extends RowboxError {}

/** A list cannot be read on from its cursor, mostly because the server's store was put back from a copy. */
export class ListReset extends RowboxError {}

/** A fresh clientMessageId. (crypto.randomUUID is missing where a page came over plain HTTP.) */
export function newClientMessageId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Rowbox {
  #base;
  #token;
  #fetch;
  #sleep;
  #random;
  #now;
  /** recipientId -> the promise that settles when the last send to it is done with. @type {Map<string, Promise<void>>} */
  #turns = new Map();

  /**
   * @param {object} options
   * @param {string} options.url Where the server is, a path before /v1 included.
   * @param {string | (() => string | Promise<string>)} options.token Whom one is; a function is asked at every call.
   * @param {typeof globalThis.fetch} [options.fetch] This and what follows are for tests.
   * @param {(ms: number, signal?: AbortSignal) => Promise<void>} [options.sleep]
   * @param {() => number} [options.random]
   * @param {() => number} [options.now] Milliseconds, to measure durations.
   */
  constructor({ url, token, fetch, sleep = pause, random = Math.random, now = () => performance.now() }) {
    if (!token) throw new TypeError("a token is needed: rowbox token --user USER prints one");
    this.#base = new URL(url.endsWith("/") ? url : `${url}/`);
    this.#token = token;
    this.#fetch = fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.#sleep = sleep;
    this.#random = random;
    this.#now = now;
  }

  /**
   * Sends a message, behind the earlier ones to the same recipient. Throws Refused (it was not sent) or OutcomeUnknown,
   * with its clientMessageId.
   * @param {string} recipientId
   * @param {string} content 1 to 65,535 bytes of UTF-8.
   * @param {{clientMessageId?: string}} [options] The id of an earlier attempt, to go on with that.
   * @returns {Promise<Sent>}
   */
  send(recipientId, content, { clientMessageId = newClientMessageId() } = {}) {
    const body = { recipientId, messageContent: content, clientMessageId };
    return this.#inTurn(recipientId, () => this.#sendNow(body));
  }

  /** What became of one's own send; Refused with the code unknown_client_message_id: nothing so far. @param {string} clientMessageId @returns {Promise<Sent>} */
  sendStatus(clientMessageId) {
    return this.#retried(() => this.#call("sendStatus", { query: { clientMessageId } }));
  }

  /**
   * Read up to and including that message.
   * @param {string} conversationId
   * @param {string} messageId
   * @returns {Promise<{conversationId: string, unreadCount: number, lastUpdatedTimestamp: number}>}
   */
  markRead(conversationId, messageId) {
    return this.#retried(() => this.#call("markRead", { body: { conversationId, messageId } }));
  }

  /** One fetchMessages. @param {Query} [query] @returns {Promise<MessagePage>} */
  fetchMessages(query = {}) {
    return this.#retried(() => this.#call("fetchMessages", { query }));
  }

  /** One fetchConversation. @param {Query} [query] @returns {Promise<ConversationPage>} */
  fetchConversation(query = {}) {
    return this.#retried(() => this.#call("fetchConversation", { query }));
  }

  /**
   * The messages of a conversation, or of all: newest first, as of the first page.
   * @param {string} [conversationId]
   * @param {{pageSize?: number}} [options]
   * @returns {AsyncGenerator<Message>}
   */
  messages(conversationId, { pageSize = 100 } = {}) {
    return byCursor((cursor) => this.fetchMessages({ conversationId, pageSize, cursor }), (page) => page.messages);
  }

  /**
   * All conversations, the one with the newest message first.
   * @param {{pageSize?: number}} [options]
   * @returns {AsyncGenerator<Conversation>}
   */
  conversations({ pageSize = 100 } = {}) {
    return byCursor((cursor) => this.fetchConversation({ pageSize, cursor }), (page) => page.conversations);
  }

  /**
   * Every new message, of one conversation or of all: once each, in the order in which the mailbox got them, as they
   * come. Ends with Refused where the token is no longer accepted or the conversation is unknown.
   * @param {FollowOptions & {conversationId?: string}} [options]
   * @returns {AsyncGenerator<NewMessage | Reset>}
   */
  async *follow({ conversationId, ...options } = {}) {
    // The server's tokens stand for whole answers. That of a message in the middle of one is made here: the token before
    // the answer, and up to which version its messages are dealt with.
    let [before, seen] = String(options.token ?? "").split(WITHIN);
    const asked = { ...options, token: before || null };
    /** @type {AsyncGenerator<Served<MessagePage>>} */
    const pages = this.#pages("fetchMessages", { conversationId }, asked);
    for await (const page of pages) {
      const { messages, nextCursor, resetReason: reason, lastUpdatedTimestamp: token } = page;
      if (!page.isDeltaUpdate) yield { type: "reset", reason, messages, nextCursor, token };
      else {
        const fresh = messages.filter(({ lastUpdatedTimestamp: version }) => version > Number(seen ?? 0));
        for (const message of fresh) {
          const within = `${before}${WITHIN}${message.lastUpdatedTimestamp}`;
          yield { type: "message", message, token: message === fresh.at(-1) ? token : within };
        }
      }
      [before, seen] = [token, "0"];
    }
  }

  /**
   * Every change of a conversation: a new message, something read. Several changes of one may come as its newest state.
   * @param {FollowOptions} [options]
   * @returns {AsyncGenerator<ConversationChange>}
   */
  async *followConversations(options = {}) {
    /** @type {AsyncGenerator<Served<ConversationPage>>} */
    const pages = this.#pages("fetchConversation", { pageSize: 100 }, options);
    for await (const page of pages) {
      const { conversations, nextCursor, isDeltaUpdate, lastUpdatedTimestamp: token } = page;
      if (!isDeltaUpdate || conversations.length) yield { isReset: !isDeltaUpdate, conversations, nextCursor, token };
    }
  }

  /**
   * @param {string} name
   * @param {Query} query
   * @param {FollowOptions} options
   * @returns {AsyncGenerator<any>}
   */
  async *#pages(name, query, { token = null, signal, onConnection = () => {}, waitForNews }) {
    let failures = 0;
    let isAnswered = false; // the call before this one was: until then none waits, so that one knows soon
    while (!signal?.aborted) {
      const wait = token !== null && isAnswered && !waitForNews ? POLL_S : undefined;
      const since = { ...query, lastUpdatedTimestamp: token ?? undefined, wait };
      const begun = this.#now();
      let page;
      try {
        page = await this.#call(name, { query: since, signal, timeoutMs: wait && (wait + POLL_MARGIN_S) * 1000 });
      } catch (caught) {
        const error = /** @type {RowboxError} */ (caught);
        if (signal?.aborted) return;
        if (!error.retryable) throw error;
        const retryInMs = this.#backoffMs(failures++, error);
        isAnswered = false;
        onConnection({ isConnected: false, error, retryInMs });
        await this.#sleep(retryInMs, signal);
        continue;
      }
      if (!isAnswered) onConnection({ isConnected: true });
      [token, failures, isAnswered] = [page.lastUpdatedTimestamp, 0, true];
      const isHasty = wait && isEmpty(page) && this.#now() - begun < HASTY_POLL_MS;
      yield page;
      if (page.retryAfterMs) await this.#sleep(page.retryAfterMs, signal);
      else if (isHasty) await this.#sleep(HASTY_POLL_MS * (1 + this.#random()), signal);
      else if (waitForNews && !(page.isDeltaUpdate && page.hasMore)) await unlessAborted(waitForNews(), signal);
    }
  }

  /**
   * Runs `task` when everything before it with this key is done with, however it ended.
   * @template T
   * @param {string} key
   * @param {() => Promise<T>} task
   * @returns {Promise<T>}
   */
  #inTurn(key, task) {
    const before = this.#turns.get(key) ?? Promise.resolve();
    const turn = before.then(task);
    const over = turn.then(() => {}, () => {});
    this.#turns.set(key, over);
    over.then(() => this.#turns.get(key) === over && this.#turns.delete(key));
    return turn;
  }

  /**
   * @param {{recipientId: string, messageContent: string, clientMessageId: string}} body
   * @returns {Promise<Sent>}
   */
  async #sendNow(body) {
    let mayHaveArrived = false;
    try {
      return await this.#retried(async () => {
        try {
          return await this.#call("sendMessage", { body });
        } catch (error) {
          mayHaveArrived ||= !(error instanceof Refused);
          throw error;
        }
      });
    } catch (caught) {
      const error = /** @type {RowboxError} */ (caught);
      // A refusal is the last attempt's: after one whose outcome is unknown it says nothing about that one.
      const isUnknown = mayHaveArrived && error instanceof Refused;
      const failure = isUnknown ? new OutcomeUnknown(error.message, { ...error, retryable: true, cause: error }) : error;
      throw Object.assign(failure, { clientMessageId: body.clientMessageId });
    }
  }

  /**
   * @template T
   * @param {() => Promise<T>} call
   * @returns {Promise<T>}
   */
  async #retried(call) {
    for (let retry = 0; ; retry++) {
      try {
        return await call();
      } catch (caught) {
        const error = /** @type {RowboxError} */ (caught);
        if (!error.retryable || retry === RETRIES) throw error;
        const delayMs = retry === 0 ? error.retryAfterMs : this.#backoffMs(retry - 1, error);
        if (delayMs) await this.#sleep(delayMs);
      }
    }
  }

  /**
   * Full jitter: after an outage the clients come back spread out. What the server asks for is the least.
   * @param {number} failures
   * @param {RowboxError} error
   */
  #backoffMs(failures, error) {
    return error.retryAfterMs + this.#random() * Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** failures);
  }

  /**
   * @param {string} name
   * @param {{query?: Query, body?: object, signal?: AbortSignal, timeoutMs?: number}} request
   * @returns {Promise<any>}
   */
  async #call(name, { query = {}, body, signal, timeoutMs = CALL_TIMEOUT_MS }) {
    const url = new URL(`v1/${name}`, this.#base);
    for (const [key, value] of Object.entries(query)) if (value != null) url.searchParams.set(key, String(value));
    const token = typeof this.#token === "function" ? await this.#token() : this.#token;
    const headers = { Authorization: `Bearer ${token}`, ...(body && { "Content-Type": "application/json" }) };
    const deadline = AbortSignal.timeout(timeoutMs);
    let response;
    let text;
    try {
      response = await this.#fetch(url, {
        method: body ? "POST" : "GET",
        headers,
        body: body && JSON.stringify(body),
        cache: "no-store",
        signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
      });
      text = await response.text();
    } catch (cause) {
      throw new OutcomeUnknown("the server does not answer", { code: "no_answer", status: 0, retryable: true, cause });
    }
    const answer = parsed(text);
    if (response.ok && answer) return answer;
    throw problem(response, answer ?? {});
  }
}

/**
 * The typed error for an answer that is none. Something between us and the server may have made it.
 * @param {Response} response
 * @param {Record<string, any>} body
 */
function problem(response, { detail, title, code, requestId, retryAfterMs }) {
  const { status } = response;
  const isRefusal = status >= 400 && status < 500;
  const retryAfterS = Number(response.headers.get("Retry-After")); // NaN for a date, which our server never says
  return new (isRefusal ? Refused : OutcomeUnknown)(detail ?? title ?? `the server answered with status ${status}`, {
    code: code ?? `http_${status}`,
    status,
    retryable: !isRefusal || status === 429,
    requestId: requestId ?? response.headers.get("X-Request-Id"),
    retryAfterMs: retryAfterMs ?? (retryAfterS > 0 ? retryAfterS * 1000 : 0),
  });
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * Throws ListReset where a cursor is answered with the first page.
 * @template {PageTail} Page
 * @template Item
 * @param {(cursor: ?string) => Promise<Page>} fetchPage
 * @param {(page: Page) => Item[]} itemsOf
 * @returns {AsyncGenerator<Item>}
 */
async function* byCursor(fetchPage, itemsOf) {
  /** @type {?string} */
  let cursor = null;
  do {
    const page = await fetchPage(cursor);
    if (page.resetReason) throw new ListReset("the list begins anew", { code: page.resetReason, status: 200, retryable: false });
    yield* itemsOf(page);
    cursor = page.nextCursor;
  } while (cursor);
}

/** @param {any} page */
const isEmpty = (page) => (page.messages ?? page.conversations).length === 0;

/**
 * Resolves after a time, and at once when `signal` is aborted or the browser is online again.
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
function pause(ms, signal) {
  if (signal?.aborted) return Promise.resolve();
  return /** @type {Promise<void>} */ (new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      globalThis.removeEventListener?.("online", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
    globalThis.addEventListener?.("online", done);
  }));
}

/**
 * Resolves with `promise` or when `signal` is aborted.
 * @param {Promise<unknown>} promise
 * @param {AbortSignal} [signal]
 * @returns {Promise<unknown>}
 */
function unlessAborted(promise, signal) {
  if (!signal) return promise;
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const done = () => resolve(undefined);
    signal.addEventListener("abort", done, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", done));
  });
}
