// Where one chooses users: those whom one knows from a list, by their names, and any other by writing the id. What is chosen
// stands above, and can be taken out again.

import { html, useRef } from "../../vendor/htm-preact.js";
import { isUserId } from "../../browser/session.js";
import { isComposing } from "../../keys.js";
import { Avatar } from "../avatar.js";

/** So many of the known ones are shown; who looks for another one writes a part of the name or the id. */
const MOST_SHOWN = 50;
const BETWEEN = /[\s,;]+/;

/**
 * @typedef {object} Picked
 * @property {string[]} users Those who are chosen, in order.
 * @property {string} text What is being written: no user so far.
 * @property {?string} problem What is wrong with it.
 */

/** @type {Picked} */
export const NOBODY = { users: [], text: "", problem: null };

/**
 * Takes what is written as one userId or several, or says what is wrong with it.
 * @param {Picked} picked
 * @param {(userId: string) => ?string} refusal Why a user cannot be chosen.
 * @returns {Picked}
 */
export function withWritten({ users, text }, refusal) {
  const chosen = [...users];
  for (const userId of text.split(BETWEEN).filter((word) => word !== "")) {
    if (chosen.includes(userId)) continue;
    const problem = isUserId(userId) ? refusal(userId) : "A user id has letters, digits and . _ @ + : -";
    if (problem !== null) return { users: chosen, text: userId, problem };
    chosen.push(userId);
  }
  return { users: chosen, text: "", problem: null };
}

/**
 * `known`: users to choose from by a press.
 * @param {{picked: Picked, known: string[], nameOf: import("../../mail/user/names.js").NameOf, refusal: (userId: string) => ?string, isBusy: boolean,
 *   onChange: (picked: Picked) => void}} props
 */
export function PeoplePicker({ picked, known, nameOf, refusal, isBusy, onChange }) {
  const input = useRef(/** @type {any} */ (null));
  const { users, text, problem } = picked;
  const begun = problem === null ? text.trim().toLowerCase() : ""; // what is no user is no search for one
  const shown = known.filter((userId) => [userId, nameOf(userId)].some((one) => one.toLowerCase().includes(begun))).slice(0, MOST_SHOWN);

  const write = (/** @type {any} */ { target: { value } }) => {
    const isWhole = BETWEEN.test(value.trimStart());
    const next = { users, text: value, problem: null };
    onChange(isWhole ? withWritten(next, refusal) : next);
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (isComposing(event)) return;
    if (event.key === "Enter" && text.trim() !== "") {
      event.preventDefault(); // the form is not done by that
      onChange(withWritten(picked, refusal));
    }
    if (event.key === "Backspace" && text === "" && users.length > 0) onChange({ ...picked, users: users.slice(0, -1), problem: null });
  };
  const takeOut = (/** @type {string} */ userId) => {
    onChange({ ...picked, users: users.filter((user) => user !== userId), problem: null });
    input.current.focus();
  };
  const toggle = (/** @type {string} */ userId) => {
    if (users.includes(userId)) onChange({ ...picked, users: users.filter((user) => user !== userId), problem: null });
    else onChange({ users: [...users, userId], text: "", problem: null });
  };
  return html`
    <div class="picker-of-people">
      <div class="picked">
        <ul aria-label="Chosen">
          ${users.map(
            (userId) => html`
              <li key=${userId} class="chip">
                <${Avatar} peer=${userId} title=${nameOf(userId)} /><bdi title=${userId}>${nameOf(userId)}</bdi>
                <button type="button" aria-label=${`Take out ${nameOf(userId)}`} disabled=${isBusy} onClick=${() => takeOut(userId)}>×</button>
              </li>
            `,
          )}
        </ul>
        <input ref=${input} aria-label="Members: user id" placeholder=${users.length ? "And…" : "User id"} enterkeyhint="done" autocomplete="off"
          autocapitalize="none" spellcheck=${false} value=${text} readonly=${isBusy} aria-invalid=${problem !== null} onInput=${write} onKeyDown=${onKeyDown} />
      </div>
      <p class="problem" role="alert">${problem && `${problem}.`}</p>
      ${known.length === 0 && !problem && html`<p class="soft">Enter, a comma or a space ends an id. You may paste several.</p>`}
      ${shown.length > 0 && html`
        <ul class="known" aria-label="People you know">
          ${shown.map(
            (userId) => html`
              <li key=${userId}>
                <label>
                  <input type="checkbox" checked=${users.includes(userId)} disabled=${isBusy} onChange=${() => toggle(userId)} />
                  <${Avatar} peer=${userId} title=${nameOf(userId)} /><bdi>${nameOf(userId)}</bdi>
                  ${nameOf(userId) !== userId && html` <span class="soft id">${userId}</span>`}
                </label>
              </li>
            `,
          )}
        </ul>
      `}
    </div>
  `;
}
