/**
 * A client of Rowbox for browsers and for Node 20.3 or newer, without dependencies. A server hands it out as one file, with
 * feed.js, tabs.js and what these import in it.
 *
 *     const alice = new Rowbox({ url: "http://127.0.0.1:8080", token });
 *     await alice.send("bob", "hello");
 *     for await (const change of alice.follow()) console.log(change);
 *
 * It keeps the same rules as the Python client ("What a client does", in docs/consistency.md):
 * - An outage is waited out. A call that had no answer, a 5xx, a 429, or whose token function failed, is tried again:
 *   at once, and then after pauses that grow and differ, never sooner than the server asks. A call is tried for the
 *   time of its patience, a follower for ever.
 * - A fault is thrown at once: a refusal of the server (4xx), and what no other try can change (TypeError, RangeError).
 * - A send keeps its clientMessageId, so a repetition is never a second message. It is not repeated when the server may
 *   have forgotten that id.
 * - One message to a recipient is under way at a time. The next one goes when the last is confirmed or given up, so an
 *   earlier message that arrives late cannot overtake it.
 * - A follower hands each change over once and in order, whatever dies meanwhile, because its token moves only with an
 *   answer that arrived whole.
 * - Connections that may have died unnoticed (the machine slept, or joined another network) are given up at once.
 * - The first of a client's calls and followers that is answered ends the pauses of the others: the outage is over.
 * - All changes of a mailbox come over a WebSocket, which carries the calls as well, and by long polls where there is none
 *   (feed.js has the rules). Node has a WebSocket since 22.
 *
 * @module rowbox
 */
/** The fields that each call's answer has at least. An answer without them comes from another server than Rowbox. */
declare const ANSWERS: {
    sendMessage: string;
    sendStatus: string;
    editMessage: string;
    unsendMessage: string;
    react: string;
    setTtl: string;
    createGroup: string;
    fetchGroup: string;
    addMembers: string;
    removeMember: string;
    leaveGroup: string;
    setRole: string;
    updateGroup: string;
    deleteGroup: string;
    markRead: string;
    setConversation: string;
    deleteConversation: string;
    fetchMessages: string;
    fetchConversation: string;
    fetchChanges: string;
    fetchReceipts: string;
    search: string;
    connect: string;
    createUser: string;
    updateUser: string;
    deleteUser: string;
    fetchUser: string;
    fetchUsers: string;
    heartbeat: string;
    fetchPresence: string;
    fetchRequests: string;
    setContact: string;
    fetchContacts: string;
    block: string;
    unblock: string;
    fetchBlocks: string;
    fetchHidden: string;
    report: string;
    registerDevice: string;
    fetchDevices: string;
    setPush: string;
    signOut: string;
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
    /**
     * When its author last edited it.
     */
    editedTimestamp?: number;
    /**
     * True: it was taken back, by its author or in a group by an admin, and has no text.
     */
    unsent?: boolean;
    /**
     * Of a group's message that was taken back: who did that, where it is known.
     */
    unsentBy?: string;
    /**
     * By emoji, the one that was first used first.
     */
    reactions?: Reaction[];
    /**
     * When it disappears, the same in every copy: whoever keeps messages drops it then,
     * because nothing else tells of it.
     */
    expiresTimestamp?: number;
    /**
     * Nobody wrote it: `event` says what happened to a group, or what was reported.
     */
    kind?: "system";
    event?: GroupEvent;
};
export type Reaction = {
    emoji: string;
    /**
     * How many users react with it.
     */
    count: number;
    /**
     * Who they are: the first five, in order.
     */
    users: string[];
    /**
     * Whether the user of this client is one of them.
     */
    mine: boolean;
};
export type GroupEvent = {
    /**
     * created, added, removed, left, declined, renamed, settings, role, deleted, reported; more may come.
     */
    type: string;
    /**
     * Who did it.
     */
    actor: string;
    /**
     * Whom it happened to; the first of many.
     */
    users: string[];
    /**
     * The group's name, where this gave it one.
     */
    name?: string;
    /**
     * The role that this gave: owner, admin or member. Whoever was the owner is an admin then.
     */
    role?: string;
    /**
     * Where the owner has left: who is the owner now.
     */
    owner?: string;
    /**
     * Of a report: which message it is of. Its text is the report's.
     */
    report?: Report;
};
export type Report = {
    conversationId: string;
    messageId: string;
    sentTimestamp: number;
    reason: string;
    comment?: string;
    editedTimestamp?: number;
    /**
     * True: it had been taken back.
     */
    unsent?: boolean;
};
export type Conversation = {
    conversationId: string;
    participants: string[];
    /**
     * The first 100 characters of the newest message; null once it was unsent or retention took
     * it.
     */
    snippet: string | null;
    lastUpdatedTimestamp: number;
    lastMessageId: string;
    /**
     * The newest message's sender; null where a server stored it that did not keep this
     * yet.
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
    /**
     * True: the newest message was taken back.
     */
    lastMessageUnsent?: boolean;
    /**
     * What is known of the other participant of a conversation of two.
     */
    receipts?: Receipts;
    /**
     * When the newest message disappears: no snippet is to be shown from then on.
     */
    snippetExpiresTimestamp?: number;
    /**
     * For how long after their sending messages last that are sent now; missing: they do not
     * disappear.
     */
    ttlMs?: number;
    /**
     * Only of a group, as what follows.
     */
    kind?: "group";
    name?: string;
    memberCount?: number;
    /**
     * The user's own in the group, or his last.
     */
    role?: "owner" | "admin" | "member";
    /**
     * Who is not in gets nothing more.
     */
    membership?: "in" | "left" | "removed" | "deleted";
    groupVersion?: number;
    /**
     * Microseconds since the epoch: the user wants no call of its messages before then.
     */
    mutedUntil?: number;
    archived?: boolean;
    pinned?: boolean;
    markedUnread?: boolean;
    /**
     * A stranger began it, and the user has not accepted it yet: only fetchRequests lists it.
     */
    request?: boolean;
    /**
     * The user has deleted his copy: drop all messages of it whose lastUpdatedTimestamp is
     * not greater.
     */
    deletedUpTo?: number;
    /**
     * No message has come since: drop it.
     */
    deleted?: boolean;
};
export type Receipts = {
    /**
     * His devices have the messages up to this one.
     */
    deliveredUpTo: string;
    /**
     * He has read the messages up to this one; null: none.
     */
    readUpTo: string | null;
};
export type Device = {
    deviceId: string;
    name: string;
    platform: string;
    createdTimestamp: number;
    /**
     * When it last registered, connected, or came back with a token.
     */
    lastSeenTimestamp: number;
    /**
     * Whether it is this client's.
     */
    current: boolean;
    /**
     * Where it is told of new messages while nobody is looking.
     */
    push?: PushShown;
};
export type PushShown = {
    kind: "web" | "webhook";
    host: string;
    /**
     * False: it is a webhook that has not given its code back yet.
     */
    confirmed: boolean;
};
export type FetchedReceipts = {
    receipts: MessageReceipts[];
    /**
     * When any of it last changed in the mailbox; 0: never.
     */
    asOf: number;
};
export type RequestsPage = {
    conversations: Conversation[];
    /**
     * Of the page behind it; null where there is none.
     */
    nextCursor: string | null;
};
export type ChangedConversation = {
    conversationId: string;
    lastUpdatedTimestamp: number;
    /**
     * False: it was so already, by an earlier try perhaps.
     */
    changed: boolean;
};
export type ConversationTtl = {
    conversationId: string;
    lastUpdatedTimestamp: number;
    /**
     * False: it was so already, maybe by an earlier try of the same call.
     */
    changed: boolean;
};
export type ChangedUser = {
    userId: string;
    lastUpdatedTimestamp: number;
    /**
     * False: it was so already, by an earlier try perhaps.
     */
    changed: boolean;
};
export type DeletedUser = {
    userId: string;
    lastUpdatedTimestamp: number;
    /**
     * False: he was deleted before, by an earlier try perhaps.
     */
    changed: boolean;
    /**
     * "sweeping": all is removed, and will be looked for once more.
     */
    state: "erasing" | "sweeping" | "erased";
};
export type User = {
    userId: string;
    name: string;
    /**
     * A picture's address, or empty.
     */
    avatar: string;
    attributes?: Record<string, string>;
    /**
     * Who is shown whether the user is online: `everyone` in a conversation of two with him, or
     * of these his `contacts` alone, or `nobody`.
     */
    lastSeen?: string;
    /**
     * Whose first message begins a conversation that need not be accepted: that of
     * `everyone`, or of his `contacts`.
     */
    messagesFrom?: string;
    /**
     * Who brings the user into groups: `everyone`, or his `contacts`.
     */
    groupAdds?: string;
    createdTimestamp?: number;
    lastUpdatedTimestamp?: number;
};
export type Presence = {
    online: boolean;
    /**
     * In microseconds since 1970; null while he is online.
     */
    lastSeen: number | null;
};
export type FetchedPresence = {
    users: Record<string, Presence | null>;
};
export type ChangedContact = {
    userId: string;
    /**
     * Since when it is so; 0: he never was a contact.
     */
    lastUpdatedTimestamp: number;
    /**
     * False: it was so already, by an earlier try perhaps.
     */
    changed: boolean;
};
export type Contact = {
    userId: string;
    sinceTimestamp: number;
    lastUpdatedTimestamp: number;
    /**
     * What the user calls him.
     */
    alias?: string;
    favourite?: boolean;
};
export type ContactsPage = {
    contacts: Contact[];
    /**
     * Whether there are others behind the last one.
     */
    hasMore: boolean;
};
export type ChangedBlock = {
    userId: string;
    /**
     * Since when it is so; 0: it was never otherwise.
     */
    lastUpdatedTimestamp: number;
    /**
     * False: it was so already, by an earlier try perhaps.
     */
    changed: boolean;
};
export type BlockedUser = {
    userId: string;
    sinceTimestamp: number;
};
export type BlocksPage = {
    blocks: BlockedUser[];
    /**
     * Whether there are others behind the last one.
     */
    hasMore: boolean;
};
export type Reported = {
    /**
     * The conversation with whoever takes reports.
     */
    conversationId: string;
    /**
     * The reports in it.
     */
    messageIds: string[];
    /**
     * All of it was reported before, by a first try perhaps.
     */
    duplicate: boolean;
};
export type HiddenMessage = {
    messageId: string;
    conversationId: string;
    /**
     * Who sent the message.
     */
    senderId: string;
    messageContent: string;
    sentTimestamp: number;
    /**
     * When it came into the mailbox.
     */
    hiddenTimestamp: number;
    editedTimestamp?: number;
    unsent?: boolean;
    reactions?: Reaction[];
};
export type HiddenPage = {
    messages: HiddenMessage[];
    /**
     * null on the last page.
     */
    nextCursor: string | null;
};
export type FetchedUsers = {
    users: User[];
};
export type Found = {
    messages: Message[];
    /**
     * Of the page behind it. A page may be short, or empty, and still have one.
     */
    nextCursor: string | null;
    /**
     * False: the server's index of the mailbox is still being made, the newest messages first.
     */
    complete: boolean;
    /**
     * The version of the mailbox that was searched. It is no token.
     */
    lastUpdatedTimestamp: number;
};
export type MessageReceipts = {
    messageId: string;
    /**
     * How many participants have the message.
     */
    deliveredTo: number;
    /**
     * How many have read it.
     */
    readBy: number;
    /**
     * The other participant; of a group who was in when it was sent and still is.
     */
    members: MemberState[];
};
export type MemberState = {
    userId: string;
    state: ("sent" | "delivered" | "read");
    /**
     * When he read it, to a few seconds; null where he has not, or where it is not known any more.
     */
    readTimestamp: number | null;
};
export type GroupSettings = {
    whoCanSend?: "all" | "admins";
    whoCanAdd?: "all" | "admins";
    whoCanEditInfo?: "all" | "admins";
    /**
     * Nothing, or the newest 100 messages written since this was set.
     */
    history?: "none" | "recent";
};
export type Group = {
    conversationId: string;
    name: string;
    settings: GroupSettings;
    ownerId: string;
    /**
     * Who is longest in
     * comes first.
     */
    members: {
        userId: string;
        role: "owner" | "admin" | "member";
        joinedTimestamp: number;
    }[];
    /**
     * Rises when the group's name, settings or members change.
     */
    version: number;
};
export type ChangedGroup = {
    conversationId: string;
    version: number;
    /**
     * False: it was so already, maybe by an earlier try of the same call.
     */
    changed: boolean;
};
export type ChangedMessage = {
    messageId: string;
    lastUpdatedTimestamp: number;
    /**
     * False: it was so already, maybe by an earlier try of the same call.
     */
    changed: boolean;
};
export type Sent = {
    messageId: string;
    conversationId: string;
    sentTimestamp: number;
    lastUpdatedTimestamp: number;
    /**
     * Recipients whose mailbox does not show the message yet.
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
     * first page, which replaces the pages that were fetched before. Null where it did not.
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
export type Changes = {
    /**
     * Those that came, in the order in which they came.
     */
    messages: Message[];
    /**
     * Those that changed, the one that changed last last. Of a beginning the
     * newest, newest first.
     */
    conversations: Conversation[];
    /**
     * Whether something of the user himself changed: profile, devices, settings.
     */
    account: boolean;
    /**
     * False: a beginning. The program drops what it has, and reads its lists anew.
     */
    isDeltaUpdate: boolean;
    /**
     * The token from which to go on: opaque. "" from a follower that has none yet, in a
     * cluster that is being upgraded: who goes on from that begins anew.
     */
    lastUpdatedTimestamp: string;
    /**
     * Whether there are changes behind the token.
     */
    hasMore: boolean;
    /**
     * With a beginning, why the token was not served;
     * null where no token was given.
     */
    resetReason: ("future" | "expired" | "restored" | "foreign") | null;
    /**
     * With a beginning, the cursor with which fetchConversation goes on.
     */
    nextCursor: string | null;
    retryAfterMs?: number;
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
     * With a reset, why the token was not served; null where no token was given.
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
     * Replaces the client's for this call. With 0 there is one try, with Infinity the call
     * is tried until it is answered.
     */
    patienceMs?: number;
    /**
     * Called after each failure that is followed by another
     * try, and when such a try is answered.
     */
    onConnection?: (connection: Connection) => void;
};
export type Again = {
    /**
     * The id of an earlier attempt, to go on with it: 1 to 64 of A-Z a-z 0-9 . _ : -
     */
    clientMessageId?: string;
    /**
     * When the first attempt under that id was made, in milliseconds since the epoch. If
     * that is longer ago than dedupeLifeMs, the send is not repeated: it rejects with OutcomeUnknown, whose code is
     * dedupe_life_over.
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
     * The `token` of a change, behind which to go on. Without one a follower begins with a
     * reset.
     */
    token?: string | null;
    /**
     * How long the server may hold one poll, 1 to 55 seconds; 30 by default.
     */
    waitS?: number;
    /**
     * Called after each failure, at the first answer of all,
     * and at the first answer after a failure.
     */
    onConnection?: (connection: Connection) => void;
    /**
     * Awaited in place of holding a long poll. It is for pages with
     * several followers, one of which can tell the others that there is news: a browser has six connections to a server,
     * and each long poll holds one.
     */
    waitForNews?: () => Promise<unknown>;
};
export type Sharing = {
    /**
     * In a browser: one tab follows for all that give this name, and tells them what changes, so that
     * they have one connection together. All of them have to be the same user's. Where the browser cannot (it needs Web
     * Locks, which a page has over HTTPS or from its own machine), each follows by itself.
     */
    share?: string;
};
export type OnPresence = (users: Record<string, Presence | null>) => void;
export type Watching = {
    /**
     * Is told of the users whom `watch` names, over a socket only.
     */
    onPresence?: OnPresence;
};
export type Options = {
    /**
     * The server's URL, with the path before /v1 where a proxy serves it under one.
     */
    url: string;
    /**
     * The user's access token, or a token function that gives
     * one. The function is called before the first call, and again when the server no longer accepts the token that it
     * gave. What it throws counts as an outage, and it is called again; a RowboxError that is not retryable ends the
     * call.
     */
    token: string | (() => string | Promise<string>);
    /**
     * What each request and socket says of where it comes from, 1 to 64 characters of A-Z a-z
     * 0-9 . _ : -, so that the user can sign this client out (`registerDevice`).
     */
    deviceId?: string | null;
    /**
     * How long a call is tried again, 30,000 by default. It counts from the call, or from
     * when the last send before it to the same recipient was confirmed. No try begins later. The client does not wait
     * where the server asks for a longer pause than what is left.
     */
    patienceMs?: number;
    /**
     * How long the server knows a clientMessageId, a week by default. What the server
     * says of it, in its answer to a send, replaces this value.
     */
    dedupeLifeMs?: number;
    /**
     * The origins of the other servers of a cluster, to which the access token may go, too: as
     * "https://chat-1.example.com" or "https://*.chat.example.com". Where there are any, `followChanges` asks its server which
     * one has the mailbox, and opens its socket there. Without them it goes to no other server.
     */
    servers?: string[];
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
 * @typedef {object} Message One user's copy, as it is now: a change of it brings it again, with a greater version. Times are microseconds since the epoch.
 * @property {string} messageId
 * @property {string} conversationId
 * @property {string} senderId
 * @property {string[]} participants
 * @property {string} messageContent Text, never markup.
 * @property {number} sentTimestamp A conversation's order: by this, then by messageId.
 * @property {number} lastUpdatedTimestamp
 * @property {string} [clientMessageId] Only in the sender's own copies.
 * @property {number} [editedTimestamp] When its author last edited it.
 * @property {boolean} [unsent] True: it was taken back, by its author or in a group by an admin, and has no text.
 * @property {string} [unsentBy] Of a group's message that was taken back: who did that, where it is known.
 * @property {Reaction[]} [reactions] By emoji, the one that was first used first.
 * @property {number} [expiresTimestamp] When it disappears, the same in every copy: whoever keeps messages drops it then,
 *   because nothing else tells of it.
 * @property {"system"} [kind] Nobody wrote it: `event` says what happened to a group, or what was reported.
 * @property {GroupEvent} [event]
 *
 * @typedef {object} Reaction One emoji of those with which users react to a message.
 * @property {string} emoji
 * @property {number} count How many users react with it.
 * @property {string[]} users Who they are: the first five, in order.
 * @property {boolean} mine Whether the user of this client is one of them.
 *
 * @typedef {object} GroupEvent
 * @property {string} type created, added, removed, left, declined, renamed, settings, role, deleted, reported; more may come.
 * @property {string} actor Who did it.
 * @property {string[]} users Whom it happened to; the first of many.
 * @property {string} [name] The group's name, where this gave it one.
 * @property {string} [role] The role that this gave: owner, admin or member. Whoever was the owner is an admin then.
 * @property {string} [owner] Where the owner has left: who is the owner now.
 * @property {Report} [report] Of a report: which message it is of. Its text is the report's.
 *
 * @typedef {object} Report Which message was reported, and why.
 * @property {string} conversationId
 * @property {string} messageId
 * @property {number} sentTimestamp
 * @property {string} reason
 * @property {string} [comment]
 * @property {number} [editedTimestamp]
 * @property {boolean} [unsent] True: it had been taken back.
 *
 * @typedef {object} Conversation
 * @property {string} conversationId
 * @property {string[]} participants
 * @property {?string} snippet The first 100 characters of the newest message; null once it was unsent or retention took
 *   it.
 * @property {number} lastUpdatedTimestamp
 * @property {string} lastMessageId
 * @property {?string} lastSenderId The newest message's sender; null where a server stored it that did not keep this
 *   yet.
 * @property {number} lastSentTimestamp The list's order, newest first: by this, then by lastMessageId.
 * @property {number} unreadCount Exact to 999, then 1000.
 * @property {boolean} [lastMessageUnsent] True: the newest message was taken back.
 * @property {Receipts} [receipts] What is known of the other participant of a conversation of two.
 * @property {number} [snippetExpiresTimestamp] When the newest message disappears: no snippet is to be shown from then on.
 * @property {number} [ttlMs] For how long after their sending messages last that are sent now; missing: they do not
 *   disappear.
 * @property {"group"} [kind] Only of a group, as what follows.
 * @property {string} [name]
 * @property {number} [memberCount]
 * @property {"owner"|"admin"|"member"} [role] The user's own in the group, or his last.
 * @property {"in"|"left"|"removed"|"deleted"} [membership] Who is not in gets nothing more.
 * @property {number} [groupVersion]
 * @property {number} [mutedUntil] Microseconds since the epoch: the user wants no call of its messages before then.
 * @property {boolean} [archived]
 * @property {boolean} [pinned]
 * @property {boolean} [markedUnread]
 * @property {boolean} [request] A stranger began it, and the user has not accepted it yet: only fetchRequests lists it.
 * @property {number} [deletedUpTo] The user has deleted his copy: drop all messages of it whose lastUpdatedTimestamp is
 *   not greater.
 * @property {boolean} [deleted] No message has come since: drop it.
 *
 * @typedef {object} Receipts Up to where he has the user's messages, all before it included.
 * @property {string} deliveredUpTo His devices have the messages up to this one.
 * @property {?string} readUpTo He has read the messages up to this one; null: none.
 *
 * @typedef {object} Device A device of the user that is signed in. Times are microseconds.
 * @property {string} deviceId
 * @property {string} name
 * @property {string} platform
 * @property {number} createdTimestamp
 * @property {number} lastSeenTimestamp When it last registered, connected, or came back with a token.
 * @property {boolean} current Whether it is this client's.
 * @property {PushShown} [push] Where it is told of new messages while nobody is looking.
 *
 * @typedef {object} PushShown Where a device is told of new messages, without what is secret of it.
 * @property {"web" | "webhook"} kind
 * @property {string} host
 * @property {boolean} confirmed False: it is a webhook that has not given its code back yet.
 *
 * @typedef {object} FetchedReceipts Who has got and read messages, in the order in which they were asked for.
 * @property {MessageReceipts[]} receipts
 * @property {number} asOf When any of it last changed in the mailbox; 0: never.
 *
 * @typedef {object} RequestsPage Some of the conversations that wait to be accepted, the one with the newest message first.
 * @property {Conversation[]} conversations
 * @property {?string} nextCursor Of the page behind it; null where there is none.
 *
 * @typedef {object} ChangedConversation A conversation after its user has set it for himself.
 * @property {string} conversationId
 * @property {number} lastUpdatedTimestamp
 * @property {boolean} changed False: it was so already, by an earlier try perhaps.
 *
 * @typedef {object} ConversationTtl A conversation for whose messages somebody said how long they last.
 * @property {string} conversationId
 * @property {number} lastUpdatedTimestamp
 * @property {boolean} changed False: it was so already, maybe by an earlier try of the same call.
 *
 * @typedef {object} ChangedUser A user's profile after a call that makes or changes it.
 * @property {string} userId
 * @property {number} lastUpdatedTimestamp
 * @property {boolean} changed False: it was so already, by an earlier try perhaps.
 *
 * @typedef {object} DeletedUser A user who is deleted, and how far the erasure of his mailbox is.
 * @property {string} userId
 * @property {number} lastUpdatedTimestamp
 * @property {boolean} changed False: he was deleted before, by an earlier try perhaps.
 * @property {"erasing" | "sweeping" | "erased"} state "sweeping": all is removed, and will be looked for once more.
 *
 * @typedef {object} User A user who is known. What follows `avatar` is there of oneself, and for administrators.
 * @property {string} userId
 * @property {string} name
 * @property {string} avatar A picture's address, or empty.
 * @property {Record<string, string>} [attributes]
 * @property {string} [lastSeen] Who is shown whether the user is online: `everyone` in a conversation of two with him, or
 *   of these his `contacts` alone, or `nobody`.
 * @property {string} [messagesFrom] Whose first message begins a conversation that need not be accepted: that of
 *   `everyone`, or of his `contacts`.
 * @property {string} [groupAdds] Who brings the user into groups: `everyone`, or his `contacts`.
 * @property {number} [createdTimestamp]
 * @property {number} [lastUpdatedTimestamp]
 *
 * @typedef {object} Presence When a user was active last.
 * @property {boolean} online
 * @property {?number} lastSeen In microseconds since 1970; null while he is online.
 *
 * @typedef {object} FetchedPresence The presence of the users who were asked for, by userId. null: it is not known, or
 *   not shown.
 * @property {Record<string, ?Presence>} users
 *
 * @typedef {object} ChangedContact Who is a contact of the user, or is none any more, after a call that says so.
 * @property {string} userId
 * @property {number} lastUpdatedTimestamp Since when it is so; 0: he never was a contact.
 * @property {boolean} changed False: it was so already, by an earlier try perhaps.
 *
 * @typedef {object} Contact A contact of the user.
 * @property {string} userId
 * @property {number} sinceTimestamp
 * @property {number} lastUpdatedTimestamp
 * @property {string} [alias] What the user calls him.
 * @property {boolean} [favourite]
 *
 * @typedef {object} ContactsPage Some of the user's contacts, by their userIds.
 * @property {Contact[]} contacts
 * @property {boolean} hasMore Whether there are others behind the last one.
 *
 * @typedef {object} ChangedBlock Whom the user blocks, or blocks no more, after a call that says so.
 * @property {string} userId
 * @property {number} lastUpdatedTimestamp Since when it is so; 0: it was never otherwise.
 * @property {boolean} changed False: it was so already, by an earlier try perhaps.
 *
 * @typedef {object} BlockedUser Somebody whom the user blocks.
 * @property {string} userId
 * @property {number} sinceTimestamp
 *
 * @typedef {object} BlocksPage Some of those whom the user blocks, by their userIds.
 * @property {BlockedUser[]} blocks
 * @property {boolean} hasMore Whether there are others behind the last one.
 *
 * @typedef {object} Reported Messages that are reported.
 * @property {string} conversationId The conversation with whoever takes reports.
 * @property {string[]} messageIds The reports in it.
 * @property {boolean} duplicate All of it was reported before, by a first try perhaps.
 *
 * @typedef {object} HiddenMessage What was kept at one time of a message that is hidden: of one message there are several,
 *   where something was done to it.
 * @property {string} messageId
 * @property {string} conversationId
 * @property {string} senderId Who sent the message.
 * @property {string} messageContent
 * @property {number} sentTimestamp
 * @property {number} hiddenTimestamp When it came into the mailbox.
 * @property {number} [editedTimestamp]
 * @property {boolean} [unsent]
 * @property {Reaction[]} [reactions]
 *
 * @typedef {object} HiddenPage Some of what is hidden from a user.
 * @property {HiddenMessage[]} messages
 * @property {?string} nextCursor null on the last page.
 *
 * @typedef {object} FetchedUsers Those who are known of the users who were asked for, in that order.
 * @property {User[]} users
 *
 * @typedef {object} Found What a search found, the newest first.
 * @property {Message[]} messages
 * @property {?string} nextCursor Of the page behind it. A page may be short, or empty, and still have one.
 * @property {boolean} complete False: the server's index of the mailbox is still being made, the newest messages first.
 * @property {number} lastUpdatedTimestamp The version of the mailbox that was searched. It is no token.
 *
 * @typedef {object} MessageReceipts
 * @property {string} messageId
 * @property {number} deliveredTo How many participants have the message.
 * @property {number} readBy How many have read it.
 * @property {MemberState[]} members The other participant; of a group who was in when it was sent and still is.
 *
 * @typedef {object} MemberState
 * @property {string} userId
 * @property {("sent"|"delivered"|"read")} state
 * @property {?number} readTimestamp When he read it, to a few seconds; null where he has not, or where it is not known any more.
 *
 * @typedef {object} GroupSettings Which members may do something: all, or admins; and what those who join see of before.
 * @property {"all"|"admins"} [whoCanSend]
 * @property {"all"|"admins"} [whoCanAdd]
 * @property {"all"|"admins"} [whoCanEditInfo]
 * @property {"none"|"recent"} [history] Nothing, or the newest 100 messages written since this was set.
 *
 * @typedef {object} Group
 * @property {string} conversationId
 * @property {string} name
 * @property {GroupSettings} settings
 * @property {string} ownerId
 * @property {{userId: string, role: "owner"|"admin"|"member", joinedTimestamp: number}[]} members Who is longest in
 *   comes first.
 * @property {number} version Rises when the group's name, settings or members change.
 *
 * @typedef {object} ChangedGroup
 * @property {string} conversationId
 * @property {number} version
 * @property {boolean} changed False: it was so already, maybe by an earlier try of the same call.
 *
 * @typedef {object} ChangedMessage
 * @property {string} messageId
 * @property {number} lastUpdatedTimestamp
 * @property {boolean} changed False: it was so already, maybe by an earlier try of the same call.
 *
 * @typedef {object} Sent
 * @property {string} messageId
 * @property {string} conversationId
 * @property {number} sentTimestamp
 * @property {number} lastUpdatedTimestamp
 * @property {number} pendingRecipients Recipients whose mailbox does not show the message yet.
 * @property {boolean} duplicate An earlier request with this clientMessageId had sent it.
 *
 * @typedef {object} PageTail
 * @property {boolean} isDeltaUpdate
 * @property {?string} lastUpdatedTimestamp The token for the next call of this kind: opaque.
 * @property {boolean} hasMore
 * @property {?string} nextCursor
 * @property {?("too_many"|"future"|"expired"|"restored"|"foreign")} resetReason Why a token or a cursor got a full
 *   first page, which replaces the pages that were fetched before. Null where it did not.
 * @property {number} [retryAfterMs]
 * @typedef {PageTail & {messages: Message[]}} MessagePage
 * @typedef {PageTail & {conversations: Conversation[]}} ConversationPage
 *
 * @typedef {object} Changes What changed in a mailbox since a token. Of a message or a conversation that the program
 *   has, it keeps the one whose `lastUpdatedTimestamp` is greater.
 * @property {Message[]} messages Those that came, in the order in which they came.
 * @property {Conversation[]} conversations Those that changed, the one that changed last last. Of a beginning the
 *   newest, newest first.
 * @property {boolean} account Whether something of the user himself changed: profile, devices, settings.
 * @property {boolean} isDeltaUpdate False: a beginning. The program drops what it has, and reads its lists anew.
 * @property {string} lastUpdatedTimestamp The token from which to go on: opaque. "" from a follower that has none yet, in a
 *   cluster that is being upgraded: who goes on from that begins anew.
 * @property {boolean} hasMore Whether there are changes behind the token.
 * @property {?("future"|"expired"|"restored"|"foreign")} resetReason With a beginning, why the token was not served;
 *   null where no token was given.
 * @property {?string} nextCursor With a beginning, the cursor with which fetchConversation goes on.
 * @property {number} [retryAfterMs]
 *
 * @typedef {{type: "message", message: Message, token: string}} NewMessage
 *   A message that came, or was changed. `token` is where to follow on from when this message and all before it are dealt with.
 * @typedef {{type: "reset", reason: ?string, messages: Message[], nextCursor: ?string, token: string}} Reset
 *   The newest page of messages, the newest first, which replaces what the program has. A follower begins with it where
 *   it has no token (`reason` is null), or begins anew because its token cannot be served: it is too old for the
 *   server's log, or the store was put back from a copy. `messages()` gives older messages, from `nextCursor` on.
 *
 * @typedef {object} ConversationChange
 * @property {boolean} isReset
 * @property {?string} reason With a reset, why the token was not served; null where no token was given.
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
 * @property {number} [patienceMs] Replaces the client's for this call. With 0 there is one try, with Infinity the call
 *   is tried until it is answered.
 * @property {(connection: Connection) => void} [onConnection] Called after each failure that is followed by another
 *   try, and when such a try is answered.
 *
 * @typedef {object} Again
 * @property {string} [clientMessageId] The id of an earlier attempt, to go on with it: 1 to 64 of A-Z a-z 0-9 . _ : -
 * @property {number} [firstTriedAt] When the first attempt under that id was made, in milliseconds since the epoch. If
 *   that is longer ago than dedupeLifeMs, the send is not repeated: it rejects with OutcomeUnknown, whose code is
 *   dedupe_life_over.
 * @typedef {CallOptions & Again} SendOptions
 *
 * @typedef {object} FollowOptions
 * @property {AbortSignal} [signal] Ends the iteration, without an error.
 * @property {?string} [token] The `token` of a change, behind which to go on. Without one a follower begins with a
 *   reset.
 * @property {number} [waitS] How long the server may hold one poll, 1 to 55 seconds; 30 by default.
 * @property {(connection: Connection) => void} [onConnection] Called after each failure, at the first answer of all,
 *   and at the first answer after a failure.
 * @property {() => Promise<unknown>} [waitForNews] Awaited in place of holding a long poll. It is for pages with
 *   several followers, one of which can tell the others that there is news: a browser has six connections to a server,
 *   and each long poll holds one.
 *
 * @typedef {object} Sharing
 * @property {string} [share] In a browser: one tab follows for all that give this name, and tells them what changes, so that
 *   they have one connection together. All of them have to be the same user's. Where the browser cannot (it needs Web
 *   Locks, which a page has over HTTPS or from its own machine), each follows by itself.
 *
 * @typedef {(users: Record<string, ?Presence>) => void} OnPresence What is so now of users, by userId. null: it is not known, or
 *   not shown.
 *
 * @typedef {object} Watching
 * @property {OnPresence} [onPresence] Is told of the users whom `watch` names, over a socket only.
 *
 * @typedef {object} Options
 * @property {string} url The server's URL, with the path before /v1 where a proxy serves it under one.
 * @property {string | (() => string | Promise<string>)} token The user's access token, or a token function that gives
 *   one. The function is called before the first call, and again when the server no longer accepts the token that it
 *   gave. What it throws counts as an outage, and it is called again; a RowboxError that is not retryable ends the
 *   call.
 * @property {?string} [deviceId] What each request and socket says of where it comes from, 1 to 64 characters of A-Z a-z
 *   0-9 . _ : -, so that the user can sign this client out (`registerDevice`).
 * @property {number} [patienceMs] How long a call is tried again, 30,000 by default. It counts from the call, or from
 *   when the last send before it to the same recipient was confirmed. No try begins later. The client does not wait
 *   where the server asks for a longer pause than what is left.
 * @property {number} [dedupeLifeMs] How long the server knows a clientMessageId, a week by default. What the server
 *   says of it, in its answer to a send, replaces this value.
 * @property {string[]} [servers] The origins of the other servers of a cluster, to which the access token may go, too: as
 *   "https://chat-1.example.com" or "https://*.chat.example.com". Where there are any, `followChanges` asks its server which
 *   one has the mailbox, and opens its socket there. Without them it goes to no other server.
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
/** A call failed. `status` is HTTP's, 0 where there was no answer. */
export declare class RowboxError extends Error {
    /**
     * The server's code (its /docs has the list), or no_answer, unexpected_answer, no_token, dedupe_life_over,
     * connected_elsewhere.
     */
    code: string;
    status: number;
    /** Whether the same call may succeed later. */
    retryable: boolean;
    requestId: string | null;
    retryAfterMs: number;
    /** The id under which a send was tried, and can be gone on with. @type {?string} */
    clientMessageId: string | null;
    /** When a send was first tried, in milliseconds since the epoch. To be kept with the id. @type {?number} */
    firstTriedAt: number | null;
    /**
     * @param {string} message
     * @param {Facts} facts
     */
    constructor(message: string, { code, status, retryable, requestId, retryAfterMs, cause }: Facts);
}
/** The server refused the call (4xx, but 408 and 425), and wrote nothing. */
export declare class Refused extends RowboxError {
}
/**
 * The access token is wrong, expired or revoked (401), or may not do this (403). Another try with it cannot succeed.
 */
export declare class AccessDenied extends Refused {
}
/**
 * There was no answer, or a 5xx, so the call may have been carried out. A message that is sent again under its
 * clientMessageId is still one message, except where the code is dedupe_life_over. Then the sender's own mailbox shows
 * whether the message arrived: the sender's copy has the id. With the code no_token the server was not asked.
 */
export declare class OutcomeUnknown extends RowboxError {
}
/** A list cannot be read on from its cursor, mostly because the server's store was put back from a copy meanwhile. */
export declare class ListReset extends RowboxError {
}
/** A fresh clientMessageId. (crypto.randomUUID is missing where a page came over plain HTTP.) */
export declare function newClientMessageId(): string;
export declare class Rowbox {
    #private;
    /** Throws a TypeError or a RangeError for options that cannot work. @param {Options} options */
    constructor({ url, token, deviceId, patienceMs, dedupeLifeMs, servers, fetch, sleep, random, now, wallClock, }: Options);
    /**
     * Sends a message, after the earlier ones to the same recipient. Rejects with Refused (it was not sent) or with
     * OutcomeUnknown (it may have been). Either has the clientMessageId and firstTriedAt; to go on with that message,
     * call again with both.
     * @param {string} recipientId
     * @param {string} content 1 to 65,535 bytes of UTF-8.
     * @param {SendOptions} [options]
     * @returns {Promise<Sent>}
     */
    send(recipientId: string, content: string, options?: SendOptions): Promise<Sent>;
    /**
     * As send, to a conversation in which the user is: a group, or one of two. Refused with the code not_a_member where
     * the user is not in the group any more.
     * @param {string} conversationId
     * @param {string} content
     * @param {SendOptions} [options]
     * @returns {Promise<Sent>}
     */
    sendTo(conversationId: string, content: string, options?: SendOptions): Promise<Sent>;
    /**
     * The message that the user sent under this id. Null where it is not stored so far; an attempt that is under way may
     * still store it.
     * @param {string} clientMessageId
     * @param {CallOptions} [options]
     * @returns {Promise<?Sent>}
     */
    sendStatus(clientMessageId: string, options?: CallOptions): Promise<Sent | null>;
    /**
     * Gives a message that the user sent another text. Refused with the code too_late_to_change, a day after its sending
     * by default; with message_unsent where it was taken back.
     * @param {string} conversationId
     * @param {string} messageId
     * @param {string} content
     * @param {CallOptions} [options]
     * @returns {Promise<ChangedMessage>}
     */
    editMessage(conversationId: string, messageId: string, content: string, options?: CallOptions): Promise<ChangedMessage>;
    /**
     * Takes a message that the user sent back, for everybody; in a group whose owner or admin he is, anybody's. Refused
     * with the code too_late_to_change, two days after its sending by default, where he is neither.
     * @param {string} conversationId
     * @param {string} messageId
     * @param {CallOptions} [options]
     * @returns {Promise<ChangedMessage>}
     */
    unsendMessage(conversationId: string, messageId: string, options?: CallOptions): Promise<ChangedMessage>;
    /**
     * Reacts to a message, one's own or another's: with one emoji, in place of what the user had; "" takes that back.
     * Refused with the code not_an_emoji, with message_unsent where its author took it back, with too_late_to_change
     * 30 days after its sending by default, and in a group with too_many_reactions beyond 20 kinds.
     * @param {string} conversationId
     * @param {string} messageId
     * @param {string} emoji
     * @param {CallOptions} [options]
     * @returns {Promise<ChangedMessage>}
     */
    react(conversationId: string, messageId: string, emoji: string, options?: CallOptions): Promise<ChangedMessage>;
    /**
     * Sets for how long messages of a conversation last that are sent from now on: an hour to a year; 0: they do not
     * disappear. Either side of a conversation of two sets it, of a group its owner and admins.
     * @param {string} conversationId
     * @param {number} ttlMs
     * @param {CallOptions} [options]
     * @returns {Promise<ConversationTtl>}
     */
    setTtl(conversationId: string, ttlMs: number, options?: CallOptions): Promise<ConversationTtl>;
    /**
     * Makes a group of the user and of members, once for each clientGroupId of the user's.
     * @param {string} clientGroupId
     * @param {string[]} members
     * @param {{name?: string, settings?: GroupSettings}} [what]
     * @param {CallOptions} [options]
     * @returns {Promise<ChangedGroup>}
     */
    createGroup(clientGroupId: string, members: string[], what?: {
        name?: string;
        settings?: GroupSettings;
    }, options?: CallOptions): Promise<ChangedGroup>;
    /**
     * What a group of the user's is called, who is in, and who may do what.
     * @param {string} conversationId
     * @param {CallOptions} [options]
     * @returns {Promise<Group>}
     */
    fetchGroup(conversationId: string, options?: CallOptions): Promise<Group>;
    /**
     * Adds users to a group. Who is in already stays.
     * @param {string} conversationId
     * @param {string[]} userIds
     * @param {CallOptions} [options]
     * @returns {Promise<ChangedGroup>}
     */
    addMembers(conversationId: string, userIds: string[], options?: CallOptions): Promise<ChangedGroup>;
    /**
     * Removes a member of a group.
     * @param {string} conversationId
     * @param {string} userId
     * @param {CallOptions} [options]
     * @returns {Promise<ChangedGroup>}
     */
    removeMember(conversationId: string, userId: string, options?: CallOptions): Promise<ChangedGroup>;
    /**
     * Leaves a group. Who has left it is out already: that is no change.
     * @param {string} conversationId
     * @param {CallOptions} [options]
     * @returns {Promise<ChangedGroup>}
     */
    leaveGroup(conversationId: string, options?: CallOptions): Promise<ChangedGroup>;
    /**
     * Gives a member of a group another role; "owner" gives the group to that member.
     * @param {string} conversationId
     * @param {string} userId
     * @param {"owner"|"admin"|"member"} role
     * @param {CallOptions} [options]
     * @returns {Promise<ChangedGroup>}
     */
    setRole(conversationId: string, userId: string, role: "owner" | "admin" | "member", options?: CallOptions): Promise<ChangedGroup>;
    /**
     * Gives a group another name, other settings, or both.
     * @param {string} conversationId
     * @param {{name?: string, settings?: GroupSettings}} what
     * @param {CallOptions} [options]
     * @returns {Promise<ChangedGroup>}
     */
    updateGroup(conversationId: string, what: {
        name?: string;
        settings?: GroupSettings;
    }, options?: CallOptions): Promise<ChangedGroup>;
    /**
     * Deletes a group, for all its members. Of one that was deleted that is no change.
     * @param {string} conversationId
     * @param {CallOptions} [options]
     * @returns {Promise<ChangedGroup>}
     */
    deleteGroup(conversationId: string, options?: CallOptions): Promise<ChangedGroup>;
    /**
     * Marks the conversation read up to and including that message. The mark never moves back.
     * @param {string} conversationId
     * @param {string} messageId
     * @param {CallOptions} [options]
     * @returns {Promise<ReadMark>}
     */
    markRead(conversationId: string, messageId: string, options?: CallOptions): Promise<ReadMark>;
    /**
     * Sets a conversation for the user alone: what is left out stays. Fails with the code too_many_pinned where 20 are
     * pinned.
     * @param {string} conversationId
     * @param {{mutedUntil?: number, archived?: boolean, pinned?: boolean, markedUnread?: boolean, request?: false}} settings
     *   mutedUntil is in microseconds since the epoch; a time that has passed ends it. `request: false` accepts a
     *   conversation that a stranger began.
     * @param {CallOptions} [options]
     * @returns {Promise<ChangedConversation>}
     */
    setConversation(conversationId: string, settings: {
        mutedUntil?: number;
        archived?: boolean;
        pinned?: boolean;
        markedUnread?: boolean;
        request?: false;
    }, options?: CallOptions): Promise<ChangedConversation>;
    /**
     * The conversations that wait to be accepted: the newest ones, or those that `nextCursor` of a page names.
     * @param {{cursor?: string, pageSize?: number} & CallOptions} [options]
     * @returns {Promise<RequestsPage>}
     */
    fetchRequests({ cursor, pageSize, ...options }?: {
        cursor?: string;
        pageSize?: number;
    } & CallOptions): Promise<RequestsPage>;
    /**
     * Deletes the user's own copy of the conversation. The next message brings it back, without what was before.
     * @param {string} conversationId
     * @param {CallOptions} [options]
     * @returns {Promise<ChangedConversation>}
     */
    deleteConversation(conversationId: string, options?: CallOptions): Promise<ChangedConversation>;
    /**
     * Makes one fetchMessages.
     * @param {Query} [query]
     * @param {CallOptions} [options]
     * @returns {Promise<MessagePage>}
     */
    fetchMessages(query?: Query, options?: CallOptions): Promise<MessagePage>;
    /**
     * Makes one fetchConversation.
     * @param {Query} [query]
     * @param {CallOptions} [options]
     * @returns {Promise<ConversationPage>}
     */
    fetchConversation(query?: Query, options?: CallOptions): Promise<ConversationPage>;
    /**
     * Makes one fetchChanges: what changed after the query's `lastUpdatedTimestamp`, which an earlier answer had, or a
     * beginning. With `wait`, 0 to 55 seconds, the server holds the call where nothing has changed.
     * @param {Query} [query]
     * @param {CallOptions} [options]
     * @returns {Promise<Changes>}
     */
    fetchChanges(query?: Query, options?: CallOptions): Promise<Changes>;
    /**
     * Who has got and read 1 to 50 of the user's own messages of a conversation; of a group 1 to 10. In a conversation of
     * two its `receipts` say the same by marks, and come by themselves where conversations are followed.
     * @param {string} conversationId
     * @param {string[]} messageIds
     * @param {CallOptions} [options]
     * @returns {Promise<FetchedReceipts>}
     */
    fetchReceipts(conversationId: string, messageIds: string[], options?: CallOptions): Promise<FetchedReceipts>;
    /**
     * Messages of the user's mailbox that have all words of `q`, the newest first: of a conversation, of a sender, sent
     * after and before times in microseconds. The first search of a mailbox makes its index: while it is not `complete`,
     * search again, once a second, say.
     * @param {string} q
     * @param {{conversationId?: ?string, senderId?: ?string, after?: ?number, before?: ?number, pageSize?: number,
     *   cursor?: ?string} & CallOptions} [where]
     * @returns {Promise<Found>}
     */
    search(q: string, { conversationId, senderId, after, before, pageSize, cursor, ...options }?: {
        conversationId?: string | null;
        senderId?: string | null;
        after?: number | null;
        before?: number | null;
        pageSize?: number;
        cursor?: string | null;
    } & CallOptions): Promise<Found>;
    /**
     * Makes the user known, or with an administrator's token the one of `userId`. Fails with the code user_exists where he
     * is known with another profile.
     * @param {string} name
     * @param {{avatar?: string, attributes?: Record<string, string>, lastSeen?: "everyone" | "contacts" | "nobody",
     *   messagesFrom?: "everyone" | "contacts", groupAdds?: "everyone" | "contacts", userId?: string} & CallOptions} [options]
     * @returns {Promise<ChangedUser>}
     */
    createUser(name: string, { avatar, attributes, lastSeen, messagesFrom, groupAdds, userId, ...options }?: {
        avatar?: string;
        attributes?: Record<string, string>;
        lastSeen?: "everyone" | "contacts" | "nobody";
        messagesFrom?: "everyone" | "contacts";
        groupAdds?: "everyone" | "contacts";
        userId?: string;
    } & CallOptions): Promise<ChangedUser>;
    /**
     * Deletes the user, for ever; with an administrator's token the one of `userId`. Asked again it says how far the
     * erasure of his mailbox is. After this no token of the user's own counts any more.
     * @param {{userId?: string} & CallOptions} [options]
     * @returns {Promise<DeletedUser>}
     */
    deleteUser({ userId, ...options }?: {
        userId?: string;
    } & CallOptions): Promise<DeletedUser>;
    /**
     * Changes the user's profile, or with an administrator's token that of `userId`. What is left out stays.
     * @param {{name?: string, avatar?: string, attributes?: Record<string, string>,
     *   lastSeen?: "everyone" | "contacts" | "nobody", messagesFrom?: "everyone" | "contacts",
     *   groupAdds?: "everyone" | "contacts", userId?: string}} what
     * @param {CallOptions} [options]
     * @returns {Promise<ChangedUser>}
     */
    updateUser(what: {
        name?: string;
        avatar?: string;
        attributes?: Record<string, string>;
        lastSeen?: "everyone" | "contacts" | "nobody";
        messagesFrom?: "everyone" | "contacts";
        groupAdds?: "everyone" | "contacts";
        userId?: string;
    }, options?: CallOptions): Promise<ChangedUser>;
    /**
     * Who somebody is; by default the user himself. Fails with the code unknown_user where nobody has made him known.
     * @param {?string} [userId]
     * @param {CallOptions} [options]
     * @returns {Promise<User>}
     */
    fetchUser(userId?: string | null, options?: CallOptions): Promise<User>;
    /**
     * Who some users are, 1 to 50: those of them who are known.
     * @param {string[]} userIds
     * @param {CallOptions} [options]
     * @returns {Promise<FetchedUsers>}
     */
    fetchUsers(userIds: string[], options?: CallOptions): Promise<FetchedUsers>;
    /**
     * Says that the user is active, or with an administrator's token the one of `userId`: he is online for 30 s. Where
     * nothing follows the mailbox, it is to be said every 10 s while somebody is there.
     * @param {?string} [userId]
     * @param {CallOptions} [options]
     * @returns {Promise<void>}
     */
    heartbeat(userId?: string | null, options?: CallOptions): Promise<void>;
    /**
     * Who of some users is online, 1 to 200 with whom the user is in a conversation of two.
     * @param {string[]} userIds
     * @param {CallOptions} [options]
     * @returns {Promise<FetchedPresence>}
     */
    fetchPresence(userIds: string[], options?: CallOptions): Promise<FetchedPresence>;
    /**
     * Makes another user a contact, or changes what is kept of one: what is left out stays. `remove`: he is to be none any
     * more; nothing else is given then.
     * @param {string} userId
     * @param {{alias?: string, favourite?: boolean, remove?: boolean} & CallOptions} [what]
     * @returns {Promise<ChangedContact>}
     */
    setContact(userId: string, { alias, favourite, remove, ...options }?: {
        alias?: string;
        favourite?: boolean;
        remove?: boolean;
    } & CallOptions): Promise<ChangedContact>;
    /**
     * The user's contacts: the first page, or the one behind the user `after`.
     * @param {{after?: string, pageSize?: number} & CallOptions} [options]
     * @returns {Promise<ContactsPage>}
     */
    fetchContacts({ after, pageSize, ...options }?: {
        after?: string;
        pageSize?: number;
    } & CallOptions): Promise<ContactsPage>;
    /**
     * Hides from now on what comes of another user in the conversation with him. He is not told.
     * @param {string} userId
     * @param {CallOptions} [options]
     * @returns {Promise<ChangedBlock>}
     */
    block(userId: string, options?: CallOptions): Promise<ChangedBlock>;
    /**
     * Shows again what comes of another user from now on. What was hidden stays hidden.
     * @param {string} userId
     * @param {CallOptions} [options]
     * @returns {Promise<ChangedBlock>}
     */
    unblock(userId: string, options?: CallOptions): Promise<ChangedBlock>;
    /**
     * Whom the user blocks: the first page, or the one behind the user `after`.
     * @param {{after?: string, pageSize?: number} & CallOptions} [options]
     * @returns {Promise<BlocksPage>}
     */
    fetchBlocks({ after, pageSize, ...options }?: {
        after?: string;
        pageSize?: number;
    } & CallOptions): Promise<BlocksPage>;
    /**
     * Reports messages of others in a conversation, or by none the conversation as a whole. Who wrote them is not told.
     * @param {string} conversationId
     * @param {string} reason
     * @param {{messageIds?: string[], comment?: string} & CallOptions} [options]
     * @returns {Promise<Reported>}
     */
    report(conversationId: string, reason: string, { messageIds, comment, ...options }?: {
        messageIds?: string[];
        comment?: string;
    } & CallOptions): Promise<Reported>;
    /**
     * What is hidden from a user of those whom he blocks: with an administrator's token. The server's log has each look.
     * @param {string} userId
     * @param {{cursor?: string, pageSize?: number} & CallOptions} [options]
     * @returns {Promise<HiddenPage>}
     */
    fetchHidden(userId: string, { cursor, pageSize, ...options }?: {
        cursor?: string;
        pageSize?: number;
    } & CallOptions): Promise<HiddenPage>;
    /**
     * Has this client's device listed as signed in: to be called at each start. Throws a TypeError where the client was made without a deviceId.
     * @param {string} [name] What the user knows it by.
     * @param {string} [platform] What it is.
     * @param {CallOptions} [options]
     * @returns {Promise<Device>}
     */
    registerDevice(name?: string, platform?: string, options?: CallOptions): Promise<Device>;
    /**
     * Where the user is signed in, the device that was seen last first. `account` of a change says that it is time to
     * ask again.
     * @param {CallOptions} [options]
     * @returns {Promise<Device[]>}
     */
    fetchDevices(options?: CallOptions): Promise<Device[]>;
    /**
     * What a browser subscribes to pushes with (applicationServerKey); null: the server does no Web Push.
     * @param {CallOptions} [options]
     * @returns {Promise<?string>}
     */
    fetchPushKey(options?: CallOptions): Promise<string | null>;
    /**
     * Has this client's device, which is registered, told of new messages while nobody is looking; null: nowhere. `push`
     * is as setPush of the API has it: `{kind: "web", endpoint, keys}`, which is `PushSubscription.toJSON()` without
     * expirationTime; or `{kind: "webhook", url, secret, code}`. Throws a TypeError where the client was made without a
     * deviceId.
     * @param {?Record<string, unknown>} push
     * @param {CallOptions} [options]
     * @returns {Promise<Device>}
     */
    setPush(push: Record<string, unknown> | null, options?: CallOptions): Promise<Device>;
    /**
     * Signs out a device: what comes from it is refused from then on, with the code signed_out. Resolves to the devices
     * that this call has signed out: none where an earlier one had, or an earlier try.
     * @param {string} deviceId
     * @param {CallOptions} [options]
     * @returns {Promise<string[]>}
     */
    signOut(deviceId: string, options?: CallOptions): Promise<string[]>;
    /**
     * Signs out all devices, and ends all access tokens that were issued until now, this client's too; those that name
     * the device `exceptDeviceId` themselves (the claim did) stay. Resolves as signOut.
     * @param {{exceptDeviceId?: ?string} & CallOptions} [options]
     * @returns {Promise<string[]>}
     */
    signOutAll({ exceptDeviceId, ...options }?: {
        exceptDeviceId?: string | null;
    } & CallOptions): Promise<string[]>;
    /**
     * The messages of a conversation, or of all conversations, the newest first, as of the first page. Throws ListReset
     * where the server's store was put back from a copy in the middle of the list.
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
     * All conversations, the one with the newest message first. A conversation that gets a message meanwhile moves up the
     * list and may be left out.
     * @param {{pageSize?: number, cursor?: ?string} & CallOptions} [options] As for `messages`.
     * @returns {AsyncGenerator<Conversation, void, undefined>}
     */
    conversations({ pageSize, cursor, ...options }?: {
        pageSize?: number;
        cursor?: string | null;
    } & CallOptions): AsyncGenerator<Conversation, void, undefined>;
    /**
     * Every new message of one conversation or of all, once each and in the order in which the mailbox got them. A
     * follower waits out every outage. It throws AccessDenied where the token is no longer accepted (`code` says whether
     * it was revoked), and Refused where the conversation is unknown.
     * @param {FollowOptions & {conversationId?: string}} [options]
     * @returns {AsyncGenerator<NewMessage | Reset, void, undefined>}
     */
    follow({ conversationId, ...options }?: FollowOptions & {
        conversationId?: string;
    }): AsyncGenerator<NewMessage | Reset, void, undefined>;
    /**
     * Every change of a conversation, by a new message or by a read mark. Several changes of one conversation may come as
     * its newest state. It waits and ends as `follow` does.
     * @param {FollowOptions} [options]
     * @returns {AsyncGenerator<ConversationChange, void, undefined>}
     */
    followConversations(options?: FollowOptions): AsyncGenerator<ConversationChange, void, undefined>;
    /**
     * Everything that changes in the mailbox: messages, conversations, the account. Without a token it begins with a
     * beginning. It comes over a WebSocket, and by long polls where there is none: where a proxy does not let one through,
     * or cuts it. While the socket is open the client's other calls go over it, too. A change counts as dealt with when
     * the next one is asked for: that is when the server is told.
     *
     * What the program keeps is whole if it takes each message and conversation whose `lastUpdatedTimestamp` is not less
     * than that of the one it has, and reads its lists anew where `isDeltaUpdate` is false. It waits and ends as `follow`
     * does; with Refused of the code connected_elsewhere where others of the user have connected since.
     * @param {Omit<FollowOptions, "waitForNews"> & Sharing & Watching} [options] The token is the `lastUpdatedTimestamp` of an earlier change.
     * @returns {AsyncGenerator<Changes, void, undefined>}
     */
    followChanges({ token, signal, waitS, onConnection, onPresence, share }?: Omit<FollowOptions, "waitForNews"> & Sharing & Watching): AsyncGenerator<Changes, void, undefined>;
    /**
     * Has each `followChanges` of this client tell its `onPresence` who of these users is online, and who comes and goes: 200
     * at most, with whom the user is in a conversation of two. It replaces those of the call before.
     *
     * When there has been no socket for 30 s, nothing is known of anybody, and that is told as well.
     * @param {string[]} userIds
     */
    watch(userIds: string[]): void;
    /**
     * Says over the socket of `followChanges`, where one is open, that somebody is looking: the user is online for 30 s. To be
     * called as often as somebody does something; it says so each 5 s at most.
     */
    active(): void;
}
export {};
