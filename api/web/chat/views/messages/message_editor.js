// Where one gives a message another text, in the place of that message. Enter saves and Shift+Enter begins a line (on a
// screen Enter begins a line, and the button saves); Escape leaves it as it was.

import { html, useLayoutEffect, useRef, useState } from "../../vendor/htm-preact.js";
import { isComposing, isTouch } from "../../keys.js";
import { excessOf, useHeightOf } from "../writing.js";

const EMPTY = "A message cannot be empty. Take it back instead.";

/**
 * `onSave(text)` gives null when that was done, else why not. `isGone`: the message was taken back meanwhile.
 * @param {{content: string, isGone: boolean, onSave: (text: string) => Promise<?string>, onClose: () => void}} props
 */
export function MessageEditor({ content, isGone, onSave, onClose }) {
  const input = useRef(/** @type {any} */ (null));
  const [text, setText] = useState(content);
  const [isSaving, setSaving] = useState(false);
  const [reason, setReason] = useState(/** @type {?string} */ (null));
  useHeightOf(input, text);
  useLayoutEffect(() => {
    const { current } = input;
    current.focus();
    current.setSelectionRange(current.value.length, current.value.length);
    current.scrollIntoView({ block: "nearest" });
  }, []);

  const excess = excessOf(text);
  const problem = isGone ? "This message was taken back." : excess > 0 ? `Too long by ${excess} bytes.` : reason;
  const isAllowed = !isGone && !isSaving && excess <= 0;
  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!isAllowed) return;
    if (text.trim() === "") return setReason(EMPTY);
    if (text === content) return onClose();
    setSaving(true);
    setReason(null);
    const failed = await onSave(text);
    if (failed === null) return onClose();
    setSaving(false);
    setReason(`${failed}.`);
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    event.stopPropagation(); // Escape would leave the conversation
    if (isComposing(event)) return;
    if (event.key === "Escape") onClose();
    const isDone = event.key === "Enter" && (event.ctrlKey || event.metaKey || (!event.shiftKey && !isTouch()));
    if (isDone) void save(event);
  };
  const change = (/** @type {any} */ event) => {
    setText(event.target.value);
    setReason(null);
  };
  return html`
    <form class="editor" onSubmit=${save} onKeyDown=${onKeyDown}>
      <textarea ref=${input} rows="1" dir="auto" aria-label="Another text for the message" readonly=${isSaving} value=${text}
        aria-invalid=${problem !== null} onInput=${change} />
      <p class="problem" role="alert">${problem}</p>
      <div class="choices">
        <button type="button" onClick=${onClose}>Cancel</button>
        <button type="submit" class="primary" disabled=${!isAllowed}>${isSaving ? "Saving…" : "Save"}</button>
      </div>
    </form>
  `;
}
