// Whom a conversation is with, in one text: a user, by his userId, or a group, by "!" and its conversationId. No userId
// begins with an exclamation mark.

import { isUserId } from "./browser/session.js";

const GROUP = /^!([0-9a-f]{32})$/;

/** @param {string} conversationId */
export const groupPeer = (conversationId) => `!${conversationId}`;

/** The conversationId of a group; null where `peer` is a user. @param {string} peer @returns {?string} */
export const groupIdOf = (peer) => GROUP.exec(peer)?.[1] ?? null;

/** Whether this names a user or a group. @param {unknown} text */
export const isPeer = (text) => isUserId(text) || (typeof text === "string" && GROUP.test(text));
