// Who of a group has read a message that one wrote: asked while the menu of the message is open, for nothing tells of it.

import { html, useEffect, useState } from "../../vendor/htm-preact.js";

const AGAIN_MS = 3_000;
/** Of so many the names are shown, then how many more there are. */
const MOST_NAMES = 12;

/** @typedef {() => Promise<?{names: string[], of: number}>} AskReaders Who has read it, of how many; null: not known now. */

/** @param {{ask: AskReaders}} props */
export function ReadBy({ ask }) {
  const [said, setSaid] = useState(/** @type {?{names: string[], of: number}} */ (null));
  useEffect(() => {
    let timer = 0;
    let isOver = false;
    const look = async () => {
      const answer = await ask();
      if (isOver) return;
      if (answer !== null) setSaid(answer);
      timer = setTimeout(look, AGAIN_MS);
    };
    void look();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, []);
  if (said === null) return html`<p class="read-by" role="presentation">Read by …</p>`;
  const { names, of } = said;
  const more = names.length - MOST_NAMES;
  return html`
    <p class="read-by" role="presentation">${names.length === 0 ? `Read by none of ${of} yet` : `Read by ${names.length} of ${of}:`}
      ${names.slice(0, MOST_NAMES).map((name) => html`<bdi key=${name}>${name}</bdi>`)}
      ${more > 0 && html`<span>and ${more} more</span>`}
    </p>
  `;
}
