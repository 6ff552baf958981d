// The names of the chat page over a server that the test plays. Heard are lines with one of: `of`, users whose names are
// shown; `again`, a user whose profile may have changed; `wait`, milliseconds; `answer`, what the request that waits gets
// (null: it fails); `goOn`. Said are `asked`, `value` for each `of`, and `changed`.

import { Names } from "../../../api/web/chat/mail/user/names.js";
import { heard, say } from "../lines.js";

/** @type {((users: any) => void)[]} */
const waiting = [];
let now = 1_000_000;

/** @param {string[]} userIds */
async function fetchUsers(userIds) {
  say({ asked: userIds });
  const users = await new Promise((resolve) => waiting.push(resolve));
  if (users === null) throw new Error("no answer");
  return { users };
}

const names = new Names({ fetchUsers }, new AbortController().signal, () => now);
names.subscribe(() => say({ changed: true }));

heard.on("line", (line) => {
  const { of, again, wait, answer, goOn } = JSON.parse(line);
  if (of) say({ value: of.map(names.of) });
  if (again) names.askAgain(again);
  if (wait) now += wait;
  if (answer !== undefined) waiting.shift()?.(answer);
  if (goOn) names.goOn();
});
