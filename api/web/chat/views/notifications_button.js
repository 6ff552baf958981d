// Turns notifications on and off.

import { html } from "../vendor/htm-preact.js";
import { useObserved } from "../observable.js";

/** @param {{notifier: import("../browser/notifier.js").Notifier}} props */
export function NotificationsButton({ notifier }) {
  useObserved(notifier);
  if (!notifier.isPossible) return null;
  const { isOn, isForbidden } = notifier;
  const title = isForbidden
    ? "This browser forbids notifications for this page: its settings for the site allow them"
    : isOn ? "Notifications are on" : "Notify me of new messages";
  return html`
    <button type="button" class="quiet bell ${isOn ? "is-on" : ""}" aria-pressed=${isOn} aria-label="Notifications" title=${title}
      disabled=${isForbidden} onClick=${() => notifier.toggle()}>
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <path d="M12 3a6 6 0 0 0-6 6v5l-2 3h16l-2-3V9a6 6 0 0 0-6-6zM10 20h4" />
      </svg>
    </button>
  `;
}
