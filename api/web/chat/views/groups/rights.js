// What a member of a group may do, by his role and the group's settings: what the page offers. The server decides
// (mailbox/groups/deeds.py has the table).

import { fullName } from "../../told.js";

/**
 * @typedef {import("../../../client/rowbox.js").Group} Group
 * @typedef {Group["members"][0]} Member
 * @typedef {import("../../mail/user/names.js").NameOf} NameOf
 *
 * @typedef {object} DeedForMember Something to do to a member; `question`: what is asked first, because it cannot be undone.
 * @property {string} name
 * @property {boolean} [isBad]
 * @property {{title: string, text: string[], yes: string, isBad?: boolean}} [question]
 * @property {(groups: import("../../mail/groups.js").Groups, conversationId: string) => Promise<?import("../../mail/groups.js").Problem>} run
 */

/**
 * @param {Member["role"]} role
 * @param {Group["settings"]} [settings] Not known yet: then only what needs none is offered.
 */
export function rightsOf(role, settings) {
  const isAdmin = role !== "member";
  return {
    isAdmin,
    mayWrite: isAdmin || settings?.whoCanSend !== "admins",
    mayAdd: isAdmin || settings?.whoCanAdd === "all",
    mayRename: isAdmin || settings?.whoCanEditInfo === "all",
    mayDelete: role === "owner",
    /** @param {Member} member @param {string} userId @param {NameOf} nameOf @returns {DeedForMember[]} */
    deedsFor: (member, userId, nameOf) =>
      member.userId === userId ? [] : [...(role === "owner" ? rolesFor(member, nameOf) : []), ...removalOf(role, member, nameOf)],
  };
}

/** @param {Member} member @param {NameOf} nameOf @returns {DeedForMember[]} */
function rolesFor({ userId, role }, nameOf) {
  const who = fullName(userId, nameOf);
  const other = role === "admin" ? "member" : "admin";
  return [
    {
      name: role === "admin" ? "Make an ordinary member" : "Make an admin",
      run: (groups, conversationId) => groups.setRole(conversationId, userId, other),
    },
    {
      name: "Make the owner",
      question: {
        title: `Give the group to ${who}?`,
        text: [`${who} is the owner then, and you are an admin. Only ${who} can give it back.`],
        yes: "Give away",
      },
      run: (groups, conversationId) => groups.setRole(conversationId, userId, "owner"),
    },
  ];
}

/** @param {Member["role"]} own @param {Member} member @param {NameOf} nameOf @returns {DeedForMember[]} */
function removalOf(own, { userId, role }, nameOf) {
  if (own !== "owner" && !(own === "admin" && role === "member")) return [];
  const who = fullName(userId, nameOf);
  const question = {
    title: `Remove ${who}?`,
    text: [`${who} gets nothing more of this group, and keeps what was written until now.`],
    yes: "Remove",
    isBad: true,
  };
  return [{ name: "Remove from the group", isBad: true, question, run: (groups, conversationId) => groups.remove(conversationId, userId) }];
}
