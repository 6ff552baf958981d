/**
 * What tabs that share one following (tabs.js) tell one another of people: whom each watches, which the leader asks the
 * server for together; what that answers; and that somebody is looking at one of them. It is no module for others.
 *
 * They say it over a channel of its own. A tab that nobody heard of for FORGET_MS is forgotten: it was ended without a word.
 *
 * @module tabs_people
 */

/** How often a tab says again whom it watches. The timers of a tab that nobody sees may be a minute late. */
const AGAIN_MS = 30_000;
const FORGET_MS = 120_000;
/** The server's limit of one connection. */
export const MOST_WATCHED = 200;

/**
 * @typedef {import("./rowbox.js").Presence} Presence
 * @typedef {{watch: (users: string[]) => void, active: () => void}} Leading What the leader follows with.
 * @typedef {{is: "ask"} | {is: "watch", tab: string, users: string[]} | {is: "seen", users: Record<string, ?Presence>}
 *   | {is: "active"}} Word
 */

export class TabsPeople {
  #channel;
  #onPresence;
  #now;
  /** @type {?Leading} */
  #leading = null;
  /** Whom this tab watches. @type {string[]} */
  #own = [];
  /** While this tab leads: whom the others watch, and when they said so. @type {Map<string, {users: string[], saidAt: number}>} */
  #others = new Map();
  /** What was told last of each who is watched here, or while this tab leads by any. @type {Map<string, ?Presence>} */
  #known = new Map();
  #tab = globalThis.crypto.randomUUID();
  #isOver = false;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #again;

  /**
   * @param {string} name What the tabs that share have in common.
   * @param {(users: Record<string, ?Presence>) => void} onPresence
   * @param {() => number} [now]
   */
  constructor(name, onPresence, now = () => performance.now()) {
    this.#channel = new BroadcastChannel(`${name} people`);
    this.#onPresence = onPresence;
    this.#now = now;
  }

  begin() {
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#again = setInterval(() => this.#goOn(), AGAIN_MS);
    globalThis.addEventListener?.("pagehide", this.#leave);
  }

  end() {
    clearInterval(this.#again);
    globalThis.removeEventListener?.("pagehide", this.#leave);
    this.#leave();
    this.#isOver = true;
    this.#channel.close();
  }

  /** The tab is closed, or kept for one who goes back to it; that one says again whom it watches. */
  #leave = () => this.#say({ is: "watch", tab: this.#tab, users: [] });

  /**
   * This tab leads, with `leading`; null: not any more. What is known begins anew, in all tabs: the leader before this one told
   * it, and nobody takes it back where this one has no connection.
   * @param {?Leading} leading
   */
  lead(leading) {
    if (this.#isOver) return;
    this.#leading = leading;
    this.#others.clear();
    this.#forget();
    if (leading === null) return this.#sayWatch(); // to the one that has taken the place
    this.#say({ is: "ask" });
    this.#watchAll();
  }

  /** This tab watches these from now on, and nobody else. @param {string[]} users */
  watch(users) {
    this.#own = users;
    if (this.#leading) this.#watchAll();
    else this.#keep(users);
    this.#sayWatch();
    this.#give(Object.fromEntries(this.#known));
  }

  /** Somebody is looking at this tab. */
  active() {
    if (this.#leading) this.#leading.active();
    else this.#say({ is: "active" });
  }

  /** The server has told what is so of users, while this tab leads. @param {Record<string, ?Presence>} users */
  seen(users) {
    for (const [user, seen] of Object.entries(users)) this.#known.set(user, seen);
    this.#say({ is: "seen", users });
    this.#give(users);
  }

  /** @param {Record<string, ?Presence>} users */
  #give(users) {
    const own = Object.entries(users).filter(([user]) => this.#own.includes(user));
    if (own.length > 0) this.#onPresence(Object.fromEntries(own));
  }

  /** Knows nothing of anybody. */
  #forget() {
    const gone = [...this.#known].filter(([, seen]) => seen !== null).map(([user]) => [user, null]);
    this.#known.clear();
    this.#give(Object.fromEntries(gone));
  }

  /** Knows nothing of others than these. @param {string[]} users */
  #keep(users) {
    for (const user of [...this.#known.keys()]) if (!users.includes(user)) this.#known.delete(user);
  }

  #watchAll() {
    const all = [...new Set([this.#own, ...[...this.#others.values()].map(({ users }) => users)].flat())].slice(0, MOST_WATCHED);
    this.#keep(all);
    this.#leading?.watch(all);
  }

  #goOn() {
    this.#sayWatch();
    if (!this.#leading) return;
    const before = this.#others.size;
    for (const [tab, { saidAt }] of [...this.#others]) if (saidAt + FORGET_MS <= this.#now()) this.#others.delete(tab);
    if (this.#others.size < before) this.#watchAll();
  }

  #sayWatch() {
    if (!this.#leading) this.#say({ is: "watch", tab: this.#tab, users: this.#own });
  }

  /** @param {Word} word */
  #say(word) {
    if (!this.#isOver) this.#channel.postMessage(word);
  }

  /** @param {Word} word */
  #hear(word) {
    if (word.is === "ask") {
      if (this.#leading) return; // its place was taken, which it hears of by itself
      this.#forget();
      return this.#sayWatch();
    }
    if (word.is === "seen") {
      if (this.#leading) return;
      for (const [user, seen] of Object.entries(word.users)) if (this.#own.includes(user)) this.#known.set(user, seen);
      return this.#give(word.users);
    }
    if (!this.#leading) return;
    if (word.is === "active") return this.#leading.active();
    if (word.users.length > 0) this.#others.set(word.tab, { users: word.users, saidAt: this.#now() });
    else this.#others.delete(word.tab);
    this.#watchAll();
    const known = word.users.filter((user) => this.#known.has(user)).map((user) => [user, this.#known.get(user) ?? null]);
    if (known.length > 0) this.#say({ is: "seen", users: Object.fromEntries(known) });
  }
}
