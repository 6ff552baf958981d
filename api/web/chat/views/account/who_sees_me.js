// Whether the user is shown as online, and how that is changed.

import { html, useEffect, useState } from "../../vendor/htm-preact.js";
import { useObserved } from "../../observable.js";

/** @param {{privacy: import("../../mail/user/privacy.js").Privacy}} props */
export function WhoSeesMe({ privacy }) {
  useObserved(privacy);
  useEffect(() => void privacy.load(), [privacy]);
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState(/** @type {?string} */ (null));
  const choose = async (/** @type {boolean} */ wanted) => {
    setBusy(true);
    setProblem(await privacy.choose(wanted));
    setBusy(false);
  };
  const { isShown, hasProfile } = privacy;
  if (isShown === null) return null;
  return html`
    <section class="privacy" aria-label="Privacy">
      <h3>Privacy</h3>
      <p class="problem" role="alert">${problem && `${problem}.`}</p>
      <label>
        <input type="checkbox" checked=${isShown} disabled=${isBusy || !hasProfile} aria-describedby="who-sees-me"
          onChange=${(/** @type {any} */ event) => void choose(event.currentTarget.checked)} />
        Show when I am online
      </label>
      <p class="soft" id="who-sees-me">
        ${hasProfile
          ? "The people you talk to see it. Without it you do not see when they are online either."
          : "The people you talk to see it. Once you have set your name you can turn it off."}
      </p>
    </section>
  `;
}
