// The first thing to see without a token.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { problemOf, tokensIn } from "../browser/session.js";

/** @param {{onSignIn: (tokens: string[]) => void}} props */
export function SignIn({ onSignIn }) {
  const [problem, setProblem] = useState(/** @type {?string} */ (null));
  const input = useRef(/** @type {any} */ (null));
  useEffect(() => input.current.focus(), []);
  const submit = (/** @type {any} */ event) => {
    event.preventDefault();
    const text = event.target.elements.token.value;
    const found = problemOf(text);
    setProblem(found);
    if (found === null) onSignIn(tokensIn(text));
  };
  return html`
    <main class="sign-in">
      <form onSubmit=${submit}>
        <h1>Rowbox</h1>
        <p>Sign in with a token. The server prints links with tokens when it is ready, and this makes more of them:</p>
        <pre>rowbox token --user alice</pre>
        <label for="token">Token</label>
        <input ref=${input} id="token" name="token" type="password" required autocomplete="off" spellcheck=${false}
          aria-invalid=${problem !== null} aria-describedby="token-problem" onInput=${() => setProblem(null)} />
        <p id="token-problem" class="problem" role="alert">${problem}</p>
        <button class="primary" type="submit">Sign in</button>
      </form>
    </main>
  `;
}
