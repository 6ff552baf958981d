// Whether somebody is online, in words; else since when he is not.

import { html } from "../../vendor/htm-preact.js";
import { briefTime, fullTime, isoTime } from "../../time.js";

/** @param {{seen: ?import("../../mail/user/presence.js").Seen}} props */
export function LastSeen({ seen }) {
  if (seen === null) return null;
  if (seen.online || seen.lastSeen === null) return html`<span class="is-online">Online</span>`;
  const { lastSeen } = seen;
  return html`<span>Last seen <time datetime=${isoTime(lastSeen)} title=${fullTime(lastSeen)}>${briefTime(lastSeen)}</time></span>`;
}
