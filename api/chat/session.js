// Whose tokens this tab has. A link carries them behind #, which no server and no log ever sees; from there they move
// into the tab's own storage, so that the address can be shown and two tabs can be two users.

const KEY = "rowbox.tokens";
const MOST_USERS = 2;
/** Tokens of a server without authentication (rowbox serve --insecure-dev) name their user in clear. */
const INSECURE = "insecure:";

/** The tokens of the link, which then leave the address; those of the last load where the link has none. */
export function takeTokens() {
  const given = tokensIn(location.hash);
  if (given.length === 0) return distinct(JSON.parse(sessionStorage.getItem(KEY) ?? "[]"));
  history.replaceState(null, "", location.pathname + location.search);
  return given;
}

/** @param {string[]} tokens */
export function storeTokens(tokens) {
  sessionStorage.setItem(KEY, JSON.stringify(tokens));
}

/** Calls back when a link with tokens was opened in this very tab. @param {() => void} callback */
export function onNewLink(callback) {
  addEventListener("hashchange", () => tokensIn(location.hash).length && callback());
}

/** The tokens in what somebody pasted: a token, or a link of the ready line. None where it is neither. @param {string} text */
export function tokensIn(text) {
  const fragment = text.slice(text.indexOf("#") + 1);
  const inLink = new URLSearchParams(fragment).getAll("token");
  return distinct(inLink.length ? inLink : [text.trim()]);
}

/**
 * The user a token is for, without looking at its signature: the server does that. Null where it is no token.
 * @param {string} token
 * @returns {?string}
 */
export function userOf(token) {
  if (token.startsWith(INSECURE)) return token.slice(INSECURE.length) || null;
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(atob(payload)).sub ?? null;
  } catch {
    return null;
  }
}

/** One token for each user, two users at most. @param {string[]} tokens */
function distinct(tokens) {
  const byUser = new Map(tokens.map((token) => [userOf(token), token]));
  byUser.delete(null);
  return [...byUser.values()].slice(0, MOST_USERS);
}
