// Follows all that changes in a mailbox and says what comes, and whether the server answers. A line it hears is a message
// for bob, or one of the words "slept" and "end". Arguments: the server's URL, then access tokens, each used when the one
// before it is refused. With ROWBOX_NO_SOCKET there is no WebSocket, as behind a proxy that lets none through. ROWBOX_SERVERS: the
// origins that it trusts.

import { Rowbox } from "../../api/web/client/rowbox.js";
import { hangUp, heard, say } from "./lines.js";

/** @typedef {import("../../api/web/client/rowbox.js").RowboxError} RowboxError */

if (process.env.ROWBOX_NO_SOCKET) Reflect.deleteProperty(globalThis, "WebSocket");
const [url, ...tokens] = process.argv.slice(2);
let sleptMs = 0;
const end = new AbortController();
const token = tokens.length > 1 ? () => tokens.shift() ?? "none" : tokens[0];
const servers = JSON.parse(process.env.ROWBOX_SERVERS ?? "[]");
const client = new Rowbox({ url, token, servers, wallClock: () => Date.now() + sleptMs });
heard.on("line", async (line) => {
  if (line === "slept") sleptMs += 3600_000;
  else if (line === "end") end.abort();
  else {
    try {
      say({ sent: (await client.send("bob", line)).messageId });
    } catch (error) {
      say({ failed: /** @type {RowboxError} */ (error).code });
    }
  }
});
const onConnection = (/** @type {import("../../api/web/client/rowbox.js").Connection} */ { isConnected }) => say({ isConnected });

try {
  for await (const { messages, isDeltaUpdate } of client.followChanges({ signal: end.signal, onConnection })) {
    say({ texts: messages.map(({ messageContent }) => messageContent), isDeltaUpdate });
  }
  say({ ended: true });
} catch (error) {
  const { name, code } = /** @type {RowboxError} */ (error);
  say({ name, code });
}
hangUp();
