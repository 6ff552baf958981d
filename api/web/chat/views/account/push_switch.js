// Whether this browser tells of new messages while the page is closed.

import { html, useEffect } from "../../vendor/htm-preact.js";
import { useObserved } from "../../observable.js";

/** @param {{push: import("../../mail/user/push.js").Push}} props */
export function PushSwitch({ push }) {
  useObserved(push);
  useEffect(() => void push.look(), [push]);
  if (!push.isOffered) return null;
  const { isOn, isBusy, isForbidden, failure } = push;
  // One press after the other. (Were it disabled meanwhile, the keyboard would be nowhere.)
  const wait = (/** @type {Event} */ event) => isBusy && event.preventDefault();
  return html`
    <section class="notifying" aria-label="Notifications" aria-busy=${isBusy}>
      <h3>Notifications</h3>
      <label>
        <input type="checkbox" checked=${isOn} disabled=${isForbidden} onClick=${wait}
          onChange=${() => void (isOn ? push.turnOff() : push.turnOn())} />Also while this page is closed
      </label>
      <p class="soft">
        ${isForbidden
          ? "This browser forbids notifications for this page: its settings for the site allow them."
          : "This browser keeps you signed in for that, until you sign out."}
      </p>
      <p class="problem" role="alert">${failure && `${failure}.`}</p>
    </section>
  `;
}
