// Rules of the chat page that need no page: each line that is heard names one and its arguments, and its value is said.

import { excessOfName } from "../../../api/web/chat/mail/groups.js";
import { groupIdOf, groupPeer, isPeer } from "../../../api/web/chat/peers.js";
import { sentenceOf, takenBack } from "../../../api/web/chat/told.js";
import { colourOf, initialsOf } from "../../../api/web/chat/views/avatar.js";
import { NOBODY, withWritten } from "../../../api/web/chat/views/groups/people_picker.js";
import { rightsOf } from "../../../api/web/chat/views/groups/rights.js";
import { heard, say } from "../lines.js";

const rules = {
  colourOf,
  excessOfName,
  groupIdOf,
  groupPeer,
  initialsOf,
  isPeer,
  sentenceOf,
  takenBack,
  /** Who is picked when `text` is written by `userId`. @param {string} text @param {string} userId */
  withWritten: (text, userId) => withWritten({ ...NOBODY, text }, (user) => (user === userId ? "It is you" : null)),
  /** What is offered: of the group, and for a member of the role `other`. @param {any} role @param {any} settings @param {any} other */
  offers: (role, settings, other) => {
    const { deedsFor, ...rights } = rightsOf(role, settings);
    const deeds = deedsFor({ userId: "bob", role: other, joinedTimestamp: 0 }, "alice");
    return { ...rights, deeds: deeds.map(({ name }) => name), asked: deeds.filter(({ question }) => question).map(({ name }) => name) };
  },
};

heard.on("line", (line) => {
  const [name, ...values] = JSON.parse(line);
  const rule = /** @type {(...values: any[]) => any} */ (rules[/** @type {keyof typeof rules} */ (name)]);
  say({ value: rule(...values) ?? null });
});
