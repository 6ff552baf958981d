// Rules of the chat page that need no page: each line that is heard names one and its arguments, and its value is said.

import { excerptOf } from "../../../api/web/chat/found.js";
import { excessOfName } from "../../../api/web/chat/mail/groups.js";
import { RowboxError } from "../../../api/web/client/rowbox.js";
import { thisBrowser } from "../../../api/web/chat/mail/user/devices.js";
import { shownName } from "../../../api/web/chat/mail/user/names.js";
import { giveName, problemOfName } from "../../../api/web/chat/mail/user/own_name.js";
import { groupIdOf, groupPeer, isPeer } from "../../../api/web/chat/peers.js";
import { fullName, sentenceOf, takenBack } from "../../../api/web/chat/told.js";
import { colourOf, initialsOf } from "../../../api/web/chat/views/avatar.js";
import { NOBODY, withWritten } from "../../../api/web/chat/views/groups/people_picker.js";
import { rightsOf } from "../../../api/web/chat/views/groups/rights.js";
import { heard, say } from "../lines.js";

/** What users are called here; others by their ids. @type {Record<string, string>} */
const NAMES = { erin: "Erin Novak", frank: "\u05d3\u05d5\u05d3" };
const nameOf = (/** @type {string} */ userId) => NAMES[userId] ?? userId;

const refusal = (/** @type {string} */ code) => new RowboxError("not allowed", { code, status: 400, retryable: false });

const rules = {
  colourOf,
  excerptOf,
  excessOfName,
  groupIdOf,
  groupPeer,
  initialsOf,
  isPeer,
  problemOfName,
  thisBrowser,
  shownName,
  /** What becomes of a name where updateUser and createUser end with these codes ("": they are done). @param {string} update @param {string} create */
  giveName: async (update, create) => {
    /** @type {string[]} */
    const calls = [];
    const call = (/** @type {string} */ name, /** @type {string} */ code) => () => {
      calls.push(name);
      return code === "" ? Promise.resolve({ userId: "alice", lastUpdatedTimestamp: 1, changed: true }) : Promise.reject(refusal(code));
    };
    const client = { updateUser: call("update", update), createUser: call("create", create) };
    const words = await giveName(client, "Alice", new AbortController().signal);
    return { calls, words };
  },
  /** @param {string} userId */
  fullName: (userId) => fullName(userId, nameOf),
  /** @param {any} event @param {string} userId */
  sentenceOf: (event, userId) => sentenceOf(event, userId, nameOf),
  /** @param {any} message @param {string} userId */
  takenBack: (message, userId) => takenBack(message, userId, nameOf),
  /** Who is picked when `text` is written by `userId`. @param {string} text @param {string} userId */
  withWritten: (text, userId) => withWritten({ ...NOBODY, text }, (user) => (user === userId ? "It is you" : null)),
  /** What is offered: of the group, and for a member of the role `other`. @param {any} role @param {any} settings @param {any} other */
  offers: (role, settings, other) => {
    const { deedsFor, ...rights } = rightsOf(role, settings);
    const deeds = deedsFor({ userId: "bob", role: other, joinedTimestamp: 0 }, "alice", nameOf);
    return { ...rights, deeds: deeds.map(({ name }) => name), asked: deeds.filter(({ question }) => question).map(({ name }) => name) };
  },
};

heard.on("line", async (line) => {
  const [name, ...values] = JSON.parse(line);
  const rule = /** @type {(...values: any[]) => any} */ (rules[/** @type {keyof typeof rules} */ (name)]);
  say({ value: (await rule(...values)) ?? null });
});
