// What a system message of a group says, in words. `nameOf` says what users are called.

/** So many users a system message names at most; there may be more then. */
const MOST_NAMED = 5;
/** Letters that are written from right to left: a name of them would turn the words behind it around. */
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
/** @type {Record<string, string>} */
const ROLES = { owner: "the owner", admin: "an admin", member: "an ordinary member" };

/** @typedef {import("./mail/user/names.js").NameOf} NameOf */

/** A name that stands within a sentence. @param {string} name */
export const withinWords = (name) => (RIGHT_TO_LEFT.test(name) ? `\u2068${name}\u2069` : name);

/** A user by name and id, where something hangs on who it is: two may have one name. @param {string} userId @param {NameOf} nameOf */
export function fullName(userId, nameOf) {
  const name = nameOf(userId);
  return name === userId ? userId : `${withinWords(name)} (${userId})`;
}

/**
 * One sentence for `userId`; null for what this page knows nothing of, which it does not show.
 * @param {import("../client/rowbox.js").GroupEvent} event
 * @param {string} userId
 * @param {NameOf} nameOf
 * @returns {?string}
 */
export function sentenceOf({ type, actor, users, name, role, owner, report }, userId, nameOf) {
  const called = (/** @type {string} */ user) => withinWords(nameOf(user));
  const who = actor === userId ? "You" : called(actor);
  const named = users.map((user) => (user === userId ? "you" : called(user)));
  const whom = listOf(named);
  const succession = owner === undefined ? "" : `; ${owner === userId ? "you are" : `${called(owner)} is`} the owner now`;
  switch (type) {
    case "created":
      return name ? `${who} created the group “${name}”` : `${who} created the group`;
    case "added":
      return users.length < MOST_NAMED ? `${who} added ${whom}` : `${who} added ${named.join(", ")} …`;
    case "removed":
      return `${who} removed ${whom}`;
    case "left":
      return `${who} left${succession}`;
    case "declined":
      return `${users[0] === userId ? "You" : whom} could not be added${succession}`;
    case "renamed":
      return name ? `${who} named the group “${name}”` : `${who} took the group’s name away`;
    case "role":
      return role && role in ROLES
        ? `${who} made ${whom} ${ROLES[role]}`
        : `${who} changed ${users[0] === userId ? "your" : `${whom}’s`} role`;
    case "settings":
      return `${who} changed the group’s settings`;
    case "deleted":
      return `${who} deleted the group`;
    case "reported":
      return report ? `${who} reported a message of ${whom} (${[report.reason, report.comment].filter(Boolean).join(": ")})` : null;
    default:
      return null;
  }
}

/**
 * What stands in place of a message that was taken back.
 * @param {{senderId: string, unsentBy?: string}} message
 * @param {string} userId
 * @param {NameOf} nameOf
 * @returns {string}
 */
export function takenBack({ senderId, unsentBy }, userId, nameOf) {
  if (unsentBy === undefined) return "This message was taken back";
  if (unsentBy !== senderId) return unsentBy === userId ? "You removed this message" : "An admin removed this message";
  return unsentBy === userId ? "You took this message back" : `${withinWords(nameOf(unsentBy))} took this message back`;
}

/** "bob", "bob and carol", "bob, carol and dave" @param {string[]} names */
export function listOf(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
