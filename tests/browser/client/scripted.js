// For the rules of the client: a Rowbox whose server is a list of answers, and whose time passes at once.

import { Rowbox } from "../../../api/web/client/rowbox.js";

export { Rowbox };

/**
 * @typedef {{body: unknown, status?: number, headers?: Record<string, string>, tookMs?: number}} Answer
 * @typedef {{path: string, query: Record<string, string>, method: string, headers: Record<string, string>, body: any}} Asked
 */

/**
 * A client and what it did. Each of `answers` is given once, in turn: an Error is thrown, {status, body, headers} and
 * {body} are answers, a function is asked. `requests` and `sleeps` (milliseconds) are what was done, in order.
 * @param {(Error | Answer | ((signal: AbortSignal) => Promise<Answer>))[]} answers
 * @param {Partial<import("../../../api/web/client/rowbox.js").Options>} [more] Options of the client.
 */
export function scripted(answers, { random = () => 1, ...more } = {}) {
  /** @type {Asked[]} */
  const requests = [];
  /** @type {number[]} */
  const sleeps = [];
  let time = 0;
  const fetch = async (/** @type {Request} */ request) => {
    const { pathname: path, searchParams } = new URL(request.url);
    const text = await request.text();
    const headers = Object.fromEntries(request.headers);
    const { method, signal } = request;
    requests.push({ path, query: Object.fromEntries(searchParams), method, headers, body: text && JSON.parse(text) });
    let answer = answers.shift();
    if (typeof answer === "function") answer = await answer(signal);
    if (answer === undefined) throw new ReferenceError("the script has no more answers");
    if (answer instanceof Error) throw answer;
    time += answer.tookMs ?? 0;
    return new Response(JSON.stringify(answer.body), { status: answer.status ?? 200, headers: answer.headers });
  };
  const sleep = (/** @type {number} */ ms) => {
    sleeps.push(ms);
    time += ms;
    return Promise.resolve();
  };
  const clock = () => time;
  const options = { fetch: /** @type {any} */ (fetch), sleep, random, now: clock, wallClock: clock };
  const client = new Rowbox({ url: "http://rowbox.test", token: "secret", ...options, ...more });
  return { client, requests, sleeps };
}

export const lost = () => new TypeError("Failed to fetch");

export const sent = { body: { messageId: "m1", conversationId: "c1" }, status: 201 };

/**
 * @param {number} status
 * @param {string} code
 * @param {object} [more]
 */
export const problem = (status, code, more = {}) => ({ status, body: { status, code, detail: code, ...more }, headers: {} });

/** What a rejected promise was rejected with, as plain facts. @param {Promise<unknown>} promise */
export async function failure(promise) {
  try {
    return { resolved: await promise };
  } catch (error) {
    const { name, code, status, retryable, clientMessageId, message } = /** @type {any} */ (error);
    return { name, code, status, retryable, clientMessageId, message };
  }
}

/**
 * @param {number[]} ids
 * @param {number | string} token
 * @param {object} [more]
 */
export function page(ids, token, more = {}) {
  const messages = ids.map((id) => ({ messageId: `m${id}`, lastUpdatedTimestamp: id }));
  const tail = { isDeltaUpdate: true, lastUpdatedTimestamp: String(token), hasMore: false, nextCursor: null, resetReason: null };
  return { body: { messages, ...tail, ...more } };
}

/**
 * What a follower yields, briefly, until it ends or `most` were given; then how it ended.
 * @param {Rowbox} client
 * @param {number} most
 * @param {import("../../../api/web/client/rowbox.js").FollowOptions & {conversationId?: string}} [options]
 */
export async function followed(client, most, options = {}) {
  const seen = [];
  try {
    for await (const change of client.follow(options)) {
      const isReset = change.type === "reset";
      seen.push(isReset ? `reset ${change.reason}: ${change.messages.map((m) => m.messageId)}` : change.message.messageId);
      if (seen.length === most) break;
    }
  } catch (error) {
    const { name, code } = /** @type {any} */ (error);
    seen.push(`${name}: ${code}`);
  }
  return seen;
}
