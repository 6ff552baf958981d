// A question that has to be answered first. Escape and Cancel are no.

import { html, useLayoutEffect, useRef } from "../vendor/htm-preact.js";

/** @param {{question: import("../main.js").Question, onAnswer: (isYes: boolean) => void}} props */
export function Ask({ question, onAnswer }) {
  const dialog = useRef(/** @type {any} */ (null));
  useLayoutEffect(() => {
    const { current } = dialog;
    current.showModal();
    return () => current.close(); // the keyboard goes back to where it was
  }, []);
  const onCancel = (/** @type {Event} */ event) => {
    event.preventDefault(); // it closes when it is no longer drawn
    onAnswer(false);
  };
  return html`
    <dialog ref=${dialog} class="ask" aria-labelledby="ask-title" aria-describedby="ask-text" onCancel=${onCancel}>
      <h2 id="ask-title">${question.title}</h2>
      <div id="ask-text">${question.text.map((paragraph) => html`<p>${paragraph}</p>`)}</div>
      <div class="choices">
        <button type="button" autofocus onClick=${() => onAnswer(false)}>Cancel</button>
        <button type="button" class=${question.isBad ? "primary is-bad" : "primary"} onClick=${() => onAnswer(true)}>${question.yes}</button>
      </div>
    </dialog>
  `;
}
