// Who is signed in, which is also the button that opens what there is to know about that.

import { html, useState } from "../../vendor/htm-preact.js";
import { Avatar } from "../avatar.js";
import { AccountDialog } from "./account_dialog.js";

/** @param {{account: import("../../mail/account.js").Account}} props */
export function AccountButton({ account }) {
  const [isOpen, setOpen] = useState(false);
  const { userId, names } = account;
  const name = names.of(userId);
  return html`
    <${Avatar} peer=${userId} title=${name} />
    <h2>
      <button type="button" class="account-button" aria-haspopup="dialog" onClick=${() => setOpen(true)}>
        <bdi>${name}</bdi>${name !== userId && html`<span class="soft"><span class="unseen">, </span>${userId}</span>`}<span class="unseen">, your account</span>
      </button>
    </h2>
    ${isOpen && html`<${AccountDialog} account=${account} onClose=${() => setOpen(false)} />`}
  `;
}
