// Follows a mailbox and says what comes, and whether the server answers. A line it hears is a sleep: by the clock that
// goes on meanwhile an hour has passed, as when a laptop was closed. Arguments: the server's URL, the token.

import { Rowbox } from "../../api/web/client/rowbox.js";
import { hangUp, heard, say } from "./lines.js";

const [url, token] = process.argv.slice(2);
let sleptMs = 0;
heard.on("line", () => (sleptMs += 3600_000));
const client = new Rowbox({ url, token, wallClock: () => Date.now() + sleptMs });
const onConnection = (/** @type {import("../../api/web/client/rowbox.js").Connection} */ { isConnected }) => say({ isConnected });

try {
  for await (const change of client.follow({ onConnection })) {
    if (change.type === "message") say({ text: change.message.messageContent });
  }
} catch (error) {
  const { name, code } = /** @type {import("../../api/web/client/rowbox.js").RowboxError} */ (error);
  say({ name, code });
  hangUp();
}
