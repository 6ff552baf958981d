// The lines of the list of conversations: those of the mailbox, and those of which only this page knows so far, because
// their first message waits or is not finished yet.

import { isMuted } from "./user/conversation_settings.js";
import { sentenceOf } from "../told.js";

/**
 * @typedef {object} Entry
 * @property {string} peer A user or a group (peers.js).
 * @property {string} title
 * @property {?number} time Of the newest message, in microseconds; null where nothing was written yet.
 * @property {"draft" | "waiting" | "failed" | "you" | null} mark What stands before the text.
 * @property {?string} sender In a group, whose the text is, where that is another one.
 * @property {?string} text How the newest message begins, or the draft; null once retention took it.
 * @property {number} unreadCount
 * @property {boolean} isPinned
 * @property {boolean} isMuted
 * @property {boolean} isArchived
 * @property {boolean} isMarkedUnread
 * @property {import("./inbox.js").Conversation | undefined} conversation Nothing where it begins with what is not sent yet.
 */

/**
 * The lines of the list: what is pinned, then all else, the newest first. The draft for `openPeer` is left out, because it stands in the composer.
 * @param {import("./account.js").Account} account
 * @param {string | undefined} openPeer
 * @returns {Entry[]}
 */
export function entriesOf({ userId, inbox, outbox, drafts, names, lastEvents, isConnected }, openPeer) {
  const known = new Map(inbox.conversations.map((conversation) => [inbox.peerOf(conversation), conversation]));
  const isOut = (/** @type {string} */ peer) => (known.get(peer)?.membership ?? "in") !== "in";
  const draftPeers = drafts.peers.filter((peer) => peer !== openPeer && !isOut(peer));
  const peers = new Set([...known.keys(), ...outbox.recipients, ...draftPeers]);
  const entries = [...peers].map((peer) => {
    const conversation = known.get(peer);
    const unsent = outbox.to(peer);
    const written = unsent.length ? Math.max(...unsent.map(({ writtenAt }) => writtenAt)) * 1000 : 0;
    const time = Math.max(conversation?.lastSentTimestamp ?? 0, written) || null;
    const title = conversation ? inbox.nameOf(conversation) : inbox.titleOf(peer);
    const { unreadCount = 0, pinned: isPinned = false, archived: isArchived = false, markedUnread: isMarkedUnread = false } = conversation ?? {};
    const settings = { isPinned, isArchived, isMarkedUnread, isMuted: conversation !== undefined && isMuted(conversation) };
    return { peer, conversation, title, time, unreadCount, sender: null, ...settings, ...line(peer, conversation, unsent) };
  });
  return entries.sort((one, other) => Number(other.isPinned) - Number(one.isPinned) || (other.time ?? Infinity) - (one.time ?? Infinity) || 0);

  /**
   * @param {string} peer
   * @param {import("./inbox.js").Conversation | undefined} conversation
   * @param {import("./outbox.js").Unsent[]} unsent
   * @returns {Pick<Entry, "mark" | "text"> & {sender?: string}}
   */
  function line(peer, conversation, unsent) {
    const stopped = unsent.filter(({ state }) => state === "refused" || state === "unsure").at(-1);
    if (stopped) return { mark: "failed", text: stopped.content };
    const waiting = unsent.filter(({ state }) => state === "waiting" || isConnected === false).at(-1);
    if (waiting) return { mark: "waiting", text: waiting.content };
    const draft = draftPeers.includes(peer) ? drafts.get(peer) : "";
    if (draft) return { mark: "draft", text: draft };
    if (!conversation) return { mark: "you", text: unsent.at(-1)?.content ?? "" };
    const isOwn = conversation.lastSenderId === userId && peer !== userId;
    if (conversation.lastMessageUnsent) return { mark: null, text: isOwn && conversation.kind !== "group" ? "You took a message back" : "A message was taken back" };
    if (conversation.snippet === null) return { mark: null, text: happened(conversation) };
    if (isOwn) return { mark: "you", text: conversation.snippet };
    const sender = conversation.kind === "group" && conversation.lastSenderId ? names.of(conversation.lastSenderId) : undefined;
    return { mark: null, sender, text: conversation.snippet };
  }

  /** What the newest message says that has no text: of a group it may be an event. @param {import("./inbox.js").Conversation} conversation */
  function happened(conversation) {
    if (conversation.kind !== "group") return null;
    const event = lastEvents.of(conversation);
    return event ? (sentenceOf(event, userId, names.of) ?? "") : event === undefined ? "" : null;
  }
}
