// What its user can do with a conversation, for himself alone.

import { isMuted, isUnread } from "../../mail/user/conversation_settings.js";
import { fullName } from "../../told.js";

const HOUR_MS = 3_600_000;
const DELETE = "Delete your copy of all that is here? It does not come back. The other one keeps his.";
const DELETE_OF_GROUP = "Delete your copy of all that is here? It does not come back. The others keep theirs, and you stay in the group.";
/** For how long a conversation may be muted; null: until that is ended. @type {[string, ?number][]} */
const SPANS = [["For an hour", HOUR_MS], ["For eight hours", 8 * HOUR_MS], ["For a week", 7 * 24 * HOUR_MS], ["Until I unmute it", null]];
/** After what messages may disappear. @type {[string, number][]} */
const TTLS = [["Never", 0], ["After an hour", HOUR_MS], ["After a day", 24 * HOUR_MS], ["After a week", 7 * 24 * HOUR_MS], ["After thirty days", 30 * 24 * HOUR_MS]];

/**
 * `tell` says why something was not done; `onLeave` is called before the open conversation is marked as unread: who looks at it reads it.
 * @param {import("../../mail/inbox.js").Conversation} conversation
 * @param {import("../../mail/account.js").Account} account
 * @param {{isOpen: boolean, tell: (outcome: Promise<?string>) => void, onLeave: () => void}} around
 * @returns {import("../menu/action_menu.js").Action[]}
 */
export function actionsFor(conversation, account, { isOpen, tell, onLeave }) {
  const { conversationSettings: settings } = account;
  const { kind, pinned = false, archived = false } = conversation;
  const deleteIt = () => {
    if (isOpen) onLeave();
    tell(settings.delete(conversation));
  };
  const markUnread = () => {
    if (isOpen) onLeave();
    tell(settings.markUnread(conversation));
  };
  return [
    { name: pinned ? "Unpin" : "Pin", run: () => tell(settings.pin(conversation, !pinned)) },
    isMuted(conversation)
      ? { name: "Unmute", run: () => tell(settings.unmute(conversation)) }
      : { name: "Mute", choices: SPANS.map(([name, ms]) => ({ name, run: () => tell(settings.mute(conversation, ms)) })) },
    isUnread(conversation)
      ? { name: "Mark as read", run: () => tell(settings.markRead(conversation)) }
      : { name: "Mark as unread", run: markUnread },
    { name: archived ? "Take out of the archive" : "Archive", run: () => tell(settings.archive(conversation, !archived)) },
    { name: "Delete", question: { text: kind === "group" ? DELETE_OF_GROUP : DELETE, yes: "Delete for me" }, run: deleteIt },
    ...disappearingOf(conversation, settings, tell),
    ...blockingOf(conversation, account, tell),
  ];
}

/**
 * Sets when messages disappear, for everybody in it: of a group its owner and admins do.
 * @param {import("../../mail/inbox.js").Conversation} conversation
 * @param {import("../../mail/account.js").Account["conversationSettings"]} settings
 * @param {(outcome: Promise<?string>) => void} tell
 * @returns {import("../menu/action_menu.js").Action[]}
 */
function disappearingOf(conversation, settings, tell) {
  const { kind, role, membership, ttlMs = 0 } = conversation;
  if (kind === "group" && (membership !== "in" || role === "member")) return [];
  const others = TTLS.filter(([, ms]) => ms !== ttlMs);
  return [{ name: "Messages disappear", choices: others.map(([name, ms]) => ({ name, run: () => tell(settings.disappear(conversation, ms)) })) }];
}

/**
 * @param {import("../../mail/inbox.js").Conversation} conversation
 * @param {import("../../mail/account.js").Account} account
 * @param {(outcome: Promise<?string>) => void} tell
 * @returns {import("../menu/action_menu.js").Action[]}
 */
function blockingOf(conversation, { userId, inbox, blocks, names }, tell) {
  const peer = inbox.peerOf(conversation);
  if (conversation.kind === "group" || peer === userId || blocks.users === null) return [];
  if (blocks.has(peer)) return [{ name: "Unblock", run: () => tell(blocks.unblock(peer)) }];
  const text = `Show nothing more of what ${fullName(peer, names.of)} writes to you? Nobody is told. In groups you see each other as before.`;
  return [{ name: "Block", question: { text, yes: "Block" }, run: () => tell(blocks.block(peer)) }];
}
