// About a group: what it is called, who is in, who may do what, and how one gets out. What is offered is what one may do; a
// refusal of the server all the same (somebody took the right away meanwhile) is said beside what it concerns.

import { html, useEffect, useRef, useState } from "../../vendor/htm-preact.js";
import { isComposing } from "../../keys.js";
import { useObserved } from "../../observable.js";
import { problemOfGroupName } from "../../mail/groups.js";
import { fullName } from "../../told.js";
import { Avatar } from "../avatar.js";
import { EditableName } from "../editable_name.js";
import { GroupDialog } from "./group_dialog.js";
import { MemberLine } from "./member_line.js";
import { Permissions } from "./permissions.js";
import { rightsOf } from "./rights.js";

/**
 * @typedef {import("../../mail/groups.js").Problem} Problem
 * @typedef {import("../../../client/rowbox.js").Group} Group
 */

/**
 * Of a group in which the user is. `onAsk` asks before something is done that cannot be undone.
 * @param {{account: import("../../mail/account.js").Account, conversation: import("../../mail/inbox.js").Conversation,
 *   openGroup: import("../../mail/open_group.js").OpenGroup, onAsk: (question: import("../../main.js").Question) => void,
 *   onOpen: (peer: string) => void, onClose: () => void}} props
 */
export function GroupDetails({ account, conversation, openGroup, onAsk, onOpen, onClose }) {
  useObserved(openGroup);
  const { userId, inbox, groups, names } = account;
  const { conversationId } = conversation;
  const panel = useRef(/** @type {any} */ (null));
  const [isAdding, setAdding] = useState(false);
  const [openMember, setOpenMember] = useState(/** @type {?string} */ (null));
  const [failed, setFailed] = useState(/** @type {?{at: string, reason: string}} */ (null));
  const toHeading = () => panel.current?.querySelector("h2").focus();
  useEffect(toHeading, []);

  const title = inbox.nameOf(conversation);
  const { group } = openGroup;
  const members = group?.members.map((member) => member.userId) ?? [];
  const rights = rightsOf(conversation.role ?? "member", group?.settings);
  const tryTo = async (/** @type {string} */ at, /** @type {Promise<?Problem>} */ deed) => {
    setFailed(null);
    const problem = await deed;
    if (problem) setFailed({ at, reason: problem.reason });
    else if (at !== "end") await openGroup.load(); // what was pressed stays so until the group is
    return problem;
  };
  const add = async (/** @type {string} */ _, /** @type {string[]} */ users) => {
    const problem = await groups.add(conversationId, users);
    if (problem) return problem;
    setAdding(false);
    void openGroup.load();
    return null;
  };
  const problemAt = (/** @type {string} */ at) => (failed?.at === at ? `${failed.reason}.` : "");
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape" || isComposing(event)) return;
    event.stopPropagation(); // it would leave the conversation
    onClose();
  };
  const leave = () => onAsk({ ...leaving(title, userId, group, names.of), onYes: () => void tryTo("end", groups.leave(conversationId)) });
  const end = () => onAsk({ ...ending(title), onYes: () => void tryTo("end", groups.delete(conversationId)) });
  /** @param {Group["members"][0]} member */
  const deedsFor = (member) => rights.deedsFor(member, userId, names.of).map((deed) => {
    const { name, isBad, question } = deed;
    const run = () => void tryTo("members", deed.run(groups, conversationId));
    return { name, isBad, run: question ? () => onAsk({ ...question, onYes: run }) : run };
  });
  return html`
    <aside class="details" ref=${panel} aria-label=${`About ${title}`} onKeyDown=${onKeyDown}>
      <header class="bar">
        <h2 tabindex="-1">About this group</h2>
        <button type="button" class="quiet close" aria-label="Close" onClick=${onClose}>×</button>
      </header>
      <div class="about-group">
        <div class="face">
          <${Avatar} peer=${inbox.peerOf(conversation)} title=${title} />
          <${EditableName} name=${conversation.name ?? ""} title=${title} label="Name of the group" mayChange=${rights.mayRename}
            begin=${conversation.name ? "Rename" : "Give it a name"} problemOf=${problemOfGroupName}
            onChange=${async (/** @type {string} */ name) => (await tryTo("name", groups.rename(conversationId, name)))?.reason ?? null} />
        </div>
        <section aria-label="Members">
          <div class="section-head">
            <h3>${conversation.memberCount === 1 ? "1 member" : `${conversation.memberCount} members`}</h3>
            ${rights.mayAdd && html`<button type="button" onClick=${() => setAdding(true)}>Add members</button>`}
          </div>
          <p class="problem" role="alert">${problemAt("members")}</p>
          ${openGroup.failure && html`
            <p class="problem" role="alert">The members could not be loaded: ${openGroup.failure}.
              <button type="button" onClick=${() => void openGroup.load()}>Try again</button></p>
          `}
          ${!group && !openGroup.failure && html`<p class="hint">Loading…</p>`}
          <ul class="members">
            ${group?.members.map(
              (member) => html`
                <${MemberLine} key=${member.userId} member=${member} name=${names.of(member.userId)} isSelf=${member.userId === userId} deeds=${deedsFor(member)}
                  isOpen=${openMember === member.userId} onToggle=${(/** @type {boolean} */ isOpen) => setOpenMember(isOpen ? member.userId : null)}
                  onWrite=${() => onOpen(member.userId)} onGone=${toHeading} />
              `,
            )}
          </ul>
        </section>
        ${rights.isAdmin && group && html`
          <${Permissions} settings=${group.settings} problem=${problemAt("settings")}
            onChange=${(/** @type {Group["settings"]} */ settings) => tryTo("settings", groups.allow(conversationId, settings))} />
        `}
        ${!rights.isAdmin && group?.settings.history === "recent" && html`
          <section class="permissions"><p class="limit">Those who join see recent messages from before they joined.</p></section>
        `}
        <section class="ends" aria-label="Leave or delete">
          <p class="problem" role="alert">${problemAt("end")}</p>
          <button type="button" class="bad" onClick=${leave}>Leave group</button>
          ${rights.mayDelete && html`<button type="button" class="bad" onClick=${end}>Delete group</button>`}
        </section>
      </div>
      ${isAdding && html`
        <${GroupDialog} title=${`Add to ${title}`} yes="Add" doing="Adding…" isNew=${false} userId=${userId} nameOf=${names.of}
          members=${members} known=${inbox.people.filter((user) => !members.includes(user))} onDone=${add} onClose=${() => setAdding(false)} />
      `}
    </aside>
  `;
}

/** What is asked of who deletes a group. @param {string} title */
const ending = (title) => ({
  title: `Delete ${title}?`,
  text: ["The group ends for all its members. What was written until now stays with each of them.", "This cannot be undone."],
  yes: "Delete group",
  isBad: true,
});

/**
 * What is asked of who leaves: what becomes of the group then.
 * @param {string} title
 * @param {string} userId
 * @param {?Group} group
 * @param {import("../../mail/user/names.js").NameOf} nameOf
 */
function leaving(title, userId, group, nameOf) {
  const others = group?.members.filter((member) => member.userId !== userId) ?? [];
  const isOwner = group?.ownerId === userId;
  const heir = others.find(({ role }) => role === "admin") ?? others[0];
  const text = ["You get nothing more of it. What was written until now stays with you. To come back, somebody has to add you."];
  if (isOwner && heir) text.push(`${fullName(heir.userId, nameOf)} is the owner then.`);
  if (isOwner && !heir) text.push("Nobody else is in it: it is deleted, and nobody comes back.");
  return { title: `Leave ${title}?`, text, yes: "Leave group", isBad: true };
}
