// What a system message of a group says, in words.

/** So many users a system message names at most; there may be more then. */
const MOST_NAMED = 5;
/** @type {Record<string, string>} */
const ROLES = { owner: "the owner", admin: "an admin", member: "an ordinary member" };

/**
 * One sentence for `userId`; null for what this page knows nothing of, which it does not show.
 * @param {import("../client/rowbox.js").GroupEvent} event
 * @param {string} userId
 * @returns {?string}
 */
export function sentenceOf({ type, actor, users, name, role, owner }, userId) {
  const who = actor === userId ? "You" : actor;
  const whom = listOf(users.map((user) => (user === userId ? "you" : user)));
  switch (type) {
    case "created":
      return name ? `${who} created the group “${name}”` : `${who} created the group`;
    case "added":
      return users.length < MOST_NAMED ? `${who} added ${whom}` : `${who} added ${users.map((user) => (user === userId ? "you" : user)).join(", ")} …`;
    case "removed":
      return `${who} removed ${whom}`;
    case "left":
      return `${who} left${succession(owner, userId)}`;
    case "declined":
      return `${users[0] === userId ? "You" : whom} could not be added${succession(owner, userId)}`;
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
    default:
      return null;
  }
}

/** Who has the group, where its owner is out. @param {string | undefined} owner @param {string} userId */
function succession(owner, userId) {
  if (owner === undefined) return "";
  return `; ${owner === userId ? "you are" : `${owner} is`} the owner now`;
}

/**
 * What stands in place of a message that was taken back.
 * @param {{senderId: string, unsentBy?: string}} message
 * @param {string} userId
 * @returns {string}
 */
export function takenBack({ senderId, unsentBy }, userId) {
  if (unsentBy === undefined) return "This message was taken back";
  if (unsentBy !== senderId) return unsentBy === userId ? "You removed this message" : "An admin removed this message";
  return unsentBy === userId ? "You took this message back" : `${unsentBy} took this message back`;
}

/** "bob", "bob and carol", "bob, carol and dave" @param {string[]} names */
export function listOf(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
