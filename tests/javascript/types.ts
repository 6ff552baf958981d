// What the types of the JavaScript client allow, and what not: `make check` reads this, nothing runs it.

import { AccessDenied, type Message, OutcomeUnknown, Refused, Rowbox, RowboxError, type Sent } from "../../api/web/client/rowbox.js";

const client = new Rowbox({ url: "http://127.0.0.1:8080", token: async () => "token", patienceMs: Infinity });

export async function allowed(signal: AbortSignal): Promise<(Message | Sent | null)[]> {
  const sent = await client.send("bob", "hello", { clientMessageId: "mine", firstTriedAt: 0, signal });
  const status: Sent | null = await client.sendStatus("mine");
  const found: Message[] = [];
  for await (const message of client.messages(sent.conversationId, { cursor: null })) found.push(message);
  for await (const change of client.follow({ signal, onConnection: ({ isConnected }) => isConnected })) {
    if (change.type === "message") found.push(change.message);
    else found.push(...change.messages);
  }
  const kinds: (typeof RowboxError)[] = [AccessDenied, OutcomeUnknown, Refused];
  return kinds.length ? [sent, status, ...found] : [];
}

export async function refused(): Promise<void> {
  // @ts-expect-error a client has a token
  new Rowbox({ url: "http://127.0.0.1:8080" });
  // @ts-expect-error a content is text
  await client.send("bob", 7);
  // @ts-expect-error no such option
  await client.send("bob", "hello", { patience: 7 });
  for await (const change of client.follow()) {
    // @ts-expect-error a reset has no message
    change.message;
  }
}
