// Where the page begins: the tokens it was given become accounts, and the accounts panes.

import { html, render } from "./vendor/htm-preact.js";
import { Account } from "./account.js";
import { onNewLink, storeTokens, takeTokens, userOf } from "./session.js";
import { App } from "./views/app.js";

const root = /** @type {HTMLElement} */ (document.getElementById("app"));
/** @type {Account[]} */
let accounts = [];

/** Shows these users and nobody else. An account that goes on with its token stays as it is. @param {string[]} tokens */
function show(tokens) {
  const kept = accounts.filter((account) => tokens.includes(account.token));
  for (const account of accounts) if (!kept.includes(account)) account.close();
  accounts = tokens.map((token) => kept.find((account) => account.token === token) ?? new Account(token, userOf(token) ?? ""));
  storeTokens(tokens);
  render(html`<${App} accounts=${accounts} onSignIn=${show} onSignOut=${signOut} />`, root);
}

/** @param {Account} account */
function signOut(account) {
  show(accounts.filter((other) => other !== account).map((other) => other.token));
}

show(takeTokens());
onNewLink(() => show(takeTokens()));
