// A program over the types that openapi-typescript makes of openapi.json: `node send.js URL TOKEN`.

import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

declare const process: { argv: string[] };
const [url, token] = process.argv.slice(2) as [string, string];
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });

const body: components["schemas"]["SendMessage"] = { recipientId: "bob", messageContent: "hello", clientMessageId: "first" };
const first = await client.POST("/v1/sendMessage", { body });
if (!first.data) throw new Error(`not sent: ${first.error.code}`);
const messageId: string = first.data.messageId;

const old = { recepientId: "bob", messageContent: "hello", clientMessageId: "first" };
const again = await client.POST("/v1/sendMessage", { body: old });
if (again.data?.messageId !== messageId) throw new Error("the historical spelling is another message");

// @ts-expect-error a send names its recipient
await client.POST("/v1/sendMessage", { body: { messageContent: "to nobody", clientMessageId: "second" } });

const refused = await client.POST("/v1/sendMessage", { body: { ...body, messageContent: "another text" } });
const unknown = await client.GET("/v1/fetchMessages", { params: { query: { conversationId: "0".repeat(32) } } });
let code = "";
// The codes of a call are known: a comparison with one that it never has does not compile.
if (unknown.error?.code === "unknown_conversation") code = unknown.error.code;
// @ts-expect-error sendMessage never answers this
if (refused.error?.code === "message_unsent") throw new Error("not a code of sendMessage");

const page = await client.GET("/v1/fetchMessages", {});
console.log(JSON.stringify([page.data?.messages.map((message) => message.messageContent), refused.error?.code, code]));
