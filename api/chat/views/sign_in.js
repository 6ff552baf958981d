// The first thing to see without a token.

import { html, useState } from "../vendor/htm-preact.js";
import { tokensIn } from "../session.js";

/** @param {{onSignIn: (tokens: string[]) => void}} props */
export function SignIn({ onSignIn }) {
  const [problem, setProblem] = useState(/** @type {?string} */ (null));
  const submit = (/** @type {any} */ event) => {
    event.preventDefault();
    const tokens = tokensIn(event.target.elements.token.value);
    if (tokens.length) onSignIn(tokens);
    else setProblem("This is no token. A token has three parts with dots between them.");
  };
  return html`
    <main class="sign-in">
      <form onSubmit=${submit}>
        <h1>Rowbox</h1>
        <p>Sign in with a token. The server prints links with tokens when it is ready, and this makes more of them:</p>
        <pre>rowbox token --user alice</pre>
        <label for="token">Token</label>
        <input id="token" name="token" type="password" required autofocus autocomplete="off" spellcheck=${false}
          aria-invalid=${problem !== null} aria-describedby="token-problem" onInput=${() => setProblem(null)} />
        <p id="token-problem" class="problem" role="alert">${problem}</p>
        <button class="primary" type="submit">Sign in</button>
      </form>
    </main>
  `;
}
