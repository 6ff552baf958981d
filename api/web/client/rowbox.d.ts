/**
 * A client of Rowbox for browsers and for Node 20.3 or newer: this one file, nothing else.
 *
 *     const alice = new Rowbox({ url: "http://127.0.0.1:8080", token });
 *     await alice.send("bob", "hello");
 *     for await (const change of alice.follow()) console.log(change);
 *
 * The rules it keeps, the same as the Python client's ("What a client does", in docs/consistency.md):
 * - An outage is waited out: what had no answer, a 5xx, a 429 and a token function that failed are tried again, at once
 *   and then with pauses that grow and differ, never sooner than the server asks. A call's patience is a time, and a
 *   follower's has no end.
 * - A fault is told at once: what the server refused (4xx), and what no try can change (TypeError, RangeError).
 * - A send keeps its clientMessageId, so a repetition is never a second message. Beyond the time for which the server
 *   knows an id again it is not repeated.
 * - One message to a recipient is under way at a time. The next goes when the last is confirmed or given up: an earlier
 *   one that arrives late cannot overtake it.
 * - A follower hands each change over once and in order, whatever dies meanwhile: its token moves only with an answer
 *   that arrived whole.
 * - Connections that may have died unnoticed (the machine slept, the network is another one) are given up at once.
 * - The first of a client's calls and followers that is answered ends the pauses of the others: the outage is over.
 *
 * @module rowbox
 */
/** What each call answers with, at least: what comes without it comes from another server than Rowbox. */
declare const ANSWERS: {
    sendMessage: string;
    sendStatus: string;
    markRead: string;
    fetchMessages: string;
    fetchConversation: string;
};
export type Message = {
    messageId: string;
    conversationId: string;
    senderId: string;
    participants: string[];
    /**
     * Text, never markup.
     */
    messageContent: string;
    /**
     * A conversation's order: by this, then by messageId.
     */
    sentTimestamp: number;
    lastUpdatedTimestamp: number;
    /**
     * Only in the sender's own copies.
     */
    clientMessageId?: string;
};
export type Conversation = {
    conversationId: string;
    participants: string[];
    /**
     * The first 100 characters of the newest message; null once retention took it.
     */
    snippet: string | null;
    lastUpdatedTimestamp: number;
    lastMessageId: string;
    /**
     * Whose the newest message is; null where it was stored before that was kept.
     */
    lastSenderId: string | null;
    /**
     * The list's order, newest first: by this, then by lastMessageId.
     */
    lastSentTimestamp: number;
    /**
     * Exact to 999, then 1000.
     */
    unreadCount: number;
};
export type Sent = {
    messageId: string;
    conversationId: string;
    sentTimestamp: number;
    lastUpdatedTimestamp: number;
    /**
     * Recipients whose mailbox does not show it yet.
     */
    pendingRecipients: number;
    /**
     * An earlier request with this clientMessageId had sent it.
     */
    duplicate: boolean;
};
export type PageTail = {
    isDeltaUpdate: boolean;
    /**
     * The token for the next call of this kind: opaque.
     */
    lastUpdatedTimestamp: string | null;
    hasMore: boolean;
    nextCursor: string | null;
    /**
     * Why a token or a cursor got a full
     * first page. Pages that were fetched before have to go then.
     */
    resetReason: ("too_many" | "future" | "expired" | "restored" | "foreign") | null;
    retryAfterMs?: number;
};
export type MessagePage = PageTail & {
    messages: Message[];
};
export type ConversationPage = PageTail & {
    conversations: Conversation[];
};
export type NewMessage = {
    type: "message";
    message: Message;
    token: string;
};
export type Reset = {
    type: "reset";
    reason: string | null;
    messages: Message[];
    nextCursor: string | null;
    token: string;
};
export type ConversationChange = {
    isReset: boolean;
    /**
     * Of a reset: why the token was not served; null where none was given.
     */
    reason: string | null;
    conversations: Conversation[];
    nextCursor: string | null;
    token: string;
};
export type ReadMark = {
    conversationId: string;
    /**
     * Exact to 999, then 1000.
     */
    unreadCount: number;
    lastUpdatedTimestamp: number;
};
export type Connection = {
    isConnected: boolean;
    error?: RowboxError;
    retryInMs?: number;
};
export type Facts = {
    code: string;
    status: number;
    retryable: boolean;
    requestId?: string | null;
    retryAfterMs?: number;
    cause?: unknown;
};
export type Query = Record<string, string | number | null | undefined>;
export type Call = keyof typeof ANSWERS;
export type CallOptions = {
    /**
     * Ends the call: it rejects with the signal's reason. A write may happen all the same.
     */
    signal?: AbortSignal;
    /**
     * In place of the client's. 0: one try; Infinity: until it is answered.
     */
    patienceMs?: number;
    /**
     * Told after each failure that is followed by another try,
     * and when one of these is answered.
     */
    onConnection?: (connection: Connection) => void;
};
export type Again = {
    /**
     * The id of an earlier attempt, to go on with that: 1 to 64 of A-Z a-z 0-9 . _ : -
     */
    clientMessageId?: string;
    /**
     * When the first attempt under that id was made, in milliseconds since the epoch. If
     * that is longer ago than dedupeLifeMs it is not repeated, but rejects with OutcomeUnknown: dedupe_life_over.
     */
    firstTriedAt?: number;
};
export type SendOptions = CallOptions & Again;
export type FollowOptions = {
    /**
     * Ends the iteration, without an error.
     */
    signal?: AbortSignal;
    /**
     * Goes on behind a change's `token` of an earlier follower; without: begins with a reset.
     */
    token?: string | null;
    /**
     * How long the server may hold one poll, 1 to 55 seconds; 30 by default.
     */
    waitS?: number;
    /**
     * Told after each failure, and at each first answer.
     */
    onConnection?: (connection: Connection) => void;
    /**
     * Awaited in place of holding a long poll, for those who learn from
     * another follower that there is something new: a browser has six connections to a server, and each poll holds one.
     */
    waitForNews?: () => Promise<unknown>;
};
export type Options = {
    /**
     * Where the server is, a path before /v1 included.
     */
    url: string;
    /**
     * Whom one is: an access token, or a function that gives
     * one. It is asked before the first call, and again when the server no longer accepts what it gave. What it throws is
     * an outage, and it is asked again; a RowboxError that is not retryable ends the call.
     */
    token: string | (() => string | Promise<string>);
    /**
     * How long a call is tried again, 30,000 by default: from the call, or from when the
     * last send before it to the same recipient was confirmed. No further try begins later; a server that asks for a longer pause than what is left is not waited for.
     */
    patienceMs?: number;
    /**
     * For how long the server knows a clientMessageId again: a week by default. What the
     * server says itself with an answer to a send counts from then on.
     */
    dedupeLifeMs?: number;
    /**
     * Called with a Request.
     */
    fetch?: typeof globalThis.fetch;
    /**
     * This and what follows are for tests.
     */
    sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
    random?: () => number;
    /**
     * Milliseconds, to measure durations.
     */
    now?: () => number;
    /**
     * Milliseconds since the epoch, which go on while a machine sleeps.
     */
    wallClock?: () => number;
};
export type Served<Page extends PageTail> = Omit<Page, "lastUpdatedTimestamp"> & {
    lastUpdatedTimestamp: string;
};
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
 *   Where a follower begins (`reason` is null), or begins anew because its token is not served: too old for the
 *   server's log, or of before the store was put back from a copy. The newest page, newest first, in place of what one
 *   has. What is older comes from `messages()`, from `nextCursor` on.
 *
 * @typedef {object} ConversationChange
 * @property {boolean} isReset
 * @property {?string} reason Of a reset: why the token was not served; null where none was given.
 * @property {Conversation[]} conversations
 * @property {?string} nextCursor
 * @property {string} token
 *
 * @typedef {object} ReadMark
 * @property {string} conversationId
 * @property {number} unreadCount Exact to 999, then 1000.
 * @property {number} lastUpdatedTimestamp
 *
 * @typedef {{isConnected: boolean, error?: RowboxError, retryInMs?: number}} Connection
 *   Whether the server answers; where not, why, and when it is asked again.
 *
 * @typedef {object} Facts What an error says beside its message.
 * @property {string} code
 * @property {number} status
 * @property {boolean} retryable
 * @property {?string} [requestId]
 * @property {number} [retryAfterMs]
 * @property {unknown} [cause]
 *
 * @typedef {Record<string, string | number | null | undefined>} Query
 *   The parameters of a fetch, as the API names them; what is null or undefined is left out.
 *
 * @typedef {keyof typeof ANSWERS} Call
 *
 * @typedef {object} CallOptions
 * @property {AbortSignal} [signal] Ends the call: it rejects with the signal's reason. A write may happen all the same.
 * @property {number} [patienceMs] In place of the client's. 0: one try; Infinity: until it is answered.
 * @property {(connection: Connection) => void} [onConnection] Told after each failure that is followed by another try,
 *   and when one of these is answered.
 *
 * @typedef {object} Again
 * @property {string} [clientMessageId] The id of an earlier attempt, to go on with that: 1 to 64 of A-Z a-z 0-9 . _ : -
 * @property {number} [firstTriedAt] When the first attempt under that id was made, in milliseconds since the epoch. If
 *   that is longer ago than dedupeLifeMs it is not repeated, but rejects with OutcomeUnknown: dedupe_life_over.
 * @typedef {CallOptions & Again} SendOptions
 *
 * @typedef {object} FollowOptions
 * @property {AbortSignal} [signal] Ends the iteration, without an error.
 * @property {?string} [token] Goes on behind a change's `token` of an earlier follower; without: begins with a reset.
 * @property {number} [waitS] How long the server may hold one poll, 1 to 55 seconds; 30 by default.
 * @property {(connection: Connection) => void} [onConnection] Told after each failure, and at each first answer.
 * @property {() => Promise<unknown>} [waitForNews] Awaited in place of holding a long poll, for those who learn from
 *   another follower that there is something new: a browser has six connections to a server, and each poll holds one.
 *
 * @typedef {object} Options
 * @property {string} url Where the server is, a path before /v1 included.
 * @property {string | (() => string | Promise<string>)} token Whom one is: an access token, or a function that gives
 *   one. It is asked before the first call, and again when the server no longer accepts what it gave. What it throws is
 *   an outage, and it is asked again; a RowboxError that is not retryable ends the call.
 * @property {number} [patienceMs] How long a call is tried again, 30,000 by default: from the call, or from when the
 *   last send before it to the same recipient was confirmed. No further try begins later; a server that asks for a longer pause than what is left is not waited for.
 * @property {number} [dedupeLifeMs] For how long the server knows a clientMessageId again: a week by default. What the
 *   server says itself with an answer to a send counts from then on.
 * @property {typeof globalThis.fetch} [fetch] Called with a Request.
 * @property {(ms: number, signal: AbortSignal) => Promise<void>} [sleep] This and what follows are for tests.
 * @property {() => number} [random]
 * @property {() => number} [now] Milliseconds, to measure durations.
 * @property {() => number} [wallClock] Milliseconds since the epoch, which go on while a machine sleeps.
 */
/**
 * @template {PageTail} Page
 * @typedef {Omit<Page, "lastUpdatedTimestamp"> & {lastUpdatedTimestamp: string}} Served
 *   A page that has a token: each that was not asked for by number.
 */
/** Anything that went wrong with a call. `status` is HTTP's, 0 where there was no answer. */
export declare class RowboxError extends Error {
    /** The server's (its /docs has the list), or no_answer, unexpected_answer, no_token, dedupe_life_over. */
    code: string;
    status: number;
    /** Whether the same call may succeed later. */
    retryable: boolean;
    requestId: string | null;
    retryAfterMs: number;
    /** Of a send: the id under which it was tried, and under which it can go on. @type {?string} */
    clientMessageId: string | null;
    /** Of a send: when it was first tried, milliseconds since the epoch. Given with the id. @type {?number} */
    firstTriedAt: number | null;
    /**
     * @param {string} message
     * @param {Facts} facts
     */
    constructor(message: string, { code, status, retryable, requestId, retryAfterMs, cause }: Facts);
}
/** The server said no (4xx, but 408 and 425), and wrote nothing. */
export declare class Refused extends RowboxError {
}
/** The access token is wrong, expired or revoked (401), or may not do this (403): with it nothing will be done. */
export declare class AccessDenied extends Refused {
}
/**
 * No answer, or a 5xx: it may have happened. Sent again under its clientMessageId a message is still one message; not so
 * where the code is dedupe_life_over: then the sender's own mailbox tells whether it arrived (his copy has the id). With
 * the code no_token nothing was asked.
 */
export declare class OutcomeUnknown extends RowboxError {
}
/** A list cannot be read on from its cursor, mostly because the server's store was put back from a copy. */
export declare class ListReset extends RowboxError {
}
/** A fresh clientMessageId. (crypto.randomUUID is missing where a page came over plain HTTP.) */
export declare function newClientMessageId(): string;
export declare class Rowbox {
    #private;
    /** Throws a TypeError or a RangeError for what cannot work. @param {Options} options */
    constructor({ url, token, patienceMs, dedupeLifeMs, fetch, sleep, random, now, wallClock, }: Options);
    /**
     * Sends a message, behind the earlier ones to the same recipient. Rejects with Refused (it was not sent) or with
     * OutcomeUnknown (it may have been), each with its clientMessageId and with firstTriedAt: to go on, give both.
     * @param {string} recipientId
     * @param {string} content 1 to 65,535 bytes of UTF-8.
     * @param {SendOptions} [options]
     * @returns {Promise<Sent>}
     */
    send(recipientId: string, content: string, { clientMessageId, ...options }?: SendOptions): Promise<Sent>;
    /**
     * What became of one's own send. Null: nothing so far; while an attempt is under way it still may be.
     * @param {string} clientMessageId
     * @param {CallOptions} [options]
     * @returns {Promise<?Sent>}
     */
    sendStatus(clientMessageId: string, options?: CallOptions): Promise<Sent | null>;
    /**
     * Read up to and including that message. The mark never moves back.
     * @param {string} conversationId
     * @param {string} messageId
     * @param {CallOptions} [options]
     * @returns {Promise<ReadMark>}
     */
    markRead(conversationId: string, messageId: string, options?: CallOptions): Promise<ReadMark>;
    /**
     * One fetchMessages.
     * @param {Query} [query]
     * @param {CallOptions} [options]
     * @returns {Promise<MessagePage>}
     */
    fetchMessages(query?: Query, options?: CallOptions): Promise<MessagePage>;
    /**
     * One fetchConversation.
     * @param {Query} [query]
     * @param {CallOptions} [options]
     * @returns {Promise<ConversationPage>}
     */
    fetchConversation(query?: Query, options?: CallOptions): Promise<ConversationPage>;
    /**
     * The messages of a conversation, or of all: newest first, as of the first page. ListReset where the server's store
     * was put back from a copy in the middle of it.
     * @param {?string} [conversationId]
     * @param {{pageSize?: number, cursor?: ?string} & CallOptions} [options] `cursor` continues a list that a page began,
     *   that of a Reset for example.
     * @returns {AsyncGenerator<Message, void, undefined>}
     */
    messages(conversationId?: string | null, { pageSize, cursor, ...options }?: {
        pageSize?: number;
        cursor?: string | null;
    } & CallOptions): AsyncGenerator<Message, void, undefined>;
    /**
     * All conversations, the one with the newest message first. One that moves up between pages may be left out.
     * @param {{pageSize?: number, cursor?: ?string} & CallOptions} [options] As of `messages`.
     * @returns {AsyncGenerator<Conversation, void, undefined>}
     */
    conversations({ pageSize, cursor, ...options }?: {
        pageSize?: number;
        cursor?: string | null;
    } & CallOptions): AsyncGenerator<Conversation, void, undefined>;
    /**
     * Every new message, of one conversation or of all: once each, in the order in which the mailbox got them, as they
     * come. It waits out every outage. Ends with AccessDenied where the token is no longer accepted (`code` says whether
     * it was revoked), and with Refused where the conversation is unknown.
     * @param {FollowOptions & {conversationId?: string}} [options]
     * @returns {AsyncGenerator<NewMessage | Reset, void, undefined>}
     */
    follow({ conversationId, ...options }?: FollowOptions & {
        conversationId?: string;
    }): AsyncGenerator<NewMessage | Reset, void, undefined>;
    /**
     * Every change of a conversation: a new message, something read. Several of one may come as its newest state.
     * It waits and ends as `follow` does.
     * @param {FollowOptions} [options]
     * @returns {AsyncGenerator<ConversationChange, void, undefined>}
     */
    followConversations(options?: FollowOptions): AsyncGenerator<ConversationChange, void, undefined>;
}
export {};
