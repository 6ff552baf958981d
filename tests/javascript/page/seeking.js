// A conversation of the chat page that looks for one of its messages, over a server that is played here. Argument: how many
// messages there are. Heard are lines with one of: `seek`, a message's number, from 0, the oldest; `on`; `reload`; `fails`, whether
// pages fail from now on; `gone`, the number of a message that the server has no more; `next`, what happens while the next page is asked for:
// `reload`, `stop`, or `reset`, which is that the server has forgotten the list. Said is what is sought, and how many messages are shown,
// whenever that changed.

import { Thread } from "../../../api/web/chat/mail/thread.js";
import { heard, say } from "../lines.js";

const count = Number(process.argv[2]);
const idOf = (/** @type {number} */ number) => String(number).padStart(8, "0");
const messages = Array.from({ length: count }, (_, at) => {
  const number = count - 1 - at;
  return { messageId: idOf(number), conversationId: "c", senderId: "bob", messageContent: "", sentTimestamp: 1_000 + Math.floor(number / 2), lastUpdatedTimestamp: 1 };
});
/** @type {Set<string>} */
const gone = new Set();
let fails = false;
/** @type {?string} */
let next = null;
let lists = 0;
let pages = 0;

/** @param {{pageSize?: number, cursor?: ?string}} query */
async function fetchMessages({ pageSize = 50, cursor }) {
  const happens = next;
  next = null;
  if (happens === "stop") thread.stopSeeking();
  await new Promise((resolve) => setImmediate(resolve));
  if (happens === "reload") thread.reload();
  if (fails) throw new Error("no answer");
  pages += 1;
  const isReset = happens === "reset";
  const [list, from] = cursor && !isReset ? cursor.split(" ").map(Number) : [++lists, 0];
  const page = messages.slice(from, from + pageSize).filter(({ messageId }) => !gone.has(messageId));
  return { messages: page, nextCursor: from + pageSize < count ? `${list} ${from + pageSize}` : null, resetReason: isReset ? "cursor_expired" : null };
}

const thread = new Thread(/** @type {any} */ ({ fetchMessages }), "bob", { isFocused: false, end: new AbortController().signal });
let last = "";
thread.subscribe(() => {
  const oldest = thread.messages[0];
  const facts = thread.sought && { state: thread.sought.state, count: thread.sought.count, shown: thread.messages.length, oldest: Number(oldest?.messageId ?? -1), pages };
  const line = { sought: facts, shown: thread.messages.length };
  if (JSON.stringify(line) !== last) say(line);
  last = JSON.stringify(line);
});

heard.on("line", (line) => {
  const { seek, on, reload, fails: isFailing, gone: lost, next: happens } = JSON.parse(line);
  if (lost !== undefined) gone.add(idOf(lost));
  if (happens !== undefined) next = happens;
  if (isFailing !== undefined) fails = isFailing;
  if (seek !== undefined) {
    thread.begin("c");
    void thread.seek({ messageId: idOf(seek), sentTimestamp: 1_000 + Math.floor(seek / 2) });
  }
  if (on) void thread.seekOn();
  if (reload) thread.reload();
});
