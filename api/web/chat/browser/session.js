// Whose tokens this tab has. A link carries them behind #, which no server and no log ever sees; from there they move
// into the tab's own storage, so that the address can be shown and two tabs can be two users.

import { ofTab } from "./storage.js";
import { userIdOf } from "../subjects.js";

const KEY = "rowbox.tokens";
const MOST_USERS = 2;
/** Tokens of a server without authentication (rowbox serve --insecure-dev) name their user in clear. */
const INSECURE = "insecure:";
/** The characters that a header takes. A token with others was cut by the program that it was copied from ("…"). */
const VISIBLE_ASCII = /^[\x21-\x7e]+$/;
const USER_ID = /^[A-Za-z0-9._@+:-]{1,128}$/;

/** Whether this is what the API takes for a userId. @param {unknown} text */
export const isUserId = (text) => typeof text === "string" && USER_ID.test(text);

/** The tokens in the address, which they then leave. Empty where the address had none. */
export function takeLink() {
  const given = tokensIn(location.hash);
  if (given.length > 0) history.replaceState(history.state, "", location.pathname + location.search);
  return given;
}

/** The tokens that this tab kept at its last load. */
export function storedTokens() {
  const kept = ofTab.get(KEY);
  return Array.isArray(kept) ? distinct(kept.filter((token) => typeof token === "string")) : [];
}

/** @param {string[]} tokens */
export function storeTokens(tokens) {
  ofTab.set(KEY, tokens);
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
 * Says what is wrong with a text that somebody pasted; null where it holds tokens that may be good.
 * @param {string} text
 */
export function problemOf(text) {
  const tokens = tokensIn(text);
  if (tokens.length === 0) {
    return "This is not a token. A token is one long word with two dots in it; the link that contains it works too.";
  }
  const ends = tokens.map((token) => claims(token).exp).filter((exp) => typeof exp === "number");
  if (ends.some((exp) => exp * 1000 <= Date.now())) return "This token has expired. Ask for a new one.";
  return null;
}

/**
 * Says why a user is signed out.
 * @param {string} token
 * @param {import("../../client/rowbox.js").RowboxError} error What the server said.
 */
export function signedOutBecause(token, error) {
  const { exp } = claims(token);
  if (error.code === "signed_out") return "You signed out here, from another device or from all of them.";
  if (error.code?.includes("revoked")) return "This sign-in was ended by an administrator or on another device.";
  if (error.status !== 401) return `The server refuses this sign-in: ${error.message}.`;
  if (typeof exp === "number" && exp * 1000 <= Date.now()) return "Your sign-in has expired.";
  return "The server does not accept this token. It may be of another server, or of one whose secret changed.";
}

/**
 * The user that a token names. Its signature is not verified, because the server does that. Null where it is no token.
 * @param {string} token
 * @returns {?string}
 */
export function userOf(token) {
  if (!VISIBLE_ASCII.test(token)) return null;
  const { sub } = claims(token);
  const userId = token.startsWith(INSECURE) ? token.slice(INSECURE.length) : userIdOf(typeof sub === "string" ? sub : "");
  return isUserId(userId) ? userId : null;
}

/** The device that a token is of, where it names one. @param {string} token @returns {?string} */
export function deviceIn(token) {
  const { did } = claims(token);
  return typeof did === "string" ? did : null;
}

/** What a token says, or nothing. @param {string} token @returns {Record<string, any>} */
function claims(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const utf8 = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    return Object(JSON.parse(new TextDecoder().decode(utf8)));
  } catch {
    return {};
  }
}

/** One token for each user, two users at most. @param {string[]} tokens */
function distinct(tokens) {
  const byUser = new Map(tokens.map((token) => [userOf(token), token]));
  byUser.delete(null);
  return [...byUser.values()].slice(0, MOST_USERS);
}
