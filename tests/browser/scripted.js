// For the rules of the client: a Rowbox whose server is a list of answers, and whose time passes at once.

const { Rowbox } = await import("/client/rowbox.js");

/**
 * A client and what it did. Each of `answers` is given once, in turn: an Error is thrown, {status, body, headers} and
 * {body} are answers, a function is asked. `requests` and `sleeps` (milliseconds) are what was done, in order.
 */
function scripted(answers, { random = () => 1 } = {}) {
  const requests = [];
  const sleeps = [];
  let time = 0;
  const fetch = async (url, { method, body, headers, signal }) => {
    requests.push({ path: url.pathname, query: Object.fromEntries(url.searchParams), method, headers, body: body && JSON.parse(body) });
    let answer = answers.shift();
    if (typeof answer === "function") answer = await answer(signal);
    if (answer === undefined) throw new Error("the script has no more answers");
    if (answer instanceof Error) throw answer;
    time += answer.tookMs ?? 0;
    return new Response(JSON.stringify(answer.body), { status: answer.status ?? 200, headers: answer.headers });
  };
  const sleep = async (ms) => void sleeps.push(ms);
  const client = new Rowbox({ url: location.origin, token: "secret", fetch, sleep, random, now: () => time });
  return { client, requests, sleeps };
}

const lost = () => new TypeError("Failed to fetch");
const sent = { body: { messageId: "m1", conversationId: "c1" }, status: 201 };
const problem = (status, code, more = {}) => ({ status, body: { status, code, detail: code, ...more }, headers: {} });

/** What a rejected promise was rejected with, as plain facts. */
async function failure(promise) {
  try {
    return { resolved: await promise };
  } catch (error) {
    const { name, code, status, retryable, clientMessageId, message } = error;
    return { name, code, status, retryable, clientMessageId, message };
  }
}

function page(ids, token, more = {}) {
  const messages = ids.map((id) => ({ messageId: `m${id}`, lastUpdatedTimestamp: id }));
  return { body: { messages, isDeltaUpdate: true, lastUpdatedTimestamp: String(token), hasMore: false, nextCursor: null, resetReason: null, ...more } };
}

/** What a follower yields, briefly, until it ends or `most` were given; then how it ended. */
async function followed(client, most, options = {}) {
  const seen = [];
  try {
    for await (const change of client.follow(options)) {
      seen.push(change.type === "message" ? change.message.messageId : `reset ${change.reason}: ${change.messages.map((m) => m.messageId)}`);
      if (seen.length === most) break;
    }
  } catch (error) {
    seen.push(`${error.name}: ${error.code}`);
  }
  return seen;
}
