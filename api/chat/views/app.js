// The whole page: nobody signed in, one user, or two side by side.

import { html, useEffect, useState } from "../vendor/htm-preact.js";
import { useObserved } from "../observable.js";
import { Pane } from "./pane.js";
import { SignIn } from "./sign_in.js";

/** @param {{accounts: import("../account.js").Account[], onSignIn: Function, onSignOut: Function}} props */
export function App({ accounts, onSignIn, onSignOut }) {
  const [shown, setShown] = useState(0);
  useObserved(...accounts.map((account) => account.inbox));
  const unread = accounts.reduce((sum, account) => sum + account.inbox.unreadCount, 0);
  useEffect(() => {
    document.title = unread ? `(${unread}) Rowbox` : "Rowbox";
  }, [unread]);

  if (accounts.length === 0) return html`<${SignIn} onSignIn=${onSignIn} />`;
  const current = Math.min(shown, accounts.length - 1);
  return html`
    ${accounts.length > 1 && html`<${UserTabs} accounts=${accounts} current=${current} onChoose=${setShown} />`}
    <div class="panes">
      ${accounts.map(
        (account, at) => html`
          <${Pane} key=${account.token} account=${account} isCurrent=${at === current} onSignOut=${() => onSignOut(account)} />
        `,
      )}
    </div>
  `;
}

/**
 * Where there is no room for two users side by side: which of them is shown.
 * @param {{accounts: import("../account.js").Account[], current: number, onChoose: (at: number) => void}} props
 */
function UserTabs({ accounts, current, onChoose }) {
  return html`
    <nav class="user-tabs" aria-label="Users">
      ${accounts.map(
        ({ userId, inbox }, at) => html`
          <button type="button" aria-pressed=${at === current} onClick=${() => onChoose(at)}>
            ${userId}${at !== current && inbox.unreadCount > 0 && html` <span class="badge">${inbox.unreadCount}</span>`}
          </button>
        `,
      )}
    </nav>
  `;
}
