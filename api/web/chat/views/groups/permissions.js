// What those members of a group may do who are no admins, and what those who join see.

import { html, useState } from "../../vendor/htm-preact.js";

const RIGHTS = /** @type {const} */ ([
  ["whoCanSend", "Write messages"],
  ["whoCanAdd", "Add members"],
  ["whoCanEditInfo", "Change the name"],
]);

/** @typedef {import("../../../client/rowbox.js").GroupSettings} GroupSettings */
/** @typedef {(typeof RIGHTS)[number][0]} Right */

/**
 * `onChange` is called with all settings as they are to be.
 * @param {{settings: GroupSettings, problem: string, onChange: (settings: GroupSettings) => Promise<unknown>}} props
 */
export function Permissions({ settings, problem, onChange }) {
  /** What was pressed, until the group is so. @type {[?GroupSettings, (settings: ?GroupSettings) => void]} */
  const [pressed, setPressed] = useState(/** @type {?GroupSettings} */ (null));
  const shown = pressed ?? settings;
  const change = async (/** @type {GroupSettings} */ next) => {
    setPressed(next);
    await onChange(next);
    setPressed(null);
  };
  const toggle = (/** @type {Right} */ right) => change({ ...shown, [right]: shown[right] === "all" ? "admins" : "all" });
  const givesEarlier = shown.history === "recent";
  const toggleEarlier = () => change({ ...shown, history: givesEarlier ? "none" : "recent" });
  // One change after the other. (Were it disabled meanwhile, the keyboard would be nowhere.)
  const wait = (/** @type {Event} */ event) => pressed !== null && event.preventDefault();
  return html`
    <section class="permissions">
      <fieldset aria-busy=${pressed !== null}>
        <legend>Members may</legend>
        ${RIGHTS.map(
          ([right, name]) => html`
            <label key=${right}>
              <input type="checkbox" checked=${shown[right] === "all"} onClick=${wait} onChange=${() => void toggle(right)} />${name}
            </label>
          `,
        )}
      </fieldset>
      <fieldset aria-busy=${pressed !== null}>
        <legend>Those who join see</legend>
        <label>
          <input type="checkbox" checked=${givesEarlier} onClick=${wait} onChange=${() => void toggleEarlier()} />Recent messages from before they joined
        </label>
        <p class="limit">None from before this was switched on.</p>
      </fieldset>
      <p class="problem" role="alert">${problem}</p>
    </section>
  `;
}
