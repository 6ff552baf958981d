// What the chat page shows of one's own messages in a group, over a server and a clock that the test plays. Heard are lines
// with one of: `watch`, one's own messages in sight, and `newest`; `wait`, milliseconds; `answer`, by message what its
// members have (null: the request fails). Said are `asked`, and `at` what time; and `changed`, what is shown of each message.

import { mock } from "node:test";
import { GroupReceipts } from "../../../api/web/chat/mail/group_receipts.js";
import { heard, say } from "../lines.js";

mock.timers.enable({ apis: ["setTimeout"] });
/** @type {((receipts: any) => void)[]} */
const waiting = [];
let now = 1_000;

/** @param {string} _ @param {string[]} messageIds */
async function fetchReceipts(_, messageIds) {
  say({ asked: messageIds, at: now });
  const receipts = await new Promise((resolve) => waiting.push(resolve));
  if (receipts === null) throw new Error("no answer");
  return { receipts: Object.entries(receipts).map(([messageId, states]) => ({ messageId, members: states.map((/** @type {string} */ state) => ({ state })) })), asOf: 1 };
}

const receipts = new GroupReceipts(/** @type {any} */ ({ fetchReceipts }), "g", new AbortController().signal, () => now);
receipts.subscribe(() => say({ changed: ["a", "b"].map((one) => receipts.of(one)) }));

heard.on("line", async (line) => {
  const { watch, newest, wait, answer } = JSON.parse(line);
  if (watch) receipts.watch(watch, newest);
  if (answer !== undefined) waiting.shift()?.(answer);
  await new Promise((resolve) => setImmediate(resolve)); // an answer has come then
  const steps = wait === undefined ? [0] : Array(wait / 1_000).fill(1_000);
  for (const ms of steps) {
    now += ms;
    mock.timers.tick(ms);
  }
  say({ done: true });
});
