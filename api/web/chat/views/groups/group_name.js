// What a group is called, and where that is changed. Enter saves, Escape leaves it as it was.

import { html, useLayoutEffect, useRef, useState } from "../../vendor/htm-preact.js";
import { isComposing } from "../../keys.js";
import { excessOfName } from "../../mail/groups.js";

/**
 * `title` stands in the place of an empty name.
 * @param {{name: string, title: string, mayRename: boolean, onRename: (name: string) => Promise<?import("../../mail/groups.js").Problem>}} props
 */
export function GroupName({ name, title, mayRename, onRename }) {
  const [text, setText] = useState(/** @type {?string} */ (null));
  const [isSaving, setSaving] = useState(false);
  const [reason, setReason] = useState(/** @type {?string} */ (null));
  const input = useRef(/** @type {any} */ (null));
  const begin = useRef(/** @type {any} */ (null));
  const hasEdited = useRef(false);
  const isEditing = text !== null;
  useLayoutEffect(() => {
    if (isEditing) input.current.select();
    else if (hasEdited.current) begin.current?.focus();
    hasEdited.current = isEditing;
  }, [isEditing]);

  const close = () => {
    setText(null);
    setReason(null);
  };
  if (text === null) {
    return html`
      <p class="group-name"><bdi>${title}</bdi></p>
      ${mayRename && html`<button type="button" class="link" ref=${begin} onClick=${() => setText(name)}>${name ? "Rename" : "Give it a name"}</button>`}
    `;
  }
  const excess = excessOfName(text.trim());
  const problem = excess > 0 ? `Too long by ${excess} characters` : reason;
  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (excess > 0 || isSaving) return;
    if (text.trim() === name) return close();
    setSaving(true);
    const failed = await onRename(text.trim());
    setSaving(false);
    if (failed === null) return close();
    setReason(failed.reason);
    input.current.focus();
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape" || isComposing(event)) return;
    event.stopPropagation(); // it would close all of it
    close();
  };
  const write = (/** @type {any} */ { target: { value } }) => {
    setText(value);
    setReason(null);
  };
  return html`
    <form class="renaming" onSubmit=${save} onKeyDown=${onKeyDown}>
      <input ref=${input} aria-label="Name of the group" value=${text} readonly=${isSaving} autocomplete="off" enterkeyhint="done"
        aria-invalid=${problem !== null} onInput=${write} />
      <p class="problem" role="alert">${problem && `${problem}.`}</p>
      <div class="choices">
        <button type="button" onClick=${close}>Cancel</button>
        <button type="submit" class="primary" disabled=${excess > 0 || isSaving}>${isSaving ? "Saving…" : "Save"}</button>
      </div>
    </form>
  `;
}
