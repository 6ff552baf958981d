// Tells a client's following of its feed what a test tells it, and says what that does. Each line it hears is one following
// from its beginning: {token, told: [[name, arguments, what chance gives, a time or nothing]]}; it answers with [what is to
// be done, when it is due, whether a call may go at that time] for each. Or it is {own, trusted, urls}: which of these URLs it
// would open a socket at; or that one of `trusted` is no origin. Or it is the `fetches` of a story of two_lists.json.

import { FeedSession } from "../../api/web/client/feed.js";
import { Servers } from "../../api/web/client/servers.js";
import { TwoLists } from "../../api/web/client/two_lists.js";
import { heard, say } from "./lines.js";

heard.on("line", (line) => {
  const { token, told, own, trusted, urls, fetches } = JSON.parse(line);
  if (fetches) {
    void fetched(fetches);
    return;
  }
  if (trusted) {
    say(allowed(own, trusted, urls));
    return;
  }
  /** @type {number[]} */
  let drawn = [];
  const chance = () => {
    const given = drawn.shift();
    if (given === undefined) throw new Error("the other one drew nothing here");
    return given;
  };
  const session = /** @type {any} */ (new FeedSession(token, chance, "test/1"));
  const did = told.map((/** @type {[string, any[], number[], ?number]} */ [name, values, draws, atMs]) => {
    drawn = [...draws];
    const done = session[camel(name)](...values);
    const effects = (name === "call" ? done[1] : done) ?? [];
    return [effects, session.dueMs, session.canCall(atMs ?? 0)];
  });
  say({ did });
});

/** @param {string} own @param {string[]} trusted @param {string[]} urls */
function allowed(own, trusted, urls) {
  try {
    const servers = new Servers(own, trusted);
    return { allowed: urls.filter((url) => servers.allows(url)), hasOthers: servers.hasOthers };
  } catch (error) {
    return { failed: /** @type {Error} */ (error).name };
  }
}

/** Says what each fetch asks, and what comes of it. @param {any[]} fetches */
async function fetched(fetches) {
  let nowMs = 0;
  const lists = new TwoLists(() => nowMs);
  const did = [];
  for (const { since, held, at, answers } of fetches) {
    nowMs = at;
    /** @type {any[]} */
    const asked = [];
    const call = (/** @type {string} */ name, /** @type {any} */ { lastUpdatedTimestamp = null, wait = 0 }) => {
      asked.push([name, lastUpdatedTimestamp, wait]);
      const answer = answers.shift();
      return answer.code ? Promise.reject(answer) : Promise.resolve(answer);
    };
    try {
      const page = await lists.fetch(call, since, held || undefined);
      const { lastUpdatedTimestamp, isDeltaUpdate, messages, conversations, hasMore, nextCursor } = page;
      did.push({ asked, gives: [lastUpdatedTimestamp, isDeltaUpdate, messages, conversations, hasMore, nextCursor] });
    } catch (error) {
      did.push({ asked, fails: /** @type {any} */ (error).code });
    }
  }
  say({ did });
}

/** @param {string} name */
const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
