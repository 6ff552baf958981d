/**
 * One following for all tabs of a browser: a user has few connections, and a browser opens six to a server. One tab leads:
 * it follows, and tells the others what changes. Which one, a lock of the browser decides (Web Locks): who holds it leads,
 * and when that tab is closed the next one has it. It is no module for others: rowbox.js does with it what `share` says.
 *
 * - A tab takes what it hears by the same test as what comes over a socket (feed.js). One that is behind, or begins, asks
 *   the server itself (`catchUp`): nothing depends on what the leader remembers.
 * - A leader that does not answer for SILENT_MS (its tab hangs, or was suspended) has its lock stolen. It finds out when it
 *   goes on, and follows like the others then.
 * - The timers of a tab that nobody sees may be a minute late. Where such a leader has no connection it is lame: a tab that
 *   somebody sees steals the lock.
 * - Calls of a tab that does not lead go by HTTP. They are short, so they do not hold the six connections, and an answer has
 *   no further way to get lost on.
 * - Each tab has an access token of its own. A leader whose token is refused ends, and another one leads with its own.
 *   Where the user has connected elsewhere, all end: else the next one would throw out the others in turn.
 *
 * @module tabs
 */

import { judged } from "./feed.js";
import { TabsPeople } from "./tabs_people.js";

/** @typedef {import("./rowbox.js").Changes} Changes */
/** @typedef {import("./rowbox.js").Connection} Connection */
/** @typedef {(users: Record<string, ?import("./rowbox.js").Presence>) => void} OnPresence */

/** How often a tab asks the leader whether it is there. */
const ASK_MS = 15_000;
/** How long the leader may be silent after that. */
const SILENT_MS = 10_000;
/** Over so long the tabs that notice it steal the lock, one after the other. */
const SPREAD_MS = 1_000;
/** More changes than this are not kept for a program that does not deal with them: it catches up then. */
const MOST_GIVEN = 8;

/**
 * @typedef {object} Leading What a tab follows with while it leads: a Feed of rowbox.js.
 * @property {() => void} begin
 * @property {() => Promise<?Changes>} next
 * @property {() => void} taken
 * @property {(error: unknown) => void} end
 * @property {(name: string, args: object, signal: AbortSignal) => ?Promise<{status: number, body: any}>} call
 * @property {(users: string[]) => void} watch
 * @property {() => void} active
 * @property {boolean} isLive Whether changes reach it, as far as it knows.
 *
 * @typedef {{is: "who"} | {is: "here", token: ?string, isConnected: ?boolean, isLame: boolean} | {is: "elsewhere"}
 *   | {is: "change", prev: ?string, token: string, change: Changes}} Word What tabs say to one another.
 */

/** Whether this browser has what it takes. Not over plain HTTP from another machine. */
export const canShare = () => typeof BroadcastChannel === "function" && globalThis.navigator?.locks !== undefined;

export class Tabs {
  #name;
  #ways;
  #channel;
  #people;
  /** @type {?string} */
  #token;
  /** @type {?Leading} */
  #leading = null;
  /** Ends the holding of the lock. */
  #release = () => {};
  /** With each change what it came by, while this tab led. @type {{change: Changes, leading: ?Leading}[]} */
  #given = [];
  /** What the change came by that `next` gave last. @type {?Leading} */
  #gaveBy = null;
  /** A change was missed: the server has to be asked. */
  #isBehind = false;
  #isCatchingUp = false;
  /** @type {?boolean} */
  #isConnected = null;
  /** @type {unknown} */
  #error = null;
  #end = new AbortController();
  #news = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #asking;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #patience;

  /**
   * @param {string} name What the tabs that share have in common.
   * @param {?string} token
   * @param {object} ways
   * @param {(token: ?string, onConnection: (connection: Connection) => void, onPresence: OnPresence) => Leading} ways.lead
   * @param {(token: ?string, signal: AbortSignal, onConnection: (connection: Connection) => void) => Promise<Changes>}
   *   ways.catchUp One answer of the server's, however long that takes.
   * @param {() => unknown} ways.elsewhere The error of a user who has connected elsewhere.
   * @param {(error: unknown) => boolean} ways.isElsewhere
   * @param {(connection: Connection) => void} ways.onConnection
   * @param {OnPresence} ways.onPresence
   * @param {() => number} ways.random
   */
  constructor(name, token, ways) {
    this.#name = name;
    this.#token = token;
    this.#ways = ways;
    this.#channel = new BroadcastChannel(name);
    this.#people = new TabsPeople(name, ways.onPresence);
  }

  begin() {
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#people.begin();
    globalThis.document?.addEventListener("visibilitychange", this.#ask);
    globalThis.addEventListener?.("online", this.#ask);
    void this.#compete();
  }

  /** The next change, however long that takes; null when it is over. Throws why, if it was not ended by the program. */
  async next() {
    for (let given = this.#given.shift(); ; given = this.#given.shift()) {
      if (given) {
        this.#gaveBy = given.leading;
        return given.change;
      }
      if (this.#error !== null) throw this.#error;
      if (this.#end.signal.aborted) return null;
      await /** @type {Promise<void>} */ (new Promise((resolve) => (this.#news = resolve)));
    }
  }

  /** The program has dealt with the change that `next` gave. */
  taken() {
    this.#gaveBy?.taken();
    if (this.#isBehind) void this.#catchUp();
  }

  /** It is over, because of `error`; null: because the program wants no more. @param {unknown} error */
  end(error) {
    if (this.#end.signal.aborted) return;
    this.#error = error;
    this.#end.abort();
    clearTimeout(this.#asking);
    clearTimeout(this.#patience);
    globalThis.document?.removeEventListener("visibilitychange", this.#ask);
    globalThis.removeEventListener?.("online", this.#ask);
    this.#people.end();
    this.#stopLeading();
    this.#channel.close();
    this.#news();
  }

  /**
   * Makes a call over the socket, where this tab has one.
   * @param {string} name
   * @param {object} args
   * @param {AbortSignal} signal
   */
  call(name, args, signal) {
    return this.#leading?.call(name, args, signal) ?? null;
  }

  /** As Feed has it, for this tab. @param {string[]} users */
  watch(users) {
    this.#people.watch(users);
  }

  /** As Feed has it. */
  active() {
    this.#people.active();
  }

  // ------------------------------------------------------------------ who leads

  /** Leads whenever it can, and follows else. */
  async #compete() {
    await this.#take({ ifAvailable: true });
    while (!this.#end.signal.aborted) {
      this.#listen();
      await this.#take({ signal: this.#end.signal });
    }
  }

  /** Leads although another tab has the lock. */
  async #steal() {
    await this.#take({ steal: true });
    if (!this.#end.signal.aborted) this.#listen();
  }

  /**
   * Leads once it gets the lock. Resolves when it does not have it, any more.
   * @param {LockOptions} options
   */
  async #take(options) {
    try {
      await navigator.locks.request(this.#name, options, (lock) => lock && this.#lead());
    } catch {
      this.#stopLeading(); // it was stolen, or this tab wants no more
    }
  }

  /** From now on this tab hears what the leader says. */
  #listen() {
    this.#miss();
    this.#ask();
  }

  async #lead() {
    if (this.#end.signal.aborted) return;
    clearTimeout(this.#asking);
    clearTimeout(this.#patience);
    this.#patience = undefined;
    const over = /** @type {Promise<void>} */ (new Promise((resolve) => (this.#release = resolve)));
    const leading = this.#ways.lead(this.#token, (connection) => this.#tell(connection), (users) => this.#people.seen(users));
    this.#leading = leading;
    leading.begin();
    this.#people.lead(leading);
    void this.#pass(leading);
    this.#sayHere();
    await over;
  }

  #stopLeading() {
    const leading = this.#leading;
    this.#leading = null;
    if (leading) this.#people.lead(null);
    leading?.end(null);
    this.#release();
  }

  /** Gives and says what comes while this tab leads. @param {Leading} leading */
  async #pass(leading) {
    try {
      for (let change = await leading.next(); change && this.#leading === leading; change = await leading.next()) {
        const [prev, token] = [this.#token, change.lastUpdatedTimestamp];
        this.#token = token;
        this.#isBehind = false;
        this.#give(change, leading);
        this.#say({ is: "change", prev, token, change });
      }
    } catch (error) {
      if (this.#leading !== leading) return;
      if (this.#ways.isElsewhere(error)) {
        // Where the lock was stolen, the place is the thief's, of the same device. That is known here when this is answered.
        await navigator.locks.query();
        if (this.#leading !== leading) return;
        this.#say({ is: "elsewhere" });
      }
      this.end(error);
    }
  }

  // ------------------------------------------------------------------ what tabs say

  /** @param {Word} word */
  #say(word) {
    if (!this.#end.signal.aborted) this.#channel.postMessage(word);
  }

  #sayHere() {
    const isLame = globalThis.document?.hidden === true && !this.#leading?.isLive;
    this.#say({ is: "here", token: this.#token, isConnected: this.#isConnected, isLame });
  }

  /** @param {Word} word */
  #hear(word) {
    // Of the one who led before, too: its lock may come here sooner than its word.
    if (word.is === "elsewhere") return this.end(this.#ways.elsewhere());
    if (this.#leading) {
      if (word.is === "who") this.#sayHere();
      return;
    }
    if (word.is === "who") return;
    clearTimeout(this.#patience);
    this.#patience = undefined;
    if (word.is === "change") return this.#arrives(word.prev, word.token, word.change);
    if (word.isConnected !== null) this.#tell({ isConnected: word.isConnected });
    if (word.isLame && !globalThis.document?.hidden) void this.#steal();
    if (word.token !== null && judged(this.#token, word.token, word.token) === "gap") this.#miss();
  }

  /** Asks the leader whether it is there; steals its lock where it says nothing. */
  #ask = () => {
    if (this.#leading || this.#end.signal.aborted) return;
    clearTimeout(this.#asking);
    this.#asking = setTimeout(this.#ask, ASK_MS);
    this.#say({ is: "who" });
    this.#patience ??= setTimeout(() => void this.#steal(), SILENT_MS + this.#ways.random() * SPREAD_MS);
  };

  /** @param {Connection} connection */
  #tell(connection) {
    if (connection.isConnected && this.#isConnected) return;
    this.#isConnected = connection.isConnected;
    if (this.#leading) this.#sayHere();
    this.#ways.onConnection(connection);
  }

  // ------------------------------------------------------------------ what changes

  /**
   * @param {?string} prev
   * @param {string} token
   * @param {Changes} change
   */
  #arrives(prev, token, change) {
    const verdict = change.isDeltaUpdate ? judged(this.#token, prev, token) : "next";
    if (verdict === "gap") return this.#miss();
    // The same token with something to it stands in for the feed, of which that says nothing (two_lists.js).
    const isBeside = verdict === "same" && change.messages.length + change.conversations.length > 0;
    if (verdict !== "next" && !isBeside) return;
    if (this.#given.length >= MOST_GIVEN) {
      this.#isBehind = true; // the program's next step asks
      return;
    }
    this.#token = token;
    this.#give(change, null);
  }

  #miss() {
    this.#isBehind = true;
    void this.#catchUp();
  }

  async #catchUp() {
    if (this.#isCatchingUp) return;
    this.#isCatchingUp = true;
    try {
      while (this.#isBehind && !this.#leading && !this.#end.signal.aborted && this.#given.length < MOST_GIVEN) {
        this.#isBehind = false;
        const since = this.#token;
        const page = await this.#ways.catchUp(since, this.#end.signal, (connection) => this.#tell(connection));
        if (this.#leading) return;
        this.#tell({ isConnected: true });
        this.#isBehind ||= page.hasMore && page.isDeltaUpdate;
        this.#arrives(since, page.lastUpdatedTimestamp, page);
      }
    } catch (error) {
      this.end(error);
    } finally {
      this.#isCatchingUp = false;
    }
  }

  /** @param {Changes} change @param {?Leading} leading */
  #give(change, leading) {
    this.#given.push({ change, leading });
    this.#news();
  }
}
