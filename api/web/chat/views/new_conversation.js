// "Write to": begins a conversation with somebody by his id.

import { html, useRef, useState } from "../vendor/htm-preact.js";
import { isUserId } from "../browser/session.js";

/** @param {{onOpen: (peer: string) => void}} props */
export function NewConversation({ onOpen }) {
  const input = useRef(/** @type {any} */ (null));
  const [isWrong, setWrong] = useState(false);
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    const peer = input.current.value.trim();
    setWrong(!isUserId(peer));
    if (!isUserId(peer)) return;
    input.current.value = "";
    onOpen(peer);
  };
  return html`
    <form class="new-conversation" onSubmit=${submit}>
      <input ref=${input} aria-label="New conversation: user id" enterkeyhint="go" placeholder="Write to…" autocomplete="off"
        autocapitalize="none" spellcheck=${false} maxlength="128" aria-invalid=${isWrong} onInput=${() => setWrong(false)} />
      <button type="submit">Start</button>
      <p class="problem" role="alert">${isWrong && "A user id has letters, digits and . _ @ + : -"}</p>
    </form>
  `;
}
