// Where one writes. Enter sends, Shift+Enter begins a line; a message that is too long is not taken.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";

/** The API's limit of a message's content. */
const MOST_BYTES = 65_535;

/** @param {{peer: string, drafts: Map<string, string>, onSend: (text: string) => void}} props */
export function Composer({ peer, drafts, onSend }) {
  const input = useRef(/** @type {any} */ (null));
  const [text, setText] = useState(drafts.get(peer) ?? "");
  const change = (/** @type {string} */ value) => {
    setText(value);
    drafts.set(peer, value);
  };
  useEffect(() => input.current.focus(), []);
  useLayoutEffect(() => {
    input.current.style.height = "auto";
    input.current.style.height = `${input.current.scrollHeight}px`;
  }, [text]);

  const excess = new TextEncoder().encode(text).length - MOST_BYTES;
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (text.trim() === "" || excess > 0) return;
    onSend(text);
    change("");
    input.current.focus();
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    // While a character is being composed (Japanese, an accent), Enter belongs to that.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
  };
  return html`
    <form class="composer" onSubmit=${submit}>
      <textarea ref=${input} rows="1" dir="auto" aria-label=${`Message to ${peer}`} placeholder="Write a message"
        value=${text} onInput=${(/** @type {any} */ event) => change(event.target.value)} onKeyDown=${onKeyDown} />
      <button class="primary" type="submit" disabled=${text.trim() === "" || excess > 0}>Send</button>
      ${excess > 0 && html`<p class="problem" role="alert">Too long by ${excess} bytes. Send it in parts.</p>`}
    </form>
  `;
}
