// The user's own name: where he has a profile it is changed, where he has none he is made known, if the server lets users
// do that themselves.

import { reasonFor } from "../reasons.js";

/** How long it is tried. After that the user is told, and may ask again. */
const PATIENCE_MS = 5_000;
const MOST_CHARACTERS = 100;
const REASONS = /** @type {Record<string, string>} */ ({
  forbidden: "Only an administrator of this server can give you a name. Once you have one you can change it here",
  peer_too_old: "The server is being upgraded, and cannot keep names yet. Try again later",
});

/** What is wrong with a name that somebody wrote; null where nothing is. @param {string} name */
export function problemOfName(name) {
  const excess = [...name].length - MOST_CHARACTERS;
  return excess > 0 ? `Too long by ${excess} characters` : name === "" ? "A name has at least one character" : null;
}

/**
 * Gives the user this name. Null when that was done; else why not, in words.
 * @param {Pick<import("../../../client/rowbox.js").Rowbox, "createUser" | "updateUser">} client
 * @param {string} name
 * @param {AbortSignal} signal
 * @returns {Promise<?string>}
 */
export async function giveName(client, name, signal) {
  const options = { patienceMs: PATIENCE_MS, signal };
  try {
    await client.updateUser({ name }, options);
    return null;
  } catch (caught) {
    const error = /** @type {import("../../../client/rowbox.js").RowboxError} */ (caught);
    if (error.code !== "unknown_user") return reasonFor(error, REASONS);
  }
  try {
    await client.createUser(name, options);
    return null;
  } catch (caught) {
    const error = /** @type {import("../../../client/rowbox.js").RowboxError} */ (caught);
    return error.code === "user_exists" ? "Your name was changed somewhere else just now. Try again" : reasonFor(error, REASONS);
  }
}
