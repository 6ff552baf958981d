// What those members of a group may do who are no admins.

import { html, useState } from "../../vendor/htm-preact.js";

const RIGHTS = /** @type {const} */ ([
  ["whoCanSend", "Write messages"],
  ["whoCanAdd", "Add members"],
  ["whoCanEditInfo", "Change the name"],
]);

/** @typedef {import("../../../client/rowbox.js").GroupSettings} GroupSettings */

/**
 * `onChange` is called with all settings as they are to be.
 * @param {{settings: GroupSettings, problem: string, onChange: (settings: GroupSettings) => Promise<unknown>}} props
 */
export function Permissions({ settings, problem, onChange }) {
  /** What was pressed, until the group is so. @type {[?GroupSettings, (settings: ?GroupSettings) => void]} */
  const [pressed, setPressed] = useState(/** @type {?GroupSettings} */ (null));
  const shown = pressed ?? settings;
  const toggle = async (/** @type {keyof GroupSettings} */ right) => {
    const next = { ...shown, [right]: shown[right] === "all" ? "admins" : "all" };
    setPressed(next);
    await onChange(next);
    setPressed(null);
  };
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
      <p class="problem" role="alert">${problem}</p>
    </section>
  `;
}
