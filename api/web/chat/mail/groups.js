// What a user does to groups: makes one, changes who is in and who may do what, leaves. The mailbox brings what became of
// it; here is said only whether it was done, and where not, why, and what of the request is to blame.

import { newClientMessageId } from "../../client/rowbox.js";
import { reasonFor } from "./reasons.js";

/** How long a request is tried. After that its user is told, and may ask again. */
const PATIENCE_MS = 5_000;
const MOST_CHARACTERS = 100;
const REASONS = /** @type {Record<string, string>} */ ({
  not_a_member: "You are not in this group any more",
  group_deleted: "This group was deleted",
  unknown_member: "This user is not in the group any more",
});
/** Which of a request's fields an error is about, by its code, or by the field that the server's words begin with. */
const BLAMED = /** @type {Record<string, Problem["about"]>} */ ({ group_full: "members", unknown_member: "members", members: "members", userids: "members", name: "name" });

/**
 * @typedef {object} Problem Why something was not done.
 * @property {"name" | "members" | null} about
 * @property {string} reason A sentence without its full stop.
 *
 * @typedef {import("../../client/rowbox.js").GroupSettings} GroupSettings
 */

/** By how many characters a group's name is too long; 0 or less: it is not. @param {string} name */
export const excessOfName = (name) => [...name].length - MOST_CHARACTERS;

/** What is wrong with a group's name; null where nothing is. @param {string} name */
export const problemOfGroupName = (name) => (excessOfName(name) > 0 ? `Too long by ${excessOfName(name)} characters` : null);

export class Groups {
  #client;
  #end;
  /** The group that is being made: the same again is the same group. */
  #making = { content: "", clientGroupId: "" };

  /**
   * @param {Pick<import("../../client/rowbox.js").Rowbox, "createGroup" | "addMembers" | "removeMember" | "leaveGroup" |
   *   "setRole" | "updateGroup" | "deleteGroup">} client
   * @param {AbortSignal} end
   */
  constructor(client, end) {
    this.#client = client;
    this.#end = end;
  }

  /**
   * Makes a group of the user and of `members`. Its conversationId; else why there is none.
   * @param {string} name
   * @param {string[]} members
   * @returns {Promise<{conversationId: string} | {problem: Problem}>}
   */
  async create(name, members) {
    const content = JSON.stringify([name, members]);
    if (this.#making.content !== content) this.#making = { content, clientGroupId: newClientMessageId() };
    const { clientGroupId } = this.#making;
    try {
      const { conversationId } = await this.#client.createGroup(clientGroupId, members, { name }, this.#options);
      this.#making = { content: "", clientGroupId: "" };
      return { conversationId };
    } catch (error) {
      return { problem: problemOf(error) };
    }
  }

  /** Null when it was done; else why not. @param {string} conversationId @param {string[]} userIds */
  add(conversationId, userIds) {
    return outcomeOf(this.#client.addMembers(conversationId, userIds, this.#options));
  }

  /** As `add`. @param {string} conversationId @param {string} userId */
  remove(conversationId, userId) {
    return outcomeOf(this.#client.removeMember(conversationId, userId, this.#options));
  }

  /** As `add`. @param {string} conversationId @param {string} userId @param {import("../../client/rowbox.js").Group["members"][0]["role"]} role */
  setRole(conversationId, userId, role) {
    return outcomeOf(this.#client.setRole(conversationId, userId, role, this.#options));
  }

  /** As `add`. @param {string} conversationId @param {string} name */
  rename(conversationId, name) {
    return outcomeOf(this.#client.updateGroup(conversationId, { name }, this.#options));
  }

  /** As `add`; all settings are given. @param {string} conversationId @param {GroupSettings} settings */
  allow(conversationId, settings) {
    return outcomeOf(this.#client.updateGroup(conversationId, { settings }, this.#options));
  }

  /** As `add`. Who was removed meanwhile is out as well. @param {string} conversationId */
  leave(conversationId) {
    return outcomeOf(this.#client.leaveGroup(conversationId, this.#options), ["not_a_member", "group_deleted"]);
  }

  /** As `add`. @param {string} conversationId */
  delete(conversationId) {
    return outcomeOf(this.#client.deleteGroup(conversationId, this.#options), ["group_deleted"]);
  }

  get #options() {
    return { patienceMs: PATIENCE_MS, signal: this.#end };
  }
}

/**
 * @param {Promise<unknown>} call
 * @param {string[]} [done] Codes that say that it is so by now, by somebody else.
 * @returns {Promise<?Problem>}
 */
async function outcomeOf(call, done = []) {
  try {
    await call;
    return null;
  } catch (error) {
    return done.includes(codeOf(error)) ? null : problemOf(error);
  }
}

/** @param {unknown} error @returns {Problem} */
function problemOf(error) {
  const reason = reasonFor(error, REASONS);
  return { about: BLAMED[codeOf(error)] ?? BLAMED[reason.split(" ", 1)[0].toLowerCase()] ?? null, reason };
}

/** @param {unknown} error */
const codeOf = (error) => /** @type {import("../../client/rowbox.js").RowboxError} */ (error).code;
