// What a group or the user himself is called, and where that is changed. Enter saves, Escape leaves it as it was.

import { html, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { isComposing } from "../keys.js";

/**
 * `title` stands in the place of an empty name; `label` is what the field is called, and `begin` what the button says that
 * shows it. `problemOf` says what is wrong with a name, and `onChange` why it was not taken; null: nothing.
 * @param {{name: string, title: string, label: string, begin: string, mayChange: boolean, problemOf: (name: string) => ?string,
 *   onChange: (name: string) => Promise<?string>}} props
 */
export function EditableName({ name, title, label, begin, mayChange, problemOf, onChange }) {
  const [text, setText] = useState(/** @type {?string} */ (null));
  const [isSaving, setSaving] = useState(false);
  const [reason, setReason] = useState(/** @type {?string} */ (null));
  const input = useRef(/** @type {any} */ (null));
  const button = useRef(/** @type {any} */ (null));
  const hasEdited = useRef(false);
  const isEditing = text !== null;
  useLayoutEffect(() => {
    if (isEditing) input.current.select();
    else if (hasEdited.current) button.current?.focus();
    hasEdited.current = isEditing;
  }, [isEditing]);

  const close = () => {
    setText(null);
    setReason(null);
  };
  if (text === null) {
    return html`
      <p class="own-name"><bdi>${title}</bdi></p>
      ${mayChange && html`<button type="button" class="link" ref=${button} onClick=${() => setText(name)}>${begin}</button>`}
    `;
  }
  const wrong = problemOf(text.trim());
  const problem = wrong ?? reason;
  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (wrong !== null || isSaving) return;
    if (text.trim() === name) return close();
    setSaving(true);
    const failed = await onChange(text.trim());
    setSaving(false);
    if (failed === null) return close();
    setReason(failed);
    input.current.focus();
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape" || isComposing(event)) return;
    event.stopPropagation(); // it would close all of it, and so it would a dialog around it
    event.preventDefault();
    close();
  };
  const write = (/** @type {any} */ { target: { value } }) => {
    setText(value);
    setReason(null);
  };
  return html`
    <form class="renaming" onSubmit=${save} onKeyDown=${onKeyDown}>
      <input ref=${input} aria-label=${label} value=${text} readonly=${isSaving} autocomplete="off" enterkeyhint="done"
        aria-invalid=${problem !== null} onInput=${write} />
      <p class="problem" role="alert">${problem && `${problem}.`}</p>
      <div class="choices">
        <button type="button" onClick=${close}>Cancel</button>
        <button type="submit" class="primary" disabled=${wrong !== null || isSaving}>${isSaving ? "Saving…" : "Save"}</button>
      </div>
    </form>
  `;
}
