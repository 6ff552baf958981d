// What happened to a group, as a line between its messages.

import { html } from "../../vendor/htm-preact.js";
import { fullTime } from "../../time.js";
import { sentenceOf } from "../../told.js";

/** @param {{message: import("../../mail/thread.js").Message, userId: string}} props */
export function GroupLine({ message: { messageId, event, sentTimestamp }, userId }) {
  const sentence = event ? sentenceOf(event, userId) : null;
  if (sentence === null) return null;
  return html`<li class="told" data-id=${messageId}><span title=${fullTime(sentTimestamp)}>${sentence}</span></li>`;
}
