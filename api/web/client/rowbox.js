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

import { FeedSession, LOST } from "./feed.js";
import { Servers } from "./servers.js";
import { canShare, Tabs } from "./tabs.js";
import { MOST_WATCHED } from "./tabs_people.js";
import { TwoLists } from "./two_lists.js";

const PATIENCE_MS = 30_000;
const DEDUPE_LIFE_MS = 7 * 24 * 3600_000;
const FIRST_BACKOFF_MS = 250;
/** The longest pause that the client makes by itself. A client may notice so late that the server is back. */
const LONGEST_BACKOFF_MS = 3_000;
/** The longest pause, whatever the server asks for. (A timer of more than 2 ** 31 ms would be over at once.) */
const LONGEST_ASKED_MS = 3600_000;
const MOST_DOUBLINGS = 32; // beyond any bound; 2 ** 2000 is Infinity, and an outage may be long
/** The time for the beginning of an answer, and then for each further part of it. */
const CALL_TIMEOUT_MS = 15_000;
const POLL_S = 30;
const LONGEST_POLL_S = 55;
/**
 * How long a poll may take beyond its wait. The server answers when the wait ends, and no network is slower than this.
 */
const POLL_MARGIN_S = 5;
/** The time for the first try after a connection may have died. The next try goes over another connection. */
const PROBE_TIMEOUT_MS = 5_000;
const HEARTBEAT_MS = 2_000;
/** How late a beat may be in a page that nobody sees: browsers let its timers run once a minute. */
const THROTTLED_MS = 70_000;
/** When a beat is so late, or a page was hidden so long, connections may have died meanwhile. */
const ASLEEP_MS = 5_000;
/** Divides the two parts of a change's token. No token of the server's has it. */
const WITHIN = "~";
/** An empty poll that ends sooner was ended by another poll of its user, who may have 8: a pause has to follow. */
const HASTY_POLL_MS = 1_000;
/** Request Timeout and Too Early: a proxy sends them about one try, so another try of the same request may succeed. */
const PASSING_REFUSALS = [408, 425];
/** The fields that each call's answer has at least. An answer without them comes from another server than Rowbox. */
const ANSWERS = {
  sendMessage: "messageId",
  sendStatus: "messageId",
  editMessage: "messageId",
  unsendMessage: "messageId",
  react: "messageId",
  setTtl: "conversationId",
  createGroup: "conversationId",
  fetchGroup: "members",
  addMembers: "conversationId",
  removeMember: "conversationId",
  leaveGroup: "conversationId",
  setRole: "conversationId",
  updateGroup: "conversationId",
  deleteGroup: "conversationId",
  markRead: "conversationId",
  setConversation: "conversationId",
  deleteConversation: "conversationId",
  fetchMessages: "messages",
  fetchConversation: "conversations",
  fetchChanges: "conversations",
  fetchReceipts: "receipts",
  search: "messages",
  connect: "url",
  createUser: "userId",
  updateUser: "userId",
  deleteUser: "state",
  fetchUser: "userId",
  fetchUsers: "users",
  heartbeat: "userId",
  fetchPresence: "users",
  fetchRequests: "conversations",
  setContact: "changed",
  fetchContacts: "contacts",
  block: "changed",
  unblock: "changed",
  fetchBlocks: "blocks",
  fetchHidden: "messages",
  report: "messageIds",
  registerDevice: "deviceId",
  fetchDevices: "devices",
  setPush: "deviceId",
  signOut: "deviceIds",
};
/** The characters of an access token. A text with others cannot be a header's value, or is no token. */
const NOT_IN_TOKENS = /[^\x21-\x7e]/u;
const NO_TOKEN = "no_token";
const CONNECTED_ELSEWHERE = "connected_elsewhere";
const SUBPROTOCOL = "rowbox.v1";
const PROGRAM = "rowbox.js";
const SIGNED_OUT = "signed_out";
const [UNAUTHENTICATED, FORBIDDEN, BAD_FRAME, ELSEWHERE, SIGNED_OUT_CODE] = [4401, 4403, 4400, 4409, 4410];
/** How long the server is asked where to open a socket, before it is opened at this one. */
const ASK_MS = 2_000;
/** A longer timer would be over at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** More bytes than a character of a frame takes, so that there is room for what stands around a call's fields. */
const MOST_BYTES = 4;
const WOKEN = new Error("the connection may have died: the machine slept, or its network changed");

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
export class RowboxError extends Error {
  /**
   * @param {string} message
   * @param {Facts} facts
   */
  constructor(message, { code, status, retryable, requestId = null, retryAfterMs = 0, cause }) {
    super(message, { cause });
    this.name = new.target.name;
    /**
     * The server's code (its /docs has the list), or no_answer, unexpected_answer, no_token, dedupe_life_over,
     * connected_elsewhere.
     */
    this.code = code;
    this.status = status;
    /** Whether the same call may succeed later. */
    this.retryable = retryable;
    this.requestId = requestId;
    this.retryAfterMs = retryAfterMs;
    /** The id under which a send was tried, and can be gone on with. @type {?string} */
    this.clientMessageId = null;
    /** When a send was first tried, in milliseconds since the epoch. To be kept with the id. @type {?number} */
    this.firstTriedAt = null;
  }
}

/** The server refused the call (4xx, but 408 and 425), and wrote nothing. */
export class Refused extends RowboxError {}

/**
 * The access token is wrong, expired or revoked (401), or may not do this (403). Another try with it cannot succeed.
 */
export class AccessDenied extends Refused {}

/**
 * There was no answer, or a 5xx, so the call may have been carried out. A message that is sent again under its
 * clientMessageId is still one message, except where the code is dedupe_life_over. Then the sender's own mailbox shows
 * whether the message arrived: the sender's copy has the id. With the code no_token the server was not asked.
 */
export class OutcomeUnknown extends RowboxError {}

/** A list cannot be read on from its cursor, mostly because the server's store was put back from a copy meanwhile. */
export class ListReset extends RowboxError {}

/** A fresh clientMessageId. (crypto.randomUUID is missing where a page came over plain HTTP.) */
export function newClientMessageId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Rowbox {
  #base;
  #access;
  #deviceId;
  #patienceMs;
  #dedupeLifeMs;
  #fetch;
  #sleep;
  #random;
  #now;
  #wallClock;
  #wakings;
  #servers;
  /** What may have a socket open, over which calls can go. @type {?{call: Feed["call"]}} */
  #feed = null;
  /** All that follow changes. @type {Set<{watch: Feed["watch"], active: Feed["active"]}>} */
  #feeds = new Set();
  /** @type {string[]} */
  #watched = [];
  /**
   * By recipientId: the promise that settles when the last send to that user has ended, and when a send was last
   * answered.
   * @type {Map<string, {last: Promise<void>, answeredAt: number}>}
   */
  #turns = new Map();
  /** Ends the pauses of calls and followers that had no answer. @type {Set<() => void>} */
  #pauses = new Set();

  /** Throws a TypeError or a RangeError for options that cannot work. @param {Options} options */
  constructor({
    url,
    token,
    deviceId = null,
    patienceMs = PATIENCE_MS,
    dedupeLifeMs = DEDUPE_LIFE_MS,
    servers = [],
    fetch = globalThis.fetch && ((request) => globalThis.fetch(request)),
    sleep = pause,
    random = Math.random,
    now = () => performance.now(),
    wallClock = Date.now,
  }) {
    if (typeof fetch !== "function") throw new TypeError("no fetch here: browsers have it, and Node 20.3 or newer");
    this.#base = baseOf(url);
    this.#access = new Access(token);
    this.#deviceId = deviceId;
    this.#patienceMs = duration("patienceMs", patienceMs);
    this.#dedupeLifeMs = duration("dedupeLifeMs", dedupeLifeMs);
    this.#fetch = fetch;
    this.#sleep = sleep;
    this.#random = random;
    this.#now = now;
    this.#wallClock = wallClock;
    this.#wakings = new Wakings(wallClock);
    this.#servers = new Servers(this.#base.href, servers);
  }

  /**
   * Sends a message, after the earlier ones to the same recipient. Rejects with Refused (it was not sent) or with
   * OutcomeUnknown (it may have been). Either has the clientMessageId and firstTriedAt; to go on with that message,
   * call again with both.
   * @param {string} recipientId
   * @param {string} content 1 to 65,535 bytes of UTF-8.
   * @param {SendOptions} [options]
   * @returns {Promise<Sent>}
   */
  send(recipientId, content, options = {}) {
    return this.#sendTo({ recipientId }, recipientId, content, options);
  }

  /**
   * As send, to a conversation in which the user is: a group, or one of two. Refused with the code not_a_member where
   * the user is not in the group any more.
   * @param {string} conversationId
   * @param {string} content
   * @param {SendOptions} [options]
   * @returns {Promise<Sent>}
   */
  sendTo(conversationId, content, options = {}) {
    return this.#sendTo({ conversationId }, conversationId, content, options);
  }

  /**
   * @param {{recipientId: string} | {conversationId: string}} to
   * @param {string} key
   * @param {string} content
   * @param {SendOptions} options
   * @returns {Promise<Sent>}
   */
  #sendTo(to, key, content, { clientMessageId = newClientMessageId(), ...options }) {
    const body = { ...to, messageContent: content, clientMessageId };
    const calledAt = this.#now();
    return this.#inTurn(key, options.signal, async (queue) => {
      // Patience counts from the last send that was answered. It does not begin anew after one that failed, or ten
      // messages over an outage would take ten times as long.
      const sent = await this.#sendNow(body, options, Math.max(calledAt, queue.answeredAt));
      queue.answeredAt = this.#now();
      return sent;
    });
  }

  /**
   * The message that the user sent under this id. Null where it is not stored so far; an attempt that is under way may
   * still store it.
   * @param {string} clientMessageId
   * @param {CallOptions} [options]
   * @returns {Promise<?Sent>}
   */
  async sendStatus(clientMessageId, options = {}) {
    try {
      return await this.#retried("sendStatus", { query: { clientMessageId } }, options);
    } catch (error) {
      if (error instanceof Refused && error.code === "unknown_client_message_id") return null;
      throw error;
    }
  }

  /**
   * Gives a message that the user sent another text. Refused with the code too_late_to_change, a day after its sending
   * by default; with message_unsent where it was taken back.
   * @param {string} conversationId
   * @param {string} messageId
   * @param {string} content
   * @param {CallOptions} [options]
   * @returns {Promise<ChangedMessage>}
   */
  editMessage(conversationId, messageId, content, options = {}) {
    const body = { conversationId, messageId, messageContent: content };
    return this.#retried("editMessage", { body }, options);
  }

  /**
   * Takes a message that the user sent back, for everybody; in a group whose owner or admin he is, anybody's. Refused
   * with the code too_late_to_change, two days after its sending by default, where he is neither.
   * @param {string} conversationId
   * @param {string} messageId
   * @param {CallOptions} [options]
   * @returns {Promise<ChangedMessage>}
   */
  unsendMessage(conversationId, messageId, options = {}) {
    return this.#retried("unsendMessage", { body: { conversationId, messageId } }, options);
  }

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
  react(conversationId, messageId, emoji, options = {}) {
    return this.#retried("react", { body: { conversationId, messageId, emoji } }, options);
  }

  /**
   * Sets for how long messages of a conversation last that are sent from now on: an hour to a year; 0: they do not
   * disappear. Either side of a conversation of two sets it, of a group its owner and admins.
   * @param {string} conversationId
   * @param {number} ttlMs
   * @param {CallOptions} [options]
   * @returns {Promise<ConversationTtl>}
   */
  setTtl(conversationId, ttlMs, options = {}) {
    return this.#retried("setTtl", { body: { conversationId, ttlMs } }, options);
  }

  /**
   * Makes a group of the user and of members, once for each clientGroupId of the user's.
   * @param {string} clientGroupId
   * @param {string[]} members
   * @param {{name?: string, settings?: GroupSettings}} [what]
   * @param {CallOptions} [options]
   * @returns {Promise<ChangedGroup>}
   */
  createGroup(clientGroupId, members, what = {}, options = {}) {
    return this.#retried("createGroup", { body: { clientGroupId, members, ...what } }, options);
  }

  /**
   * What a group of the user's is called, who is in, and who may do what.
   * @param {string} conversationId
   * @param {CallOptions} [options]
   * @returns {Promise<Group>}
   */
  fetchGroup(conversationId, options = {}) {
    return this.#retried("fetchGroup", { query: { conversationId } }, options);
  }

  /**
   * Adds users to a group. Who is in already stays.
   * @param {string} conversationId
   * @param {string[]} userIds
   * @param {CallOptions} [options]
   * @returns {Promise<ChangedGroup>}
   */
  addMembers(conversationId, userIds, options = {}) {
    return this.#retried("addMembers", { body: { conversationId, userIds } }, options);
  }

  /**
   * Removes a member of a group.
   * @param {string} conversationId
   * @param {string} userId
   * @param {CallOptions} [options]
   * @returns {Promise<ChangedGroup>}
   */
  removeMember(conversationId, userId, options = {}) {
    return this.#retried("removeMember", { body: { conversationId, userId } }, options);
  }

  /**
   * Leaves a group. Who has left it is out already: that is no change.
   * @param {string} conversationId
   * @param {CallOptions} [options]
   * @returns {Promise<ChangedGroup>}
   */
  leaveGroup(conversationId, options = {}) {
    return this.#retried("leaveGroup", { body: { conversationId } }, options);
  }

  /**
   * Gives a member of a group another role; "owner" gives the group to that member.
   * @param {string} conversationId
   * @param {string} userId
   * @param {"owner"|"admin"|"member"} role
   * @param {CallOptions} [options]
   * @returns {Promise<ChangedGroup>}
   */
  setRole(conversationId, userId, role, options = {}) {
    return this.#retried("setRole", { body: { conversationId, userId, role } }, options);
  }

  /**
   * Gives a group another name, other settings, or both.
   * @param {string} conversationId
   * @param {{name?: string, settings?: GroupSettings}} what
   * @param {CallOptions} [options]
   * @returns {Promise<ChangedGroup>}
   */
  updateGroup(conversationId, what, options = {}) {
    return this.#retried("updateGroup", { body: { conversationId, ...what } }, options);
  }

  /**
   * Deletes a group, for all its members. Of one that was deleted that is no change.
   * @param {string} conversationId
   * @param {CallOptions} [options]
   * @returns {Promise<ChangedGroup>}
   */
  deleteGroup(conversationId, options = {}) {
    return this.#retried("deleteGroup", { body: { conversationId } }, options);
  }

  /**
   * Marks the conversation read up to and including that message. The mark never moves back.
   * @param {string} conversationId
   * @param {string} messageId
   * @param {CallOptions} [options]
   * @returns {Promise<ReadMark>}
   */
  markRead(conversationId, messageId, options = {}) {
    return this.#retried("markRead", { body: { conversationId, messageId } }, options);
  }

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
  setConversation(conversationId, settings, options = {}) {
    return this.#retried("setConversation", { body: { ...settings, conversationId } }, options);
  }

  /**
   * The conversations that wait to be accepted: the newest ones, or those that `nextCursor` of a page names.
   * @param {{cursor?: string, pageSize?: number} & CallOptions} [options]
   * @returns {Promise<RequestsPage>}
   */
  fetchRequests({ cursor, pageSize, ...options } = {}) {
    return this.#retried("fetchRequests", { query: { cursor, pageSize } }, options);
  }

  /**
   * Deletes the user's own copy of the conversation. The next message brings it back, without what was before.
   * @param {string} conversationId
   * @param {CallOptions} [options]
   * @returns {Promise<ChangedConversation>}
   */
  deleteConversation(conversationId, options = {}) {
    return this.#retried("deleteConversation", { body: { conversationId } }, options);
  }

  /**
   * Makes one fetchMessages.
   * @param {Query} [query]
   * @param {CallOptions} [options]
   * @returns {Promise<MessagePage>}
   */
  fetchMessages(query = {}, options = {}) {
    return this.#retried("fetchMessages", { query }, options);
  }

  /**
   * Makes one fetchConversation.
   * @param {Query} [query]
   * @param {CallOptions} [options]
   * @returns {Promise<ConversationPage>}
   */
  fetchConversation(query = {}, options = {}) {
    return this.#retried("fetchConversation", { query }, options);
  }

  /**
   * Makes one fetchChanges: what changed after the query's `lastUpdatedTimestamp`, which an earlier answer had, or a
   * beginning. With `wait`, 0 to 55 seconds, the server holds the call where nothing has changed.
   * @param {Query} [query]
   * @param {CallOptions} [options]
   * @returns {Promise<Changes>}
   */
  fetchChanges(query = {}, options = {}) {
    return this.#retried("fetchChanges", { query }, options);
  }

  /**
   * Who has got and read 1 to 50 of the user's own messages of a conversation; of a group 1 to 10. In a conversation of
   * two its `receipts` say the same by marks, and come by themselves where conversations are followed.
   * @param {string} conversationId
   * @param {string[]} messageIds
   * @param {CallOptions} [options]
   * @returns {Promise<FetchedReceipts>}
   */
  fetchReceipts(conversationId, messageIds, options = {}) {
    const query = { conversationId, messageIds: messageIds.join(",") };
    return this.#retried("fetchReceipts", { query }, options);
  }

  /**
   * Messages of the user's mailbox that have all words of `q`, the newest first: of a conversation, of a sender, sent
   * after and before times in microseconds. The first search of a mailbox makes its index: while it is not `complete`,
   * search again, once a second, say.
   * @param {string} q
   * @param {{conversationId?: ?string, senderId?: ?string, after?: ?number, before?: ?number, pageSize?: number,
   *   cursor?: ?string} & CallOptions} [where]
   * @returns {Promise<Found>}
   */
  search(q, { conversationId, senderId, after, before, pageSize = 20, cursor, ...options } = {}) {
    const query = { q, conversationId, senderId, after, before, pageSize, cursor };
    return this.#retried("search", { query }, options);
  }

  /**
   * Makes the user known, or with an administrator's token the one of `userId`. Fails with the code user_exists where he
   * is known with another profile.
   * @param {string} name
   * @param {{avatar?: string, attributes?: Record<string, string>, lastSeen?: "everyone" | "contacts" | "nobody",
   *   messagesFrom?: "everyone" | "contacts", groupAdds?: "everyone" | "contacts", userId?: string} & CallOptions} [options]
   * @returns {Promise<ChangedUser>}
   */
  createUser(name, { avatar = "", attributes = {}, lastSeen, messagesFrom, groupAdds, userId, ...options } = {}) {
    const body = { name, avatar, attributes, lastSeen, messagesFrom, groupAdds, userId };
    return this.#retried("createUser", { body }, options);
  }

  /**
   * Deletes the user, for ever; with an administrator's token the one of `userId`. Asked again it says how far the
   * erasure of his mailbox is. After this no token of the user's own counts any more.
   * @param {{userId?: string} & CallOptions} [options]
   * @returns {Promise<DeletedUser>}
   */
  deleteUser({ userId, ...options } = {}) {
    return this.#retried("deleteUser", { body: { userId } }, options);
  }

  /**
   * Changes the user's profile, or with an administrator's token that of `userId`. What is left out stays.
   * @param {{name?: string, avatar?: string, attributes?: Record<string, string>,
   *   lastSeen?: "everyone" | "contacts" | "nobody", messagesFrom?: "everyone" | "contacts",
   *   groupAdds?: "everyone" | "contacts", userId?: string}} what
   * @param {CallOptions} [options]
   * @returns {Promise<ChangedUser>}
   */
  updateUser(what, options = {}) {
    return this.#retried("updateUser", { body: what }, options);
  }

  /**
   * Who somebody is; by default the user himself. Fails with the code unknown_user where nobody has made him known.
   * @param {?string} [userId]
   * @param {CallOptions} [options]
   * @returns {Promise<User>}
   */
  fetchUser(userId, options = {}) {
    return this.#retried("fetchUser", { query: { userId } }, options);
  }

  /**
   * Who some users are, 1 to 50: those of them who are known.
   * @param {string[]} userIds
   * @param {CallOptions} [options]
   * @returns {Promise<FetchedUsers>}
   */
  fetchUsers(userIds, options = {}) {
    return this.#retried("fetchUsers", { query: { userIds: userIds.join(",") } }, options);
  }

  /**
   * Says that the user is active, or with an administrator's token the one of `userId`: he is online for 30 s. Where
   * nothing follows the mailbox, it is to be said every 10 s while somebody is there.
   * @param {?string} [userId]
   * @param {CallOptions} [options]
   * @returns {Promise<void>}
   */
  async heartbeat(userId, options = {}) {
    await this.#retried("heartbeat", { body: { userId: userId ?? undefined } }, options);
  }

  /**
   * Who of some users is online, 1 to 200 with whom the user is in a conversation of two.
   * @param {string[]} userIds
   * @param {CallOptions} [options]
   * @returns {Promise<FetchedPresence>}
   */
  fetchPresence(userIds, options = {}) {
    return this.#retried("fetchPresence", { query: { userIds: userIds.join(",") } }, options);
  }

  /**
   * Makes another user a contact, or changes what is kept of one: what is left out stays. `remove`: he is to be none any
   * more; nothing else is given then.
   * @param {string} userId
   * @param {{alias?: string, favourite?: boolean, remove?: boolean} & CallOptions} [what]
   * @returns {Promise<ChangedContact>}
   */
  setContact(userId, { alias, favourite, remove, ...options } = {}) {
    return this.#retried("setContact", { body: { userId, alias, favourite, remove } }, options);
  }

  /**
   * The user's contacts: the first page, or the one behind the user `after`.
   * @param {{after?: string, pageSize?: number} & CallOptions} [options]
   * @returns {Promise<ContactsPage>}
   */
  fetchContacts({ after, pageSize, ...options } = {}) {
    return this.#retried("fetchContacts", { query: { after, pageSize } }, options);
  }

  /**
   * Hides from now on what comes of another user in the conversation with him. He is not told.
   * @param {string} userId
   * @param {CallOptions} [options]
   * @returns {Promise<ChangedBlock>}
   */
  block(userId, options = {}) {
    return this.#retried("block", { body: { userId } }, options);
  }

  /**
   * Shows again what comes of another user from now on. What was hidden stays hidden.
   * @param {string} userId
   * @param {CallOptions} [options]
   * @returns {Promise<ChangedBlock>}
   */
  unblock(userId, options = {}) {
    return this.#retried("unblock", { body: { userId } }, options);
  }

  /**
   * Whom the user blocks: the first page, or the one behind the user `after`.
   * @param {{after?: string, pageSize?: number} & CallOptions} [options]
   * @returns {Promise<BlocksPage>}
   */
  fetchBlocks({ after, pageSize, ...options } = {}) {
    return this.#retried("fetchBlocks", { query: { after, pageSize } }, options);
  }

  /**
   * Reports messages of others in a conversation, or by none the conversation as a whole. Who wrote them is not told.
   * @param {string} conversationId
   * @param {string} reason
   * @param {{messageIds?: string[], comment?: string} & CallOptions} [options]
   * @returns {Promise<Reported>}
   */
  report(conversationId, reason, { messageIds = [], comment, ...options } = {}) {
    return this.#retried("report", { body: { conversationId, messageIds, reason, comment } }, options);
  }

  /**
   * What is hidden from a user of those whom he blocks: with an administrator's token. The server's log has each look.
   * @param {string} userId
   * @param {{cursor?: string, pageSize?: number} & CallOptions} [options]
   * @returns {Promise<HiddenPage>}
   */
  fetchHidden(userId, { cursor, pageSize, ...options } = {}) {
    return this.#retried("fetchHidden", { query: { userId, cursor, pageSize } }, options);
  }

  /**
   * Has this client's device listed as signed in: to be called at each start. Throws a TypeError where the client was made without a deviceId.
   * @param {string} [name] What the user knows it by.
   * @param {string} [platform] What it is.
   * @param {CallOptions} [options]
   * @returns {Promise<Device>}
   */
  registerDevice(name = "", platform = "", options = {}) {
    if (this.#deviceId === null) throw new TypeError("a client without a deviceId has no device to register");
    return this.#retried("registerDevice", { body: { deviceId: this.#deviceId, name, platform } }, options);
  }

  /**
   * Where the user is signed in, the device that was seen last first. `account` of a change says that it is time to
   * ask again.
   * @param {CallOptions} [options]
   * @returns {Promise<Device[]>}
   */
  async fetchDevices(options = {}) {
    return (await this.#retried("fetchDevices", {}, options)).devices;
  }

  /**
   * What a browser subscribes to pushes with (applicationServerKey); null: the server does no Web Push.
   * @param {CallOptions} [options]
   * @returns {Promise<?string>}
   */
  async fetchPushKey(options = {}) {
    return (await this.#retried("fetchDevices", {}, options)).pushKey ?? null;
  }

  /**
   * Has this client's device, which is registered, told of new messages while nobody is looking; null: nowhere. `push`
   * is as setPush of the API has it: `{kind: "web", endpoint, keys}`, which is `PushSubscription.toJSON()` without
   * expirationTime; or `{kind: "webhook", url, secret, code}`. Throws a TypeError where the client was made without a
   * deviceId.
   * @param {?Record<string, unknown>} push
   * @param {CallOptions} [options]
   * @returns {Promise<Device>}
   */
  setPush(push, options = {}) {
    if (this.#deviceId === null) throw new TypeError("a client without a deviceId has no device to be told");
    return this.#retried("setPush", { body: { deviceId: this.#deviceId, push } }, options);
  }

  /**
   * Signs out a device: what comes from it is refused from then on, with the code signed_out. Resolves to the devices
   * that this call has signed out: none where an earlier one had, or an earlier try.
   * @param {string} deviceId
   * @param {CallOptions} [options]
   * @returns {Promise<string[]>}
   */
  async signOut(deviceId, options = {}) {
    return (await this.#retried("signOut", { body: { deviceId } }, options)).deviceIds;
  }

  /**
   * Signs out all devices, and ends all access tokens that were issued until now, this client's too; those that name
   * the device `exceptDeviceId` themselves (the claim did) stay. Resolves as signOut.
   * @param {{exceptDeviceId?: ?string} & CallOptions} [options]
   * @returns {Promise<string[]>}
   */
  async signOutAll({ exceptDeviceId = null, ...options } = {}) {
    const body = { all: true, ...(exceptDeviceId !== null && { exceptDeviceId }) };
    return (await this.#retried("signOut", { body }, options)).deviceIds;
  }

  /**
   * The messages of a conversation, or of all conversations, the newest first, as of the first page. Throws ListReset
   * where the server's store was put back from a copy in the middle of the list.
   * @param {?string} [conversationId]
   * @param {{pageSize?: number, cursor?: ?string} & CallOptions} [options] `cursor` continues a list that a page began,
   *   that of a Reset for example.
   * @returns {AsyncGenerator<Message, void, undefined>}
   */
  messages(conversationId, { pageSize = 100, cursor = null, ...options } = {}) {
    const query = { conversationId, pageSize };
    return byCursor((from) => this.fetchMessages({ ...query, cursor: from }, options), (page) => page.messages, cursor);
  }

  /**
   * All conversations, the one with the newest message first. A conversation that gets a message meanwhile moves up the
   * list and may be left out.
   * @param {{pageSize?: number, cursor?: ?string} & CallOptions} [options] As for `messages`.
   * @returns {AsyncGenerator<Conversation, void, undefined>}
   */
  conversations({ pageSize = 100, cursor = null, ...options } = {}) {
    const fetchPage = (/** @type {?string} */ from) => this.fetchConversation({ pageSize, cursor: from }, options);
    return byCursor(fetchPage, (page) => page.conversations, cursor);
  }

  /**
   * Every new message of one conversation or of all, once each and in the order in which the mailbox got them. A
   * follower waits out every outage. It throws AccessDenied where the token is no longer accepted (`code` says whether
   * it was revoked), and Refused where the conversation is unknown.
   * @param {FollowOptions & {conversationId?: string}} [options]
   * @returns {AsyncGenerator<NewMessage | Reset, void, undefined>}
   */
  async *follow({ conversationId, ...options } = {}) {
    // The server's tokens stand for whole answers. That of a message in the middle of one is made here: the token
    // before the answer, and up to which version its messages are dealt with.
    let [before, seen = "0"] = String(options.token ?? "").split(WITHIN);
    if (!/^\d+$/.test(seen)) throw new TypeError(`no token of a change: ${options.token}`);
    const asked = { ...options, token: before || null };
    /** @type {AsyncGenerator<Served<MessagePage>>} */
    const pages = this.#pages("fetchMessages", { conversationId }, asked);
    for await (const page of pages) {
      const { messages, nextCursor, resetReason: reason, lastUpdatedTimestamp: token } = page;
      if (!page.isDeltaUpdate) yield { type: "reset", reason, messages, nextCursor, token };
      else {
        const fresh = messages.filter(({ lastUpdatedTimestamp: version }) => version > Number(seen));
        for (const message of fresh) {
          const within = `${before}${WITHIN}${message.lastUpdatedTimestamp}`;
          yield { type: "message", message, token: message === fresh.at(-1) ? token : within };
        }
      }
      [before, seen] = [token, "0"];
    }
  }

  /**
   * Every change of a conversation, by a new message or by a read mark. Several changes of one conversation may come as
   * its newest state. It waits and ends as `follow` does.
   * @param {FollowOptions} [options]
   * @returns {AsyncGenerator<ConversationChange, void, undefined>}
   */
  async *followConversations(options = {}) {
    /** @type {AsyncGenerator<Served<ConversationPage>>} */
    const pages = this.#pages("fetchConversation", { pageSize: 100 }, options);
    for await (const page of pages) {
      const { conversations, nextCursor, isDeltaUpdate, resetReason: reason, lastUpdatedTimestamp: token } = page;
      const isReset = !isDeltaUpdate;
      if (isReset || conversations.length) yield { isReset, reason, conversations, nextCursor, token };
    }
  }

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
  async *followChanges({ token = null, signal, waitS = POLL_S, onConnection = () => {}, onPresence = () => {}, share } = {}) {
    if (!(waitS >= 1 && waitS <= LONGEST_POLL_S)) throw new RangeError(`waitS is 1 to ${LONGEST_POLL_S}: ${waitS}`);
    if (signal?.aborted) return;
    /** @param {?string} from @param {(connection: Connection) => void} tell @param {OnPresence} tellSeen */
    const lead = (from, tell, tellSeen) => this.#feedFrom(from, waitS, tell, tellSeen);
    const ways = {
      lead,
      catchUp: (/** @type {?string} */ from, /** @type {AbortSignal} */ until, /** @type {typeof onConnection} */ tell) =>
        this.#changesSince(from, { signal: until, patienceMs: Infinity, onConnection: tell }),
      elsewhere: () => errorOf(ELSEWHERE, "another tab of this browser says so"),
      isElsewhere: (/** @type {unknown} */ error) => error instanceof RowboxError && error.code === CONNECTED_ELSEWHERE,
      onConnection,
      onPresence,
      random: this.#random,
    };
    const feed = share !== undefined && canShare() ? new Tabs(share, token, ways) : lead(token, onConnection, onPresence);
    const end = () => feed.end(null);
    signal?.addEventListener("abort", end);
    this.#feed ??= feed;
    this.#feeds.add(feed);
    try {
      feed.begin();
      feed.watch(this.#watched);
      for (let change = await feed.next(); change; change = await feed.next()) {
        yield change;
        feed.taken();
      }
    } finally {
      signal?.removeEventListener("abort", end);
      if (this.#feed === feed) this.#feed = null;
      this.#feeds.delete(feed);
      end();
    }
  }

  /**
   * Has each `followChanges` of this client tell its `onPresence` who of these users is online, and who comes and goes: 200
   * at most, with whom the user is in a conversation of two. It replaces those of the call before.
   *
   * When there has been no socket for 30 s, nothing is known of anybody, and that is told as well.
   * @param {string[]} userIds
   */
  watch(userIds) {
    if (userIds.length > MOST_WATCHED) throw new RangeError(`${MOST_WATCHED} users can be watched: ${userIds.length}`);
    this.#watched = [...userIds];
    for (const feed of this.#feeds) feed.watch(this.#watched);
  }

  /**
   * Says over the socket of `followChanges`, where one is open, that somebody is looking: the user is online for 30 s. To be
   * called as often as somebody does something; it says so each 5 s at most.
   */
  active() {
    for (const feed of this.#feeds) feed.active();
  }

  /** @param {?string} token @param {number} waitS @param {(connection: Connection) => void} onConnection @param {OnPresence} onPresence */
  #feedFrom(token, waitS, onConnection, onPresence) {
    /** @param {AbortSignal} signal @param {?string} from @param {(connection: Connection) => void} tell */
    const poll = (signal, from, tell) => this.#pages("fetchChanges", {}, { token: from, signal, waitS, onConnection: tell }, lists);
    const lists = new TwoLists(this.#now);
    return new Feed(new FeedSession(token || null, this.#random, PROGRAM, this.#deviceId), {
      url: new URL("v1/ws", this.#base),
      elsewhere: (signal) => this.#elsewhere(signal),
      access: this.#access,
      poll,
      now: this.#now,
      wakings: this.#wakings,
      onConnection,
      onPresence,
      onWelcome: ({ dedupeLifeMs }) => {
        if (dedupeLifeMs > 0) this.#dedupeLifeMs = dedupeLifeMs;
        this.#endPauses();
      },
    });
  }

  /**
   * What changed since a token, whatever the mailbox's owner knows.
   * @param {?string} since
   * @param {CallOptions} options
   * @returns {Promise<Changes>}
   */
  #changesSince(since, options) {
    const lists = new TwoLists(this.#now);
    return this.#untilAnswered((timeoutMs) => {
      return lists.fetch((name, query) => this.#call(name, { query, signal: options.signal, timeoutMs }), since, undefined);
    }, options);
  }

  /**
   * The address of the server that has the mailbox, where the program trusts that one; null: the client's own is to do.
   * @param {AbortSignal} signal
   * @returns {Promise<?string>}
   */
  async #elsewhere(signal) {
    if (!this.#servers.hasOthers) return null;
    try {
      const { url } = await this.#call("connect", { signal, timeoutMs: ASK_MS });
      return this.#servers.allows(url) ? url : null;
    } catch (error) {
      if (!(error instanceof RowboxError)) throw error;
      return null;
    }
  }

  /**
   * @param {Call} name
   * @param {Query} query
   * @param {FollowOptions} options
   * @param {TwoLists} [lists] What stands in for fetchChanges where it has to.
   * @returns {AsyncGenerator<any>}
   */
  async *#pages(name, query, { token = null, signal, waitS = POLL_S, onConnection = () => {}, waitForNews }, lists) {
    if (!(waitS >= 1 && waitS <= LONGEST_POLL_S)) throw new RangeError(`waitS is 1 to ${LONGEST_POLL_S}: ${waitS}`);
    let failures = 0;
    let isAnswered = false; // the call before this one was: until then none waits, so that one knows soon
    let isWoken = false; // the call before this one was given up: this one finds out whether the server is there
    /** @type {any} */
    let page;
    while (!signal?.aborted) {
      const wait = token !== null && isAnswered && !isWoken && !waitForNews ? waitS : undefined;
      const since = { ...query, lastUpdatedTimestamp: token ?? undefined, wait };
      const timeoutMs = wait ? (wait + POLL_MARGIN_S) * 1000 : isWoken ? PROBE_TIMEOUT_MS : CALL_TIMEOUT_MS;
      const begun = this.#now();
      try {
        /** @param {Call} called @param {Query} asked @returns {Promise<any>} */
        const call = (called, asked) => this.#call(called, { query: asked, signal, timeoutMs });
        page = await (lists ? lists.fetch(call, token, wait) : call(name, since));
      } catch (error) {
        if (signal?.aborted) return;
        if (!isOutage(error)) throw error;
        isWoken = error.cause === WOKEN;
        if (isWoken) continue;
        isAnswered = false;
        const retryInMs = this.#backoffMs(failures++, error);
        onConnection({ isConnected: false, error, retryInMs });
        await this.#pauseAfter(retryInMs, signal, error);
        continue;
      }
      if (!isAnswered) onConnection({ isConnected: true });
      [token, failures, isAnswered, isWoken] = [page.lastUpdatedTimestamp, 0, true, false];
      const isHasty = wait && isEmpty(page) && this.#now() - begun < HASTY_POLL_MS;
      yield page;
      if (askedMs(page)) await this.#pause(askedMs(page), signal, true);
      else if (isHasty) await this.#pause(HASTY_POLL_MS * (1 + this.#random()), signal);
      else if (waitForNews && !(page.isDeltaUpdate && page.hasMore)) {
        await orAborted(waitForNews(), signal).catch(unlessAborted(signal));
      }
    }
  }

  /**
   * Runs `task` when all earlier tasks with this key have ended, successfully or not. A task whose signal is aborted
   * before that leaves the queue at once, and does not run.
   * @template T
   * @param {string} key
   * @param {AbortSignal | undefined} signal
   * @param {(queue: {answeredAt: number}) => Promise<T>} task
   * @returns {Promise<T>}
   */
  #inTurn(key, signal, task) {
    const queue = this.#turns.get(key) ?? { last: Promise.resolve(), answeredAt: -Infinity };
    const turn = queue.last.then(() => {
      if (signal?.aborted) throw signal.reason;
      return task(queue);
    });
    const over = turn.then(() => {}, () => {});
    queue.last = over;
    this.#turns.set(key, queue);
    void over.then(() => queue.last === over && this.#turns.delete(key));
    return orAborted(turn, signal);
  }

  /**
   * @param {{recipientId?: string, conversationId?: string, messageContent: string, clientMessageId: string}} body
   * @param {CallOptions & {firstTriedAt?: number}} options
   * @param {number} since When its patience began.
   * @returns {Promise<Sent>}
   */
  async #sendNow(body, { firstTriedAt, ...options }, since) {
    if (firstTriedAt !== undefined) duration("firstTriedAt", firstTriedAt);
    let mayHaveArrived = false;
    // Two clocks are needed: one may be set back, and the other may stand still while the machine sleeps.
    let tried = { at: firstTriedAt ?? this.#wallClock(), clock: this.#now() };
    const attempt = async (/** @type {number} */ timeoutMs) => {
      const isFirst = firstTriedAt === undefined && !mayHaveArrived;
      if (isFirst) tried = { at: this.#wallClock(), clock: this.#now() };
      const ageMs = Math.max(Math.abs(this.#wallClock() - tried.at), this.#now() - tried.clock);
      if (!isFirst && ageMs + CALL_TIMEOUT_MS > this.#dedupeLifeMs) throw tooOld(ageMs);
      try {
        return await this.#call("sendMessage", { body, signal: options.signal, timeoutMs });
      } catch (error) {
        mayHaveArrived ||= error instanceof OutcomeUnknown && error.code !== NO_TOKEN;
        throw error;
      }
    };
    try {
      return await this.#untilAnswered(attempt, options, since);
    } catch (error) {
      if (!(error instanceof RowboxError)) throw error;
      // The last attempt's refusal says nothing about an earlier one whose outcome is unknown.
      const isHidden = mayHaveArrived && !(error instanceof OutcomeUnknown);
      const facts = { ...error, retryable: true, cause: error };
      const failure = isHidden ? new OutcomeUnknown(error.message, facts) : error;
      throw Object.assign(failure, { clientMessageId: body.clientMessageId, firstTriedAt: tried.at });
    }
  }

  /**
   * @param {Call} name
   * @param {{query?: Query, body?: object}} request
   * @param {CallOptions} options
   * @returns {Promise<any>}
   */
  #retried(name, request, options) {
    const { signal } = options;
    const heldMs = 1000 * (Number(request.query?.wait) || 0);
    const attempt = (/** @type {number} */ ms) => this.#call(name, { ...request, signal, timeoutMs: ms + heldMs });
    return this.#untilAnswered(attempt, options);
  }

  /**
   * The answer of `call`, from its first try or a later one. When the patience is over, the last try's error is thrown.
   * @template T
   * @param {(timeoutMs: number) => Promise<T>} call One try.
   * @param {CallOptions} options
   * @param {number} [since] When the patience began.
   * @returns {Promise<T>}
   */
  async #untilAnswered(call, { signal, patienceMs = this.#patienceMs, onConnection = () => {} }, since = this.#now()) {
    let endsAt = since + duration("patienceMs", patienceMs);
    let timeoutMs = CALL_TIMEOUT_MS;
    for (let failures = 0; ; ) {
      let error;
      try {
        if (signal?.aborted) throw signal.reason;
        const answer = await call(timeoutMs);
        if (failures) onConnection({ isConnected: true });
        return answer;
      } catch (caught) {
        if (signal?.aborted) throw signal.reason;
        if (!isOutage(caught)) throw caught;
        error = caught;
      }
      if (error.cause === WOKEN && patienceMs) {
        endsAt = this.#now() + patienceMs; // asleep nobody lost patience
        timeoutMs = PROBE_TIMEOUT_MS;
        continue;
      }
      timeoutMs = CALL_TIMEOUT_MS;
      const leftMs = endsAt - this.#now();
      if (leftMs <= 0 || error.retryAfterMs > leftMs) throw error;
      const wantedMs = failures ? this.#backoffMs(failures - 1, error) : askedMs(error);
      const retryInMs = Math.min(wantedMs, leftMs);
      failures++;
      onConnection({ isConnected: false, error, retryInMs });
      if (retryInMs) await this.#pauseAfter(retryInMs, signal, error);
    }
  }

  /**
   * The length of a pause, with full jitter, so that clients come back spread out after an outage. It is never shorter
   * than the server asks for.
   * @param {number} failures
   * @param {RowboxError} error
   */
  #backoffMs(failures, error) {
    const bound = Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(failures, MOST_DOUBLINGS));
    return askedMs(error) + this.#random() * bound;
  }

  /**
   * The pause after a failure. Ends early where the network or the machine is back, and when another call is answered,
   * unless the server asked for the pause.
   * @param {number} ms
   * @param {AbortSignal | undefined} signal
   * @param {RowboxError} error
   */
  async #pauseAfter(ms, signal, error) {
    const isAsked = error.retryAfterMs > 0;
    const early = new AbortController();
    const end = () => early.abort();
    if (signal?.aborted) end();
    signal?.addEventListener("abort", end);
    if (!isAsked) this.#pauses.add(end);
    try {
      await this.#pause(ms, early.signal, isAsked);
    } finally {
      this.#pauses.delete(end);
      signal?.removeEventListener("abort", end);
    }
  }

  /**
   * Ends early where the network or the machine is back, unless the server asked for the pause.
   * @param {number} ms
   * @param {AbortSignal} [signal]
   * @param {boolean} [isAsked]
   */
  async #pause(ms, signal, isAsked = false) {
    const stay = new Attempt(Infinity, signal, isAsked ? null : this.#wakings);
    try {
      await this.#sleep(ms, stay.signal);
    } finally {
      stay.end();
    }
  }

  /**
   * Makes one try. Rejects with a RowboxError, or with another error for a fault that no other try can change.
   * @param {Call} name
   * @param {{query?: Query, body?: object, signal?: AbortSignal, timeoutMs?: number}} request
   * @returns {Promise<any>}
   */
  async #call(name, { query = {}, body, signal, timeoutMs = CALL_TIMEOUT_MS }) {
    const url = new URL(`v1/${name}`, this.#base);
    for (const [key, value] of Object.entries(query)) if (value != null) url.searchParams.set(key, String(value));
    const content = body && JSON.stringify(body);
    const attempt = new Attempt(timeoutMs, signal, this.#wakings);
    try {
      const args = body ?? Object.fromEntries(url.searchParams);
      const carried = query.wait ? null : this.#feed?.call(name, args, attempt.signal);
      if (carried) {
        const reply = await carried.catch(unanswered);
        if (reply.status !== 401) return this.#answered(name, reply, reply.body);
      }
      const token = await this.#access.get(attempt.signal);
      let [response, text] = await this.#exchange(url, content, token, attempt);
      // Who has signed out here has to sign in again: no other token is asked for.
      const isRefused = response.status === 401 && parsed(text)?.code !== SIGNED_OUT;
      const renewed = isRefused ? await this.#access.renewed(token, attempt.signal) : null;
      if (renewed !== null) [response, text] = await this.#exchange(url, content, renewed, attempt);
      const lifeS = Number(response.headers.get("X-Dedupe-Life"));
      if (lifeS > 0) this.#dedupeLifeMs = lifeS * 1000;
      return this.#answered(name, response, parsed(text));
    } finally {
      attempt.end();
    }
  }

  /**
   * The answer, where it is one; ends the pauses of others then.
   * @param {Call} name
   * @param {{status: number, type?: string, headers?: Headers}} response
   * @param {any} answer
   */
  #answered(name, response, answer) {
    if (response.status < 200 || response.status > 299 || !answer?.[ANSWERS[name]]) throw problem(response, answer);
    this.#endPauses();
    return answer;
  }

  /** The server answers: whoever waits because it did not tries again at once. */
  #endPauses() {
    for (const end of [...this.#pauses]) end();
  }

  /**
   * @param {URL} url
   * @param {string | undefined} body
   * @param {string} token
   * @param {Attempt} attempt
   * @returns {Promise<[Response, string]>}
   */
  async #exchange(url, body, token, attempt) {
    const device = this.#deviceId && { "X-Device-Id": this.#deviceId };
    const headers = { Authorization: `Bearer ${token}`, ...device, ...(body && { "Content-Type": "application/json" }) };
    const { signal } = attempt;
    // fetch throws a TypeError both for a network that is away and for a request that cannot be made. Making the
    // request here tells the two apart.
    const method = body ? "POST" : "GET";
    const request = new Request(url, { method, headers, body, signal, cache: "no-store", redirect: "manual" });
    try {
      const fetch = this.#fetch;
      const response = await fetch(request);
      return [response, await textOf(response, () => attempt.expectMoreWithin(CALL_TIMEOUT_MS))];
    } catch (error) {
      if (error instanceof ReferenceError) throw error; // of a fetch that the caller gave
      return unanswered(signal.aborted ? signal.reason : error);
    }
  }
}

/** The access token of one client. Several calls whose token is refused at the same time renew it once. */
class Access {
  /** @type {?string} */
  #token = null;
  /** @type {?Promise<string>} */
  #asking = null;
  #source;

  /** @param {Options["token"]} source */
  constructor(source) {
    this.#source = source;
    if (typeof source !== "function") this.#token = checkedToken(source);
  }

  /**
   * The current token.
   * @param {AbortSignal} signal
   */
  async get(signal) {
    return this.#token ?? (await this.#ask(signal));
  }

  /**
   * Another token than `refused`; null where there is none.
   * @param {string} refused
   * @param {AbortSignal} signal
   */
  async renewed(refused, signal) {
    if (typeof this.#source !== "function") return null;
    if (this.#token === refused) this.#token = null; // no call uses it any more
    const token = this.#token ?? (await this.#ask(signal));
    return token === refused ? null : token;
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<string>}
   */
  async #ask(signal) {
    this.#asking ??= Promise.resolve()
      .then(/** @type {() => string | Promise<string>} */ (this.#source))
      .finally(() => (this.#asking = null));
    let token;
    try {
      token = await orAborted(this.#asking, signal);
    } catch (cause) {
      this.#asking = null; // it may be one that never answers
      // Also one of another copy of this module, as a page has whose parts bring their own.
      const isOver = /** @type {any} */ (cause)?.retryable === false;
      if (isOver || cause instanceof RowboxError || cause instanceof ReferenceError) throw cause;
      const facts = { code: NO_TOKEN, status: 0, retryable: true, cause };
      throw new OutcomeUnknown("the token function gives no token", facts);
    }
    this.#token = checkedToken(token);
    return this.#token;
  }
}

/**
 * Does what a FeedSession decides: a socket, long polls, time. The program is given the changes, and calls go over the
 * socket.
 */
class Feed {
  #session;
  #ways;
  /** @type {?WebSocket} */
  #socket = null;
  /** Ends what takes time to become a socket. @type {?AbortController} */
  #connecting = null;
  /** @type {?AbortController} */
  #polling = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #end = new AbortController();
  #stopHearing = () => {};
  /** @type {Map<number, {resolve: (reply: {status: number, body: any}) => void, reject: (error: Error) => void}>} */
  #calls = new Map();
  /** @type {Changes[]} */
  #given = [];
  /** @type {?Changes} */
  #arrived = null;
  /** @type {?boolean} */
  #isConnected = null;
  /** The last socket is at another server, and had no welcome there so far. */
  #isAway = false;
  /** Why it is over; null where the program ended it. @type {unknown} */
  #error = null;
  /** Resolve when something is given or it is over, and when there is room. */
  #news = () => {};
  #room = () => {};

  /**
   * @param {FeedSession} session
   * @param {{url: URL, elsewhere: (signal: AbortSignal) => Promise<?string>, access: Access, now: () => number, wakings: Wakings, onConnection: (connection: Connection) => void,
   *   onPresence: OnPresence, onWelcome: (welcome: any) => void,
   *   poll: (until: AbortSignal, token: ?string, onPoll: (connection: Connection) => void) => AsyncGenerator<Changes>}} ways
   */
  constructor(session, ways) {
    this.#session = session;
    this.#ways = ways;
    ways.url.protocol = ways.url.protocol.replace("http", "ws");
  }

  begin() {
    const stopHearing = this.#ways.wakings.subscribe(() => this.#do(this.#session.woke(this.#ways.now())));
    const offline = () => this.#socket && this.#do(this.#session.broken(this.#ways.now()));
    globalThis.addEventListener?.("offline", offline); // a socket is silent then, and what goes over it waits
    this.#stopHearing = () => {
      stopHearing();
      globalThis.removeEventListener?.("offline", offline);
    };
    this.#do(this.#session.begin(this.#ways.now()));
  }

  /** Whether changes reach it, as far as it knows. */
  get isLive() {
    return this.#session.way === "open" || (this.#isConnected === true && this.#polling?.signal.aborted === false);
  }

  /** The next change, however long that takes; null when it is over. Throws why, if it was not ended by the program. */
  async next() {
    while (this.#given.length === 0) {
      if (this.#error !== null) throw this.#error;
      if (this.#end.signal.aborted) return null;
      await /** @type {Promise<void>} */ (new Promise((resolve) => (this.#news = resolve)));
    }
    return this.#end.signal.aborted && this.#error === null ? null : (this.#given.shift() ?? null);
  }

  /** The program has dealt with the oldest change that `next` gave. */
  taken() {
    if (!this.#end.signal.aborted) this.#do(this.#session.taken(this.#ways.now()));
  }

  /** It is over, because of `error`; null: because the program wants no more. @param {unknown} error */
  end(error) {
    if (this.#end.signal.aborted) return;
    this.#error = error;
    this.#end.abort();
    this.#stopHearing();
    clearTimeout(this.#timer);
    this.#hangUp();
    this.#polling?.abort();
    this.#lose([...this.#calls.keys()]);
    this.#news();
    this.#room();
  }

  /**
   * Makes a call; null where none can be made now.
   * @param {string} name
   * @param {object} args
   * @param {AbortSignal} signal Ends the waiting for the reply.
   * @returns {?Promise<{status: number, body: any}>} Rejects where the socket ends before the reply.
   */
  call(name, args, signal) {
    const now = this.#ways.now();
    if (!this.#session.canCall(now)) return null;
    if (JSON.stringify(args).length > this.#session.maxFrameBytes / MOST_BYTES) return null;
    const [id, effects] = this.#session.call(name, args, now);
    const reply = new Promise((resolve, reject) => this.#calls.set(id, { resolve, reject }));
    this.#do(effects);
    return orAborted(reply, signal).finally(() => {
      this.#calls.delete(id);
      this.#do(this.#session.giveUp(id, this.#ways.now()));
    });
  }

  /** The program wants to be told of these users. @param {string[]} users */
  watch(users) {
    if (!this.#end.signal.aborted) this.#do(this.#session.watch(users, this.#ways.now()));
  }

  /** Somebody is looking. */
  active() {
    if (!this.#end.signal.aborted) this.#do(this.#session.active(this.#ways.now()));
  }

  /** @param {import("./feed.js").Effect[]} effects */
  #do(effects) {
    for (const effect of effects) {
      if (effect.do === "connect") void this.#connect(effect.refused);
      else if (effect.do === "say") this.#say(effect.frame);
      else if (effect.do === "hang_up") this.#hangUp();
      else if (effect.do === "renew") void this.#renew(effect.old);
      else if (effect.do === "poll") void this.#poll(effect.token);
      else if (effect.do === "unpoll") this.#polling?.abort();
      else if (effect.do === "lose") this.#lose(effect.ids);
      else if (effect.do === "told") this.#heardOf({ isConnected: true });
      else if (effect.do === "seen") this.#ways.onPresence(effect.users);
      else if (effect.do === "stop") this.end(errorOf(effect.code, effect.reason));
      else if (effect.do === "give") {
        this.#given.push(/** @type {Changes} */ (this.#arrived));
        this.#news();
      } else {
        this.#calls.get(effect.id)?.resolve(effect);
      }
    }
    if (this.#session.hasRoom) this.#room();
    clearTimeout(this.#timer);
    const { dueMs } = this.#session;
    if (dueMs === Infinity || this.#end.signal.aborted) return;
    const elapsed = () => this.#do(this.#session.elapsed(this.#ways.now()));
    this.#timer = setTimeout(elapsed, Math.min(Math.max(0, Math.ceil(dueMs - this.#ways.now())), LONGEST_TIMER_MS));
  }

  /** @param {object} frame */
  #say(frame) {
    const socket = this.#socket; // one that is closing tells of that soon
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
  }

  /** @param {number[]} ids */
  #lose(ids) {
    for (const id of ids) {
      this.#calls.get(id)?.reject(new Error("the socket ended before the reply"));
    }
  }

  /** Tells the program whether the server answers, where that is news. @param {Connection} connection */
  #heardOf(connection) {
    if (connection.isConnected && this.#isConnected) return;
    this.#isConnected = connection.isConnected;
    this.#ways.onConnection(connection);
  }

  /** @param {?string} refused */
  async #connect(refused) {
    const connecting = new AbortController();
    this.#connecting = connecting;
    const { access, url, elsewhere, now } = this.#ways;
    /** @param {number} code @param {string} reason */
    const ended = (code, reason) => {
      this.#socket = null;
      // A server elsewhere that welcomes nobody ends nothing: the own one is asked next.
      this.#do(this.#session.ended(this.#isAway ? LOST : code, reason, now()));
    };
    try {
      const { signal } = connecting;
      const token = await (refused === null ? access.get(signal) : access.renewed(refused, signal));
      if (signal.aborted) return;
      if (token === null) return this.#do(this.#session.denied());
      const address = this.#isAway ? null : await elsewhere(signal); // after one there that had no welcome: here
      if (signal.aborted) return;
      this.#isAway = address !== null;
      const socket = new WebSocket(address ?? url, SUBPROTOCOL);
      this.#socket = socket;
      socket.onopen = () => this.#do(this.#session.connected(token));
      socket.onmessage = ({ data }) => typeof data === "string" && this.#frame(data);
      socket.onclose = ({ code, reason }) => ended(code, reason);
    } catch (error) {
      if (connecting.signal.aborted) return;
      if (error instanceof RowboxError && !error.retryable) this.end(error);
      else ended(LOST, ""); // a token function that fails, a WebSocket that is missing or may not be opened
    }
  }

  #hangUp() {
    this.#connecting?.abort();
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    const close = () => socket.close();
    socket.onopen = close; // a browser calls it an error to close one that is not open yet
    if (socket.readyState !== WebSocket.CONNECTING) close();
  }

  /** @param {string} text */
  #frame(text) {
    const frame = parsed(text);
    const now = this.#ways.now();
    if (frame === null || typeof frame !== "object") return this.#do(this.#session.broken(now));
    if (frame.t === "welcome") {
      this.#isAway = false;
      this.#ways.onWelcome(frame);
    }
    this.#arrived = frame;
    this.#do(this.#session.received(frame, now));
  }

  /** @param {string} old */
  async #renew(old) {
    try {
      const token = await this.#ways.access.renewed(old, this.#end.signal);
      if (token !== null && !this.#end.signal.aborted) this.#do(this.#session.renewed(token));
    } catch (error) {
      if (!isOutage(error)) this.end(error);
    }
  }

  /** @param {?string} token */
  async #poll(token) {
    const polling = new AbortController();
    this.#polling = polling;
    /** @param {Connection} connection */
    const onPoll = (connection) => {
      if (!connection.isConnected) this.#session.notPolled();
      this.#heardOf(connection);
    };
    try {
      for await (const page of this.#ways.poll(polling.signal, token, onPoll)) {
        if (polling.signal.aborted) return;
        this.#arrived = page;
        const lastUpdatedTimestamp = page.lastUpdatedTimestamp || null; // none yet (two_lists.js)
        this.#do(this.#session.polled({ ...page, lastUpdatedTimestamp }, this.#ways.now()));
        while (!this.#session.hasRoom && !polling.signal.aborted) {
          await /** @type {Promise<void>} */ (new Promise((resolve) => (this.#room = resolve)));
        }
      }
    } catch (error) {
      if (!polling.signal.aborted) this.end(error);
    }
  }
}

/**
 * Why a server that closes a socket with this code ends a following.
 * @param {number} code
 * @param {string} reason
 */
function errorOf(code, reason) {
  const text = `${code}: ${reason}`;
  const facts = { status: 0, retryable: false };
  if (code === UNAUTHENTICATED) {
    return new AccessDenied(text, { ...facts, status: 401, code: reason.includes("revoked") ? "token_revoked" : "unauthenticated" });
  }
  if (code === SIGNED_OUT_CODE) return new AccessDenied(text, { ...facts, status: 401, code: SIGNED_OUT });
  if (code === FORBIDDEN) return new AccessDenied(text, { ...facts, status: 403, code: "forbidden" });
  if (code === ELSEWHERE) return new Refused(text, { ...facts, code: CONNECTED_ELSEWHERE });
  return new Refused(text, { ...facts, code: code === BAD_FRAME ? "bad_request" : `closed_${code}` });
}

/** @param {unknown} cause @returns {never} */
function unanswered(cause) {
  throw new OutcomeUnknown("the server does not answer", { code: "no_answer", status: 0, retryable: true, cause });
}

/**
 * The time of one request. Its signal is aborted when the time ends, by the caller's signal, and when the machine
 * wakes.
 */
class Attempt {
  #controller = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #leave;

  /**
   * @param {number} ms
   * @param {AbortSignal | undefined} outer
   * @param {?Wakings} wakings
   */
  constructor(ms, outer, wakings) {
    // By hand: AbortSignal.any came with Safari 17.4, and the timer of AbortSignal.timeout outlives the request.
    const abort = () => this.#controller.abort(outer?.reason);
    const stopHearing = wakings?.subscribe(() => this.#controller.abort(WOKEN));
    outer?.addEventListener("abort", abort);
    this.#leave = () => {
      stopHearing?.();
      outer?.removeEventListener("abort", abort);
    };
    if (outer?.aborted) abort();
    this.expectMoreWithin(ms);
  }

  get signal() {
    return this.#controller.signal;
  }

  /** @param {number} ms */
  expectMoreWithin(ms) {
    clearTimeout(this.#timer);
    const expire = () => this.#controller.abort(new Error(`nothing came within ${ms / 1000} s`));
    if (ms !== Infinity) this.#timer = setTimeout(expire, ms);
  }

  end() {
    clearTimeout(this.#timer);
    this.#leave();
  }
}

/**
 * Tells when connections may have died without a word: a machine that slept, or a page that was suspended, hears no end
 * of them, and would wait for an answer until its time is over. It looks only while somebody listens.
 */
class Wakings {
  /** @type {Set<() => void>} */
  #listeners = new Set();
  #wallClock;
  #stop = () => {};

  /** @param {() => number} wallClock */
  constructor(wallClock) {
    this.#wallClock = wallClock;
  }

  /**
   * Calls `listener` at each waking; what it returns ends that.
   * @param {() => void} listener
   */
  subscribe(listener) {
    if (this.#listeners.size === 0) this.#start();
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#stop();
    };
  }

  #start() {
    const page = globalThis.document; // undefined in Node and in workers
    const wake = () => {
      for (const listener of [...this.#listeners]) listener();
    };
    let beatAt = this.#wallClock();
    let hiddenAt = page?.hidden ? beatAt : null;
    const beat = () => {
      const at = this.#wallClock();
      const lateMs = at - beatAt - HEARTBEAT_MS;
      beatAt = at;
      if (lateMs > (hiddenAt === null ? ASLEEP_MS : THROTTLED_MS)) wake();
    };
    const look = () => {
      const awayMs = page.hidden || hiddenAt === null ? 0 : this.#wallClock() - hiddenAt;
      hiddenAt = page.hidden ? this.#wallClock() : null;
      if (awayMs > ASLEEP_MS) wake();
    };
    const timer = /** @type {any} */ (setInterval(beat, HEARTBEAT_MS));
    timer.unref?.(); // in Node: it is no reason to go on running
    globalThis.addEventListener?.("online", wake);
    page?.addEventListener("visibilitychange", look);
    this.#stop = () => {
      clearInterval(timer);
      globalThis.removeEventListener?.("online", wake);
      page?.removeEventListener("visibilitychange", look);
    };
  }
}

/**
 * @param {unknown} error
 * @returns {error is RowboxError}
 */
function isOutage(error) {
  return error instanceof RowboxError && error.retryable;
}

/** @param {number} ageMs */
function tooOld(ageMs) {
  const tried = `first tried ${Math.round(ageMs / 3600_000)} hours ago`;
  const text = `${tried}: it may have arrived, and would be a second message if it were sent again`;
  return new OutcomeUnknown(text, { code: "dedupe_life_over", status: 0, retryable: false });
}

/**
 * Where /v1 is below.
 * @param {string} url
 */
function baseOf(url) {
  const base = new URL(String(url).endsWith("/") ? url : `${url}/`);
  if (!/^https?:$/.test(base.protocol)) throw new TypeError(`a server's url begins with http:// or https://: ${url}`);
  if (base.username || base.password) throw new TypeError("the url holds no password: the token says who one is");
  return base;
}

/**
 * @param {unknown} token
 * @returns {string}
 */
function checkedToken(token) {
  if (!token || typeof token !== "string") {
    throw new TypeError("a token is needed: rowbox token --user USER prints one");
  }
  const wrong = NOT_IN_TOKENS.exec(token);
  if (!wrong) return token;
  const code = /** @type {number} */ (wrong[0].codePointAt(0)).toString(16).toUpperCase().padStart(4, "0");
  throw new TypeError(`a token holds no U+${code}; this one does at place ${wrong.index + 1}: copy it again, whole`);
}

/**
 * @param {string} name
 * @param {number} ms
 */
function duration(name, ms) {
  if (typeof ms !== "number" || !(ms >= 0)) throw new RangeError(`${name} is a number of milliseconds from 0: ${ms}`);
  return ms;
}

/**
 * The typed error for an answer that is none. Something between us and the server may have made it.
 * @param {{status: number, type?: string, headers?: Headers}} response
 * @param {any} answer
 */
function problem({ status, type, headers }, answer) {
  const facts = typeof answer?.code === "string" ? answer : { code: "unexpected_answer" };
  const isRedirect = type === "opaqueredirect" || (status >= 300 && status < 400);
  const isRefusal = isRedirect || (status >= 400 && status < 500 && !PASSING_REFUSALS.includes(status));
  const Kind = status === 401 || status === 403 ? AccessDenied : isRefusal ? Refused : OutcomeUnknown;
  const retryAfterS = Number(headers?.get("Retry-After")); // NaN for a date, which our server never says
  const text = isRedirect
    ? "a redirect, which is not followed: give the url that it leads to"
    : (facts.detail ?? facts.title ?? `status ${status}, and not from Rowbox`);
  return new Kind(text, {
    code: facts.code,
    status,
    retryable: !isRefusal || status === 429,
    requestId: facts.requestId ?? headers?.get("X-Request-Id"),
    retryAfterMs: positive(facts.retryAfterMs ?? retryAfterS * 1000),
  });
}

/**
 * @param {Response} response
 * @param {() => void} onPart
 */
async function textOf(response, onPart) {
  onPart();
  if (!response.body) return response.text();
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    onPart();
    text += decoder.decode(part.value, { stream: true });
  }
  return text + decoder.decode();
}

/** @param {string} text @returns {any} */
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
 * @param {?string} cursor
 * @returns {AsyncGenerator<Item, void, undefined>}
 */
async function* byCursor(fetchPage, itemsOf, cursor) {
  do {
    const page = await fetchPage(cursor);
    const { resetReason: code } = page;
    if (code) throw new ListReset("the list begins anew", { code, status: 200, retryable: false });
    yield* itemsOf(page);
    cursor = page.nextCursor;
  } while (cursor);
}

/** @param {any} page */
const isEmpty = ({ messages = [], conversations = [] }) => messages.length + conversations.length === 0;

/**
 * Resolves after a time, and at once when `signal` is aborted.
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function pause(ms, signal) {
  if (signal.aborted) return Promise.resolve();
  return new Promise((/** @type {(_?: undefined) => void} */ resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}

/** Zero for what is no time: a pause of NaN is none, and a follower would ask without end. @param {unknown} ms */
const positive = (ms) => (typeof ms === "number" && ms > 0 ? ms : 0);

/** The pause that the server asked for. @param {{retryAfterMs?: number}} answer */
const askedMs = ({ retryAfterMs }) => Math.min(positive(retryAfterMs), LONGEST_ASKED_MS);

/**
 * `promise`; or rejects with the reason of `signal`, as soon as that is aborted.
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
function orAborted(promise, signal) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    const leave = () => signal.removeEventListener("abort", abort);
    promise.then(resolve, reject).then(leave, leave);
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
  });
}

/**
 * Catches what comes of an abort, and passes on the rest.
 * @param {AbortSignal} [signal]
 */
const unlessAborted = (signal) => (/** @type {unknown} */ error) => {
  if (!signal?.aborted) throw error;
};
