// Where a group is made, and where users are added to one. It stays open with what was written until it is done.

import { html, useLayoutEffect, useRef, useState } from "../../vendor/htm-preact.js";
import { excessOfName } from "../../mail/groups.js";
import { fullName } from "../../told.js";
import { NOBODY, PeoplePicker, withWritten } from "./people_picker.js";

/** @typedef {import("../../mail/groups.js").Problem} Problem */

/**
 * `title` is also what the dialog is called; `yes` is what its button says, and `doing` what it says meanwhile. `isNew`: it
 * asks for a name, too. `members`: who is in already, the user among them. `onDone` gives null when that was done.
 * @param {{title: string, yes: string, doing: string, isNew: boolean, userId: string, members: string[], known: string[],
 *   nameOf: import("../../mail/user/names.js").NameOf, onDone: (name: string, users: string[]) => Promise<?Problem>, onClose: () => void}} props
 */
export function GroupDialog({ title, yes, doing, isNew, userId, members, known, nameOf, onDone, onClose }) {
  const dialog = useRef(/** @type {any} */ (null));
  const [name, setName] = useState("");
  const [picked, setPicked] = useState(NOBODY);
  const [problem, setProblem] = useState(/** @type {?Problem} */ (null));
  const [isBusy, setBusy] = useState(false);
  useLayoutEffect(() => {
    const { current } = dialog;
    current.showModal();
    current.querySelector("input").focus();
    return () => current.close(); // the keyboard goes back to where it was
  }, []);

  useLayoutEffect(() => {
    if (isBusy) return;
    const blamed = dialog.current.querySelector("[aria-invalid='true']") ?? (problem && dialog.current.querySelector("[type='submit']"));
    blamed?.focus(); // to what has to be mended, or tried again
  }, [isBusy, problem, picked.problem]);

  const refusal = (/** @type {string} */ user) =>
    user === userId ? "You are in the group anyway" : members.includes(user) ? `${fullName(user, nameOf)} is in the group already` : null;
  const excess = excessOfName(name);
  const nameProblem = excess > 0 ? `Too long by ${excess} characters` : problem?.about === "name" ? problem.reason : null;
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const whole = withWritten(picked, refusal);
    setPicked(whole);
    setProblem(null);
    if (whole.problem !== null || excess > 0) return;
    if (whole.users.length === 0) return setPicked({ ...whole, problem: "Choose at least one other user" });
    setBusy(true);
    const failed = await onDone(name.trim(), whole.users);
    if (failed === null) return; // it is closed by now
    setBusy(false);
    setProblem(failed);
    if (failed.about === "members") setPicked({ ...whole, problem: failed.reason });
  };
  const rename = (/** @type {any} */ { target: { value } }) => {
    setName(value);
    setProblem(null);
  };
  const onCancel = (/** @type {Event} */ event) => {
    event.preventDefault(); // it closes when it is no longer drawn
    onClose();
  };
  const onKeyDown = (/** @type {Event} */ event) => event.stopPropagation(); // Escape would leave the conversation behind it
  return html`
    <dialog ref=${dialog} class="group-dialog" aria-label=${title} onCancel=${onCancel} onKeyDown=${onKeyDown}>
      <form onSubmit=${submit}>
        <header class="bar">
          <h2>${title}</h2>
          <button type="button" class="quiet close" aria-label="Close" onClick=${onClose}>×</button>
        </header>
        <div class="fields">
          ${isNew && html`
            <label class="field">Name
              <input value=${name} placeholder="What is it about?" autocomplete="off" readonly=${isBusy} aria-invalid=${nameProblem !== null} onInput=${rename} />
            </label>
            <p class="problem" role="alert">${nameProblem && `${nameProblem}.`}</p>
          `}
          <div class="field" role="group" aria-label="Members">
            <span aria-hidden="true">Members</span>
            <${PeoplePicker} picked=${picked} known=${known} nameOf=${nameOf} refusal=${refusal} isBusy=${isBusy} onChange=${setPicked} />
          </div>
        </div>
        <footer>
          <p class="problem" role="alert">${problem?.about === null && `${problem.reason}.`}</p>
          <div class="choices">
            <button type="button" onClick=${onClose}>Cancel</button>
            <button type="submit" class="primary" disabled=${isBusy}>${isBusy ? doing : yes}</button>
          </div>
        </footer>
      </form>
    </dialog>
  `;
}
