// Reactions to a message: who reacts how, below it, and where one chooses an emoji.

import { html, useRef, useState } from "../../vendor/htm-preact.js";
import { isComposing } from "../../keys.js";
import { withinWords } from "../../told.js";

/** The ones that are chosen by a press; any other is written, by the system's own keyboard of emoji. */
const QUICK = Object.entries({
  "👍": "Thumbs up",
  "❤️": "Heart",
  "😂": "Tears of joy",
  "😮": "Surprised",
  "😢": "Sad",
  "🙏": "Thank you",
  "🎉": "Party",
  "👀": "Looking",
});

/**
 * @typedef {import("../../../client/rowbox.js").Reaction} Reaction
 * @typedef {import("../../mail/user/names.js").NameOf} NameOf
 * @typedef {(emoji: string) => void} OnReact Called with an emoji, or with "" to take one's own back.
 */

/** Who reacts with one emoji, in words. @param {Reaction} reaction @param {string} userId @param {NameOf} nameOf */
export function whoReacts({ count, users, mine }, userId, nameOf) {
  const others = users.filter((user) => user !== userId).map((user) => withinWords(nameOf(user)));
  const names = mine ? ["You", ...others] : others;
  const more = count - names.length;
  return more > 0 ? `${names.join(", ")} and ${more} more` : names.join(" and ");
}

/**
 * What is below a message; pressing one reacts in the same way, or takes that back, where one can.
 * @param {{reactions: Reaction[], userId: string, nameOf: NameOf, canReact: boolean, onReact: OnReact}} props
 */
export function Reactions({ reactions, userId, nameOf, canReact, onReact }) {
  return html`
    <ul class="reactions" aria-label="Reactions">
      ${reactions.map((reaction) => {
        const { emoji, count, mine } = reaction;
        const who = whoReacts(reaction, userId, nameOf);
        if (!canReact) {
          return html`
            <li key=${emoji}><span class="reaction" title=${who}><span class="emoji">${emoji}</span> ${count}<span class="unseen">, ${who}</span></span></li>
          `;
        }
        return html`
          <li key=${emoji}>
            <button type="button" class="reaction" aria-pressed=${mine} title=${who} aria-label=${`${emoji} ${count}, ${who}`}
              onClick=${() => onReact(mine ? "" : emoji)}><span class="emoji">${emoji}</span> ${count}</button>
          </li>
        `;
      })}
    </ul>
  `;
}

/**
 * Where one chooses an emoji; `own` is the one that the user has by now.
 * @param {{own: ?string, onReact: OnReact}} props
 */
export function ReactionPicker({ own, onReact }) {
  const input = useRef(/** @type {any} */ (null));
  const [text, setText] = useState("");
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    const emoji = text.trim();
    if (emoji !== "") onReact(emoji === own ? "" : emoji);
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    if (event.target !== input.current || event.key === "Escape" || event.key === "Tab") return;
    event.stopPropagation(); // arrows and Home are of the text
    if (event.key === "Enter" && !isComposing(event)) submit(event);
  };
  return html`
    <div class="menu picker" role="dialog" aria-label="React" onKeyDown=${onKeyDown}>
      <div class="quick">
        ${QUICK.map(
          ([emoji, name]) => html`
            <button type="button" data-item key=${emoji} title=${name} aria-label=${`${emoji} ${name}`} aria-pressed=${emoji === own}
              onClick=${() => onReact(emoji === own ? "" : emoji)}><span class="emoji">${emoji}</span></button>
          `,
        )}
      </div>
      <form onSubmit=${submit}>
        <input data-item ref=${input} aria-label="Another emoji" placeholder="Any emoji" maxlength="64" autocomplete="off"
          enterkeyhint="send" value=${text} onInput=${(/** @type {any} */ event) => setText(event.target.value)} />
        <button type="submit" disabled=${text.trim() === ""}>React</button>
      </form>
    </div>
  `;
}
