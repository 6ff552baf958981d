// What stands in the place of the composer where one cannot write into a group.

import { html } from "../../vendor/htm-preact.js";
import { rightsOf } from "./rights.js";

const KEPT = "What was written until then stays here.";
const ENDS = { left: `You left this group. ${KEPT}`, removed: `You were removed from this group. ${KEPT}`, deleted: `This group was deleted. ${KEPT}` };

/**
 * Why one cannot write; null where one can.
 * @param {import("../../mail/inbox.js").Conversation} conversation Of a group.
 * @param {?import("../../mail/open_group.js").OpenGroup} openGroup
 */
export function whyNotToWrite({ membership = "in", role = "member" }, openGroup) {
  if (membership !== "in") return ENDS[membership];
  return rightsOf(role, openGroup?.group?.settings).mayWrite ? null : "Only admins write in this group.";
}

/** @param {{why: string}} props */
export const GroupEnd = ({ why }) => html`<p class="no-writing" role="status">${why}</p>`;
