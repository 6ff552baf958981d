// What happened to a group, or what was reported, as a line between messages.

import { html } from "../../vendor/htm-preact.js";
import { fullTime } from "../../time.js";
import { sentenceOf } from "../../told.js";

/** @param {{message: import("../../mail/thread.js").Message, userId: string,
 *   nameOf: import("../../mail/user/names.js").NameOf}} props */
export function GroupLine({ message: { messageId, event, sentTimestamp, messageContent }, userId, nameOf }) {
  const sentence = event ? sentenceOf(event, userId, nameOf) : null;
  if (sentence === null) return null;
  return html`<li class="told" data-id=${messageId}><span title=${fullTime(sentTimestamp)}>${sentence}${event?.report && messageContent ? `: “${messageContent}”` : ""}</span></li>`;
}
