// What is said while a message that one came for is looked for, above the messages; nothing once it is there.

import { html } from "../../vendor/htm-preact.js";

/** @param {{thread: import("../../mail/thread.js").Thread}} props */
export function Seeking({ thread }) {
  const { sought } = thread;
  const { text, again } = wordsFor(sought);
  return html`
    <div class=${text ? "banner" : "unseen"} role="status">
      ${text && html`
        <span>${text}</span>
        ${again && html`<button type="button" onClick=${() => void thread.seekOn()}>${again}</button>`}
        <button type="button" onClick=${() => thread.stopSeeking()}>${sought?.state === "looking" ? "Stop" : "Close"}</button>
      `}
    </div>
  `;
}

/** @param {?import("../../mail/thread.js").Sought} sought @returns {{text: string, again?: string}} */
function wordsFor(sought) {
  if (sought === null) return { text: "" };
  switch (sought.state) {
    case "looking":
      return { text: sought.count === 0 ? "Looking for the message…" : `Looking for the message… ${sought.count} newer ones so far.` };
    case "far":
      return { text: `The message is older than the newest ${sought.count}.`, again: "Look further back" };
    case "failed":
      return { text: "The messages back to there could not be loaded.", again: "Try again" };
    case "gone":
      return { text: "This message is not there any more." };
    default:
      return { text: "" };
  }
}
