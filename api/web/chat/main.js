// Where the page begins: the tokens it was given become accounts, and the accounts panes.

import { html, render } from "./vendor/htm-preact.js";
import { Account } from "./mail/account.js";
import { attend } from "./browser/attention.js";
import { Navigation } from "./browser/navigation.js";
import { Notifier } from "./browser/notifier.js";
import { hearWorkers, takePlace } from "./browser/push_worker.js";
import { onNewLink, storedTokens, storeTokens, takeLink, userOf } from "./browser/session.js";
import { keptToken } from "./mail/user/push.js";
import { Today } from "./today.js";
import { App } from "./views/app.js";

/**
 * @typedef {object} Question Something that is not done without asking.
 * @property {string} title
 * @property {string[]} text Paragraphs.
 * @property {string} yes What the button says that does it.
 * @property {boolean} [isBad] It takes something away that does not come back by itself.
 * @property {() => void} onYes
 */

/** How long a conversation is waited for that somebody pressed a notification of. */
const OPENING_MS = 30_000;

const root = /** @type {HTMLElement} */ (document.getElementById("app"));
const today = new Today();
const navigation = new Navigation(showOpen);
const notifier = new Notifier(enter);
/** @type {Account[]} */
let accounts = [];
/** @type {?Question} */
let question = null;
/** The conversation for which a notification opened this page, until its user is signed in. */
let asked = takePlace();
/** Ends the waiting for a conversation, when somebody presses another notification. */
let opening = new AbortController();

function draw() {
  const actions = { onSignIn: signIn, onSignOut: signOut, onRenew: renew, onAsk: ask, onOpen: enter, onLeave: leave, onAnswer: answer };
  render(html`<${App} accounts=${accounts} today=${today} notifier=${notifier} question=${question} ...${actions} />`, root);
}

/** Shows these users and nobody else. An account that goes on with its token stays as it is. @param {string[]} tokens */
function show(tokens) {
  const kept = accounts.filter((account) => tokens.includes(account.token));
  for (const account of accounts) {
    if (kept.includes(account)) continue;
    const isReplaced = tokens.some((token) => userOf(token) === account.userId);
    if (isReplaced || account.failure) account.close();
    else account.signOut();
  }
  accounts = tokens.map((token) => kept.find((account) => account.token === token) ?? newAccount(token));
  storeTokens(tokens);
  draw();
  const place = asked;
  if (!place || !accounts.some(({ userId }) => userId === place.userId)) return;
  asked = null;
  void openConversation(place.userId, place.conversationId);
}

/** @param {string} token */
const newAccount = (token) => new Account(token, userOf(token) ?? "", notifier);

/** Signs in with what was pasted or linked. Two who are new here are shown as they write to each other. @param {string[]} tokens */
function signIn(tokens) {
  show(tokens);
  const [one, other] = accounts;
  if (other) navigation.begin({ [one.userId]: other.userId, [other.userId]: one.userId });
  showOpen(navigation.open);
}

/** A link was opened. It replaces nobody who is signed in without asking: anybody can make one. @param {string[]} tokens */
function follow(tokens) {
  navigation.begin(navigation.open); // the link is a step of the history: it knows nothing yet
  const isNews = tokens.some((token) => !accounts.some((account) => account.token === token));
  const replaced = accounts.filter((account) => !account.failure);
  if (!isNews && accounts.length === tokens.length) return;
  if (replaced.length === 0) return signIn(tokens);
  const users = tokens.map((token) => userOf(token) ?? "");
  const lost = replaced.filter(({ userId }) => !users.includes(userId)).reduce((sum, { outbox }) => sum + outbox.count, 0);
  const text = [`This tab is signed in as ${list(replaced.map(({ userId }) => userId))}. The link signs in ${list(users)} in place of that.`];
  ask({
    title: `Sign in as ${list(users)}?`,
    text: lost === 0 ? text : [...text, thrownAway(lost)],
    yes: "Sign in",
    onYes: () => signIn(tokens),
  });
}

/** @param {Account} account */
function signOut(account) {
  const { count } = account.outbox;
  const leaveTab = () => {
    account.signOut({ isDevice: true });
    navigation.leave(account.userId);
    withdraw(account);
  };
  if (count === 0) return leaveTab();
  ask({
    title: `Sign out ${account.userId}?`,
    text: [thrownAway(count)],
    yes: "Sign out",
    onYes: leaveTab,
  });
}

/** What a sign-out does to what waits. @param {number} count */
const thrownAway = (count) =>
  count === 1 ? "One message was not sent. It is thrown away." : `${count} messages were not sent. They are thrown away.`;

/** The token is no longer accepted: what was written waits for the next sign-in. @param {Account} account */
function renew(account) {
  account.close();
  withdraw(account);
}

/** @param {Account} account */
function withdraw(account) {
  accounts = accounts.filter((other) => other !== account);
  storeTokens(accounts.map(({ token }) => token));
  draw();
}

/**
 * @param {string} userId
 * @param {string} peer
 * @param {import("../client/rowbox.js").Message} [sought] The message at which it is opened.
 */
function enter(userId, peer, sought) {
  navigation.enter(userId, peer);
  accounts.find((account) => account.userId === userId)?.show(peer, { isFocused: true, sought });
}

/** Opens a conversation of which a notification told. @param {string} userId @param {string} conversationId */
async function openConversation(userId, conversationId) {
  opening.abort();
  const own = new AbortController();
  opening = own;
  const account = accounts.find((one) => one.userId === userId);
  const timer = setTimeout(() => own.abort(), OPENING_MS);
  const peer = await account?.inbox.peerIn(conversationId, own.signal);
  clearTimeout(timer);
  if (peer && accounts.some((one) => one === account)) enter(userId, peer);
}

/** @param {string} userId */
function leave(userId) {
  navigation.leave(userId);
  accounts.find((account) => account.userId === userId)?.show(null);
}

/** @param {import("./browser/navigation.js").Open} open */
function showOpen(open) {
  for (const account of accounts) account.show(open[account.userId] ?? null, { isFocused: account === accounts[0] });
}

/** @param {Question} wanted */
function ask(wanted) {
  question = wanted;
  draw();
}

/** @param {boolean} isYes */
function answer(isYes) {
  const answered = question;
  question = null;
  if (isYes) answered?.onYes();
  draw();
}

/** @param {string[]} names */
const list = (names) => names.join(" and ");

const given = takeLink();
const kept = asked && keptToken(asked.userId);
const stored = storedTokens();
if (kept !== null && stored.length === 0) stored.push(kept);
show(stored);
if (stored.length > 0) showOpen(navigation.open);
if (given.length > 0) follow(given);
hearWorkers({
  shows: (userId) => accounts.some((account) => account.userId === userId && !account.failure),
  open: (userId, conversationId) => void openConversation(userId, conversationId),
  renew: (userId) => void accounts.find((account) => account.userId === userId)?.push.renewAgain(),
});
onNewLink(() => follow(takeLink()));
attend(() => {
  for (const { presence } of accounts) presence.look();
});
addEventListener("beforeunload", (event) => {
  if (accounts.some(({ outbox }) => outbox.isAtRisk)) event.preventDefault(); // the browser asks, in its own words
});
