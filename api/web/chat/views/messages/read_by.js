// Who of a group has read a message that one wrote: asked while the menu of the message is open, for nothing tells of it.

import { html, useEffect, useState } from "../../vendor/htm-preact.js";

const AGAIN_MS = 3_000;
/** Of so many the names are shown, then how many more there are. */
const MOST_NAMES = 12;

/** @typedef {() => Promise<?{users: string[], of: number}>} AskReaders Who has read it, of how many; null: not known now. */

/** @param {{ask: AskReaders, nameOf: import("../../mail/user/names.js").NameOf}} props */
export function ReadBy({ ask, nameOf }) {
  const [said, setSaid] = useState(/** @type {?{users: string[], of: number}} */ (null));
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
  const { users, of } = said;
  const more = users.length - MOST_NAMES;
  return html`
    <p class="read-by" role="presentation">${users.length === 0 ? `Read by none of ${of} yet` : `Read by ${users.length} of ${of}:`}
      ${users.slice(0, MOST_NAMES).map((user) => html`<bdi key=${user}>${nameOf(user)}</bdi>`)}
      ${more > 0 && html`<span>and ${more} more</span>`}
    </p>
  `;
}
