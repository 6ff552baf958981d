// The button that makes a group.

import { html, useState } from "../vendor/htm-preact.js";
import { groupPeer } from "../peers.js";
import { GroupDialog } from "./groups/group_dialog.js";

/** @param {{account: import("../mail/account.js").Account, onOpen: (peer: string) => void}} props */
export function NewGroup({ account, onOpen }) {
  const [isOpen, setOpen] = useState(false);
  const { groups, inbox, names, userId } = account;
  const create = async (/** @type {string} */ name, /** @type {string[]} */ users) => {
    const made = await groups.create(name, users);
    if ("problem" in made) return made.problem;
    setOpen(false);
    onOpen(groupPeer(made.conversationId));
    return null;
  };
  return html`
    <button type="button" class="new-group" onClick=${() => setOpen(true)}>
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <circle cx="8.5" cy="8.5" r="3.2" /><path d="M2 19c.3-3.4 2.8-5.3 6.5-5.3 2.3 0 4.1.7 5.2 2M14.5 5.6a3.2 3.2 0 0 1 0 5.8M19 14v6M16 17h6" />
      </svg>
      New group
    </button>
    ${isOpen && html`
      <${GroupDialog} title="New group" yes="Create group" doing="Creating…" isNew=${true} userId=${userId} members=${[]}
        known=${inbox.people} nameOf=${names.of} onDone=${create} onClose=${() => setOpen(false)} />
    `}
  `;
}
