// Sends to many recipients at once, again and again, until it hears a line; says of each send how it ended.
// Arguments: the server's URL, the token, how many recipients.

import { Rowbox } from "../../api/web/client/rowbox.js";
import { hangUp, heard, say } from "./lines.js";

const [url, token, recipients] = process.argv.slice(2);
const client = new Rowbox({ url, token });
let isOver = false;
heard.once("line", () => {
  isOver = true;
  hangUp();
});

/** @param {number} recipient */
async function sendOn(recipient) {
  for (let number = 0; !isOver; number++) {
    const text = `${recipient} ${number}`;
    const begun = performance.now();
    try {
      await client.send(`peer-${recipient}`, text);
      say({ sent: text });
    } catch (error) {
      say({ failed: text, after: performance.now() - begun, error: String(error) });
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

await Promise.all(Array.from({ length: Number(recipients) }, (_, recipient) => sendOn(recipient)));
