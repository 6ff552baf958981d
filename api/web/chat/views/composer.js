// Where one writes. Enter sends and Shift+Enter begins a line; on a screen Enter begins a line, and the button sends. A
// message that is too long is not taken.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { isComposing, isTouch } from "../keys.js";
import { excessOf, useHeightOf } from "./writing.js";

/**
 * @param {{peer: string, title: string, drafts: import("../mail/drafts.js").Drafts, focusCount: number, onSend: (text: string) => void}} props
 */
export function Composer({ peer, title, drafts, focusCount, onSend }) {
  const input = useRef(/** @type {any} */ (null));
  const [text, setText] = useState(drafts.get(peer));
  const change = (/** @type {string} */ value) => {
    setText(value);
    drafts.set(peer, value);
  };
  useEffect(() => {
    // A screen's keyboard would hide half of what one opened to read.
    if (focusCount > 0 && !isTouch()) input.current.focus();
  }, [focusCount]);
  useHeightOf(input, text);

  const excess = excessOf(text);
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (text.trim() === "" || excess > 0) return;
    onSend(text);
    change("");
    input.current.focus();
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter" || isComposing(event)) return;
    const isSending = event.ctrlKey || event.metaKey || (!event.shiftKey && !isTouch());
    if (isSending) submit(event);
  };
  return html`
    <form class="composer" onSubmit=${submit}>
      <textarea ref=${input} rows="1" dir="auto" aria-label=${`Message to ${title}`} placeholder="Write a message"
        enterkeyhint=${isTouch() ? "enter" : "send"} value=${text} onKeyDown=${onKeyDown}
        onInput=${(/** @type {any} */ event) => change(event.target.value)} />
      <button class="primary" type="submit" disabled=${text.trim() === "" || excess > 0}>Send</button>
      ${excess > 0 && html`<p class="problem" role="alert">Too long by ${excess} bytes. Send it in parts.</p>`}
    </form>
  `;
}
