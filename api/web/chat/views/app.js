// The whole page: nobody signed in, one user, or two side by side.

import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { useObserved } from "../observable.js";
import { Ask } from "./ask.js";
import { Pane } from "./pane.js";
import { SignIn } from "./sign_in.js";

/**
 * @typedef {import("../mail/account.js").Account} Account
 * @typedef {(peer: string, sought?: import("../../client/rowbox.js").Message) => void} OnOpen Opens a conversation, at a message where one is given.
 */

/**
 * @param {{accounts: Account[], today: import("../today.js").Today, notifier: import("../browser/notifier.js").Notifier,
 *   question: ?import("../main.js").Question, onSignIn: (tokens: string[]) => void, onSignOut: (account: Account) => void,
 *   onRenew: (account: Account) => void, onAsk: (question: import("../main.js").Question) => void, onOpen: (userId: string, ...where: Parameters<OnOpen>) => void,
 *   onLeave: (userId: string) => void, onAnswer: (isYes: boolean) => void}} props
 */
export function App({ accounts, today, notifier, question, onSignIn, onSignOut, onRenew, onAsk, onOpen, onLeave, onAnswer }) {
  const [shown, setShown] = useState(0);
  useObserved(today, ...accounts.flatMap(({ inbox, names }) => [inbox, names]));
  useUnreadSign(accounts.reduce((sum, account) => sum + account.inbox.unreadCount, 0));
  const current = Math.min(shown, accounts.length - 1);
  return html`
    ${accounts.length === 0 && html`<${SignIn} onSignIn=${onSignIn} />`}
    ${accounts.length > 1 && html`<${UserTabs} accounts=${accounts} current=${current} onChoose=${setShown} />`}
    ${accounts.length > 0 && html`
      <main class="panes">
        <h1 class="unseen">Rowbox</h1>
        ${accounts.map(
          (account, at) => html`
            <${Pane} key=${account.token} account=${account} notifier=${notifier} isCurrent=${at === current}
              onSignOut=${() => onSignOut(account)} onAsk=${onAsk} onRenew=${() => onRenew(account)}
              onOpen=${(/** @type {Parameters<OnOpen>} */ ...where) => onOpen(account.userId, ...where)} onLeave=${() => onLeave(account.userId)} />
          `,
        )}
      </main>
    `}
    ${question && html`<${Ask} question=${question} onAnswer=${onAnswer} />`}
  `;
}

/**
 * Where there is no room for two users side by side: which of them is shown.
 * @param {{accounts: Account[], current: number, onChoose: (at: number) => void}} props
 */
function UserTabs({ accounts, current, onChoose }) {
  return html`
    <nav class="user-tabs" aria-label="Users">
      ${accounts.map(
        ({ userId, inbox, names }, at) => html`
          <button type="button" aria-pressed=${at === current} onClick=${() => onChoose(at)}>
            <bdi>${names.of(userId)}</bdi>${at !== current && inbox.unreadCount > 0 && html` <span class="badge">${inbox.unreadCount}</span>`}
          </button>
        `,
      )}
    </nav>
  `;
}

/** What a tab in the background shows of itself. @param {number} unread */
function useUnreadSign(unread) {
  useEffect(() => {
    document.title = unread ? `(${unread}) Rowbox` : "Rowbox";
  }, [unread]);
  useEffect(() => {
    document.querySelector("link[rel='icon']")?.setAttribute("href", unread ? "chat/icon-unread.svg" : "chat/icon.svg");
  }, [unread > 0]);
}
