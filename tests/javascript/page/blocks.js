// Whom the chat page knows to be blocked, over a server that the test plays. Heard are lines with one of: `block`, `unblock`,
// a user; `load`; `answer`, what the list that waits gets (null: it fails). Said are `asked`, `users` at each change, and `done`.

import { Blocks } from "../../../api/web/chat/mail/user/blocks.js";
import { heard, say } from "../lines.js";

/** @type {((users: any) => void)[]} */
const waiting = [];

async function fetchBlocks() {
  const answer = new Promise((resolve) => waiting.push(resolve));
  say({ asked: true });
  const users = await answer;
  if (users === null) throw new Error("no answer");
  return { blocks: users.map((/** @type {string} */ userId) => ({ userId, sinceTimestamp: 1 })), hasMore: false };
}

/** @param {string} userId */
const change = async (userId) => ({ userId, lastUpdatedTimestamp: 1, changed: true });
const blocks = new Blocks({ fetchBlocks, block: change, unblock: change }, new AbortController().signal);
blocks.subscribe(() => say({ users: blocks.users && [...blocks.users] }));

heard.on("line", async (line) => {
  const { block, unblock, load, answer } = JSON.parse(line);
  if (answer !== undefined) waiting.shift()?.(answer);
  else if (load) await blocks.load();
  else say({ done: await (block ? blocks.block(block) : blocks.unblock(unblock)) });
});
