// Where the unread messages begin that were there when one opened the conversation or came back to it. The line stays
// while one reads, although what is read counts no longer; it goes when one answers, and moves when one was away again.

import { useRef } from "../../vendor/htm-preact.js";

/**
 * The messageId of the first unread message, or null: nothing was unread, or it is further up than what is loaded.
 * @param {object} facts
 * @param {import("../../mail/thread.js").Message[]} facts.messages Oldest first.
 * @param {string} facts.userId
 * @param {number} facts.unreadCount Others' messages behind the read mark.
 * @param {boolean} facts.isCurrent `messages` are up to date with `unreadCount`.
 * @param {boolean} facts.isWatched Somebody sees what comes.
 * @param {boolean} facts.isAnswered Something is being sent.
 * @returns {?string}
 */
export function useFirstUnread({ messages, userId, unreadCount, isCurrent, isWatched, isAnswered }) {
  const { current: line } = useRef({ count: 0, upTo: /** @type {?string} */ (null), isPassed: true, hasLooked: false });
  if (isAnswered) line.count = 0;
  if (isCurrent) {
    if (unreadCount === 0) line.isPassed = true;
    else if (line.isPassed && !(line.hasLooked && isWatched)) {
      Object.assign(line, { count: unreadCount, upTo: messages.at(-1)?.messageId ?? null, isPassed: false });
    }
    line.hasLooked = true;
  }
  if (line.count === 0) return null;
  let left = line.count;
  for (let at = messages.findIndex(({ messageId }) => messageId === line.upTo); at >= 0; at--) {
    const { senderId, kind } = messages[at];
    if (senderId !== userId && kind !== "system" && --left === 0) return messages[at].messageId;
  }
  return null;
}
