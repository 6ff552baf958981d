/**
 * How a client follows its mailbox: a socket first, and long polls where there is none. Pure: no I/O, time is an
 * argument, and so is chance. rowbox.js does what this decides; it is no module for others.
 *
 *     apart --connect--> connecting --the handshake--> greeting --welcome--> open --ends--> apart     or stopped, for ever
 *
 * Each method says what happened and returns what is to be done about it, in order (Effect). `nowMs` never falls.
 * client/following/session.py is the same in Python, rule for rule: tests/client/feed has stories that both tell, and
 * plays what chance makes up to both.
 *
 * - chain: a delta is taken where it goes on from what the client has; a gap is asked for, once at a time
 * - window: what the program has not dealt with is not acknowledged, so the server sends no more than a window of it
 * - life: a silent socket is asked each PING_MS, and sooner where a call over it was given up; a newer head without a
 *   delta is a gap
 * - token: a fresh access token before the old one ends; never again with one that was refused
 * - return: pauses by the code of the end (Comeback); long polls meanwhile, where that may take long
 * - rate: what goes out stays below the server's bounds: calls beyond them go by HTTP
 * - people: each connection is told whom the program watches; without one what is known of them is forgotten (seen.js)
 *
 * @module feed
 */

import { People } from "./seen.js";

/** How long a handshake and the welcome behind it may take. */
const WELCOME_MS = 10_000;
/** When they take longer than this, or a pause does, long polls bring what is new meanwhile. */
const SLOW_MS = 3_000;
const PING_MS = 25_000;
/** How long the server may be silent after a ping. */
const PONG_MS = 12_000;
/**
 * The same where the connection is probably dead: the machine slept, or a call was given up, and nothing was heard
 * since it was made. Until the server is heard, calls go by HTTP.
 */
const PROBE_MS = 5_000;
/** How often the server is told that somebody is looking. */
const ACTIVE_MS = 5_000;
/** How long the delta of a newer head may take. */
const LOOK_MS = 2_000;
/** After this a token function that gave no fresh token is asked again. */
const RENEW_MS = 10_000;
const MOST_CALLS = 32;
/** A server takes 100 frames in a second. */
const CALLS_A_SECOND = 50;
/** In any second. No timer is waited for before that: in a page that nobody sees it may come a minute late. */
const ACKS_A_SECOND = 30;
const WINDOW = 8;
const MAX_FRAME_BYTES = 512 * 1024;

const FIRST_MS = 500;
const LONGEST_MS = 30_000;
/** The longest bound where long polls are answered and sockets are not: something between does not let them through. */
const LONGEST_BESIDE_POLLS_MS = 300_000;
/** A connection that was open for so long has held. */
const HELD_MS = 30_000;
const LONGEST_ASKED_MS = 3_600_000;
const TOO_MANY_MS = 30_000;
const MOST_DOUBLINGS = 32;

/** No frame was closing it: RFC 6455 keeps this number for that. */
export const LOST = 1006;
const GOING = 1012;
const UNAUTHENTICATED = 4401;
/** Of the codes from 4400 to 4499 those after which a client comes back: all others, unknown ones too, say stop. */
const COME_BACK = [UNAUTHENTICATED, 4408, 4429];
const TOO_MANY = 4429;

/**
 * @typedef {{do: "connect", refused: ?string}} Connect Open a socket: `connected`, or `ended`. With another access token
 *   than `refused`, or `denied`.
 * @typedef {{do: "say", frame: Record<string, unknown>}} Say Send a frame.
 * @typedef {{do: "hang_up"}} HangUp Give the socket up: nothing that it still says counts.
 * @typedef {{do: "renew", old: string}} Renew Get another access token than this: `renewed`. Where there is none,
 *   nothing.
 * @typedef {{do: "poll", token: ?string}} Poll Follow by long polls, from `token` on, while there is room: `polled`,
 *   `notPolled`.
 * @typedef {{do: "unpoll"}} Unpoll No more polls: the answer of one that is under way does not count.
 * @typedef {{do: "give", token: ?string}} Give Give the program what came just now, a delta or a page, as what brings it
 *   to `token`; null: there is none yet.
 * @typedef {{do: "reply", id: number, status: number, body: any}} Reply The call with this number is answered.
 * @typedef {{do: "lose", ids: number[]}} Lose These calls get no answer: they were carried out or not.
 * @typedef {{do: "told"}} Told The server is there, and tells what changes.
 * @typedef {{do: "seen", users: Record<string, any>}} Seen Tell the program what is so now of users whom it watches. null:
 *   it is not known, or not shown.
 * @typedef {{do: "stop", code: number, reason: string}} Stop It is over: the code of closing that says so, and its
 *   reason.
 * @typedef {Connect | Say | HangUp | Renew | Poll | Unpoll | Give | Reply | Lose | Told | Seen | Stop} Effect
 * @typedef {Record<string, any>} Frame
 */

/**
 * What a delta is to a client: it brings it further; it answers a `follow`, and nothing has changed; the client has had
 * it; something is missing before it, or it is of another history.
 * @typedef {"next" | "same" | "old" | "gap"} Verdict
 */

/**
 * Whether a client at `mine` misses something that a mailbox at `token` has, as far as one can tell.
 * @param {?string} mine
 * @param {string} token
 */
export function isBehind(mine, token) {
  if (mine === null) return true;
  const [own, other] = [split(mine), split(token)];
  return own.boundTo === other.boundTo ? isLess(own.number, other.number) : mine !== token;
}

/**
 * What the delta from `prev` to `token` is to a client at `mine`. Null: it has nothing yet.
 * @param {?string} mine
 * @param {?string} prev
 * @param {string} token
 * @returns {Verdict}
 */
export function judged(mine, prev, token) {
  if (mine === null || prev === null) return "gap";
  const [own, before, after] = [split(mine), split(prev), split(token)];
  if (own.boundTo !== before.boundTo || own.boundTo !== after.boundTo) return "gap";
  if (isLess(after.number, own.number)) return "old";
  if (after.number === own.number) return "same";
  return isLess(own.number, before.number) ? "gap" : "next";
}

/** Tokens of one history are numbered in front of the dot; a token that is not is compared as a whole. @param {string} token */
function split(token) {
  const dot = token.indexOf(".");
  const number = dot < 0 ? token : token.slice(0, dot);
  return /^\d+$/.test(number) ? { number, boundTo: dot < 0 ? "" : token.slice(dot + 1) } : { number: "", boundTo: token };
}

/** As numbers, however long they are. @param {string} one @param {string} other */
const isLess = (one, other) => (one.length === other.length ? one < other : one.length < other.length);

/** Whether nothing but the program, or a person, can make another connection useful. @param {number} code */
const stops = (code) => code >= 4400 && code < 4500 && !COME_BACK.includes(code);

/**
 * When a client connects again. A pause has full jitter, because clients that lost one server at one moment must not
 * come back at one moment. Its bound doubles with each connection that did not hold, and is short again only after one
 * that did.
 */
export class Comeback {
  #chance;
  #failures = 0;

  /** @param {() => number} chance A number from 0 to 1. */
  constructor(chance) {
    this.#chance = chance;
  }

  /**
   * The pause after a connection that was open for `heldMs` and ended with `code`, which does not stop it.
   * @param {number} code
   * @param {string} reason
   * @param {{heldMs: number, askedMs: number, isBesidePolls: boolean}} facts What a refused handshake asked for, and
   *   whether long polls are answered meanwhile.
   * @returns {{pauseMs: number, isAsked: boolean}} `isAsked`: the server wants it, so nothing shortens it.
   */
  after(code, reason, { heldMs, askedMs, isBesidePolls }) {
    if (heldMs >= HELD_MS) this.#failures = 0;
    const found = code === GOING && /retryAfterMs=(\d{1,9})/.exec(reason);
    if (found) return { pauseMs: Math.min(Number(found[1]), LONGEST_ASKED_MS), isAsked: true };
    const longestMs = isBesidePolls ? LONGEST_BESIDE_POLLS_MS : LONGEST_MS;
    const boundMs = Math.min(longestMs, FIRST_MS * 2 ** Math.min(this.#failures, MOST_DOUBLINGS));
    this.#failures++;
    const leastMs = code === TOO_MANY ? TOO_MANY_MS : Math.min(Math.max(askedMs, 0), LONGEST_ASKED_MS);
    return { pauseMs: leastMs + this.#chance() * boundMs, isAsked: leastMs > 0 };
  }
}

const isWholeNumber = (/** @type {unknown} */ value) => Number.isInteger(value);
const isText = (/** @type {unknown} */ value) => typeof value === "string";
const isFlag = (/** @type {unknown} */ value) => typeof value === "boolean";
/** What the rules here need of a frame. @type {Record<string, Record<string, (value: unknown) => boolean>>} */
const FIELDS = {
  welcome: { window: isWholeNumber, maxFrameBytes: isWholeNumber },
  delta: {
    prev: (value) => value === null || isText(value),
    token: isText,
    isDeltaUpdate: isFlag,
    messages: Array.isArray,
    conversations: Array.isArray,
  },
  reply: { id: isWholeNumber, status: isWholeNumber, body: (value) => typeof value === "object" },
  pong: { head: isText },
  presence: { users: (value) => typeof value === "object" && value !== null && !Array.isArray(value) },
};

/** Whether a frame of a known kind has what it has to have. @param {Frame} frame */
export function isWhole(frame) {
  const fields = Object.hasOwn(FIELDS, frame.t) ? FIELDS[frame.t] : {};
  return Object.entries(fields).every(([name, suits]) => suits(frame[name]));
}

/** Adds a time to the last `most` ones. @param {number[]} times @param {number} nowMs @param {number} most */
function note(times, nowMs, most) {
  times.push(nowMs);
  if (times.length > most) times.shift();
}

export class FeedSession {
  /** What stands of a socket. @type {"apart" | "connecting" | "greeting" | "open" | "stopped"} */
  way = "apart";
  /** Everything up to here was given, or is nothing to give. @type {?string} */
  token;
  maxFrameBytes = MAX_FRAME_BYTES;
  #client;
  #comeback;
  #window = WINDOW;
  /** Of each change that the program has not dealt with: up to where the server may be told when it has. @type {(?string)[]} */
  #untaken = [];
  /** @type {?string} */
  #access = null;
  /** The access token that may not be used again; and why not. @type {?string} */
  #refused = null;
  #refusal = "";
  #isAsked = false;
  #isPolling = false;
  /** The last poll was. */
  #isAnswered = false;
  #isBehind = false;
  /** A follow has no answer yet. */
  #isFollowing = false;
  /** When each call that has no reply was made. @type {Map<number, number>} */
  #calls = new Map();
  #callId = 0;
  #deviceId;
  /** When the last calls were made. @type {number[]} */
  #called = [];
  /** When it was acknowledged last. @type {number[]} */
  #acked = [];
  /** @type {?string} */
  #ack = null;
  #openedMs = Infinity;
  #comeBackMs = Infinity;
  #welcomeByMs = Infinity;
  #slowMs = Infinity;
  #pingMs = Infinity;
  /** When the server was told last that somebody is looking. */
  #activeMs = -Infinity;
  #people = new People();
  /** When the last frame came. */
  #heardMs = -Infinity;
  #hearByMs = Infinity;
  /** The connection is probably dead, and the server was asked whether it is. */
  #isInDoubt = false;
  #lookMs = Infinity;
  #renewMs = Infinity;

  /**
   * The following of one mailbox, from `token` on; null: from a beginning.
   * @param {?string} token
   * @param {() => number} chance
   * @param {string} client The program and its version, for people.
   * @param {?string} [deviceId]
   */
  constructor(token, chance, client, deviceId = null) {
    this.token = token;
    this.#deviceId = deviceId;
    this.#comeback = new Comeback(chance);
    this.#client = client;
  }

  // ------------------------------------------------------------------ the program

  /** To be called once, first. @param {number} nowMs @returns {Effect[]} */
  begin(nowMs) {
    return this.#connect(nowMs);
  }

  /** Whether the program has dealt with enough to be given more. */
  get hasRoom() {
    return this.#untaken.length < this.#window;
  }

  /** The program has dealt with the oldest change that it was given. @param {number} nowMs @returns {Effect[]} */
  taken(nowMs) {
    this.#ack = this.#untaken.shift() ?? null;
    return [...this.#acknowledge(nowMs), ...this.#followWhereBehind()];
  }

  /** Whether a call may go over the socket now. Else it goes by HTTP. @param {number} nowMs */
  canCall(nowMs) {
    if (this.way !== "open" || this.#isInDoubt) return false;
    const isFull = this.#called.length >= CALLS_A_SECOND && nowMs - this.#called[0] < 1000;
    return this.#calls.size < MOST_CALLS && !isFull;
  }

  /**
   * Makes a call, where `canCall`; its number, by which it is answered (Reply, Lose).
   * @param {string} name
   * @param {object} args
   * @param {number} nowMs
   * @returns {[number, Effect[]]}
   */
  call(name, args, nowMs) {
    const id = ++this.#callId;
    this.#calls.set(id, nowMs);
    note(this.#called, nowMs, CALLS_A_SECOND);
    return [id, [{ do: "say", frame: { t: "call", id, do: name, args } }]];
  }

  /**
   * Nobody waits for the answer to that call any more.
   * @param {number} id
   * @param {number} nowMs
   * @returns {Effect[]}
   */
  giveUp(id, nowMs) {
    const madeMs = this.#calls.get(id) ?? Infinity;
    this.#calls.delete(id);
    return this.#heardMs <= madeMs && madeMs <= nowMs - PROBE_MS ? this.#probe(nowMs) : [];
  }

  /**
   * The program wants to be told who of these users is online (Seen), and of nobody else, by this connection and by those
   * after it.
   * @param {string[]} users
   * @param {number} nowMs
   * @returns {Effect[]}
   */
  watch(users, nowMs) {
    return this.#people.watch(users, nowMs, this.way === "open");
  }

  /**
   * Somebody is looking. It may be said as often as one likes, and is nothing where no socket is open.
   * @param {number} nowMs
   * @returns {Effect[]}
   */
  active(nowMs) {
    if (this.way !== "open" || nowMs < this.#activeMs + ACTIVE_MS) return [];
    this.#activeMs = nowMs;
    return this.#ping(nowMs, PONG_MS, { active: true });
  }

  // ------------------------------------------------------------------ the socket

  /** The handshake is done; `access` is the access token to say. @param {string} access @returns {Effect[]} */
  connected(access) {
    this.way = "greeting";
    this.#access = access;
    this.#refused = null;
    this.#isFollowing = this.token !== null && this.hasRoom;
    this.#isBehind = !this.#isFollowing;
    const device = this.#deviceId && { deviceId: this.#deviceId };
    const hello = { t: "hello", token: access, client: this.#client, ...device };
    return [{ do: "say", frame: this.#isFollowing ? { ...hello, follow: this.token } : hello }];
  }

  /** There is no other access token than the refused one. @returns {Effect[]} */
  denied() {
    return this.#stop(UNAUTHENTICATED, this.#refusal);
  }

  /**
   * The socket is closed, or there was none: LOST, with what a refused handshake asked for.
   * @param {number} code
   * @param {string} reason
   * @param {number} nowMs
   * @param {number} [askedMs]
   * @returns {Effect[]}
   */
  ended(code, reason, nowMs, askedMs = 0) {
    if (this.way === "apart" || this.way === "stopped") return [];
    if (stops(code)) return this.#stop(code, reason);
    if (code === UNAUTHENTICATED) [this.#refused, this.#refusal] = [this.#access, reason];
    const wasOpen = this.way === "open";
    const heldMs = Math.max(0, nowMs - this.#openedMs);
    const effects = this.#apart();
    if (wasOpen) this.#people.apart(nowMs);
    const isBesidePolls = this.#isPolling && this.#isAnswered;
    const { pauseMs, isAsked } = this.#comeback.after(code, reason, { heldMs, askedMs, isBesidePolls });
    this.#comeBackMs = nowMs + pauseMs;
    this.#isAsked = isAsked;
    if (this.#refused !== null) return [...effects, ...this.#unpoll()];
    return !wasOpen || pauseMs > SLOW_MS ? [...effects, ...this.#poll()] : effects;
  }

  /** What came is no frame of a server's. @param {number} nowMs @returns {Effect[]} */
  broken(nowMs) {
    return [{ do: "hang_up" }, ...this.ended(LOST, "", nowMs)];
  }

  /**
   * A frame came. Frames and fields that are not known are passed over.
   * @param {Frame} frame
   * @param {number} nowMs
   * @returns {Effect[]}
   */
  received(frame, nowMs) {
    if (!isWhole(frame)) return this.broken(nowMs);
    if (this.way === "greeting" && frame.t === "welcome") return this.#welcome(frame, nowMs);
    if (this.way !== "open") return [];
    this.#heardMs = nowMs;
    this.#hearByMs = Infinity;
    this.#isInDoubt = false;
    if (frame.t === "delta") return this.#delta(frame, nowMs);
    if (frame.t === "reply") {
      const { id, status, body } = frame;
      return this.#calls.delete(id) ? [{ do: "reply", id, status, body }] : [];
    }
    if (frame.t === "pong" && this.#lookMs === Infinity && isBehind(this.token, frame.head)) this.#lookMs = nowMs + LOOK_MS;
    if (frame.t === "presence") return this.#people.told(frame.users);
    if (frame.t === "expiring") {
      this.#renewMs = nowMs;
      return this.elapsed(nowMs);
    }
    return [];
  }

  /** The answer to a Renew. @param {string} access @returns {Effect[]} */
  renewed(access) {
    this.#renewMs = Infinity;
    if (this.way !== "open" || access === this.#access) return [];
    this.#access = access;
    return [{ do: "say", frame: { t: "auth", token: access } }];
  }

  // ------------------------------------------------------------------ the polls

  /** A long poll from the token is answered. Where the owner knows no feed, the token stays. @param {Frame} page @param {number} nowMs @returns {Effect[]} */
  polled(page, nowMs) {
    if (!this.#isPolling) return [];
    const wasAnswered = this.#isAnswered;
    this.#isAnswered = true;
    const effects = this.#took(page, page.lastUpdatedTimestamp);
    // The server is there again: the pause was for an outage.
    if (!wasAnswered && this.way === "apart" && !this.#isAsked) effects.push(...this.#connect(nowMs));
    return effects;
  }

  /** A long poll has no answer. */
  notPolled() {
    this.#isAnswered = false;
  }

  // ------------------------------------------------------------------ time

  /** When `elapsed` is to be called; earlier calls do no harm. */
  get dueMs() {
    const ackMs = this.#ack !== null && this.way === "open" ? this.#acked[0] + 1000 : Infinity;
    const ofSocket = Math.min(this.#pingMs, this.#hearByMs, this.#lookMs, this.#renewMs);
    const ofPeople = this.#people.dueMs(this.way === "open");
    return Math.min(ackMs, ofPeople, this.#comeBackMs, this.#welcomeByMs, this.#slowMs, ofSocket);
  }

  /** Time has passed. @param {number} nowMs @returns {Effect[]} */
  elapsed(nowMs) {
    if (nowMs >= this.#comeBackMs) return this.#connect(nowMs);
    if (nowMs >= Math.min(this.#welcomeByMs, this.#hearByMs)) return this.broken(nowMs);
    /** @type {Effect[]} */
    const effects = [];
    if (nowMs >= this.#slowMs) {
      this.#slowMs = Infinity;
      effects.push(...this.#poll());
    }
    effects.push(...this.#people.elapsed(nowMs, this.way === "open"));
    if (this.way !== "open") return effects;
    effects.push(...this.#acknowledge(nowMs));
    if (nowMs >= this.#pingMs) effects.push(...this.#ping(nowMs, PONG_MS));
    if (nowMs >= this.#lookMs) {
      this.#lookMs = Infinity;
      this.#isBehind = true;
      this.#isFollowing = false;
      effects.push(...this.#followWhereBehind());
    }
    if (nowMs >= this.#renewMs) {
      this.#renewMs = nowMs + RENEW_MS;
      effects.push({ do: "renew", old: this.#access ?? "" });
    }
    return effects;
  }

  /**
   * The machine slept, or its network is another one: connections may have died without a word.
   * @param {number} nowMs
   * @returns {Effect[]}
   */
  woke(nowMs) {
    if (this.way === "open") return this.#probe(nowMs);
    if (this.way === "apart") return this.#isAsked ? [] : this.#connect(nowMs);
    if (this.way === "stopped") return [];
    return [{ do: "hang_up" }, ...this.#connect(nowMs)];
  }

  // ------------------------------------------------------------------ rules

  /** @param {number} nowMs @returns {Effect[]} */
  #connect(nowMs) {
    this.way = "connecting";
    this.#comeBackMs = Infinity;
    this.#isAsked = false;
    this.#welcomeByMs = nowMs + WELCOME_MS;
    this.#slowMs = this.#mayPoll ? nowMs + SLOW_MS : Infinity;
    return [{ do: "connect", refused: this.#refused }];
  }

  /** @param {Frame} frame @param {number} nowMs @returns {Effect[]} */
  #welcome({ window, maxFrameBytes }, nowMs) {
    this.way = "open";
    this.#openedMs = nowMs;
    this.#window = window;
    this.maxFrameBytes = maxFrameBytes;
    this.#welcomeByMs = this.#slowMs = Infinity;
    this.#pingMs = nowMs + PING_MS;
    this.#ack = null; // of a poll or an earlier socket: this one's hello says it
    this.#activeMs = -Infinity;
    return [...this.#unpoll(), { do: "told" }, ...this.#followWhereBehind(), ...this.#people.opened(nowMs)];
  }

  /** @param {Frame} frame @param {number} nowMs @returns {Effect[]} */
  #delta(frame, nowMs) {
    if (frame.isDeltaUpdate) {
      const verdict = judged(this.token, frame.prev, frame.token);
      if (verdict === "old") return [];
      if (verdict === "gap") {
        this.#isBehind = true;
        return this.#followWhereBehind();
      }
    }
    this.#isBehind = this.#isFollowing = false;
    this.#lookMs = Infinity;
    return [...this.#took(frame, frame.token), ...this.#acknowledge(nowMs)];
  }

  /**
   * The token moves, and the program is given what there is to give.
   * @param {Frame} page
   * @param {?string} token
   * @returns {Effect[]}
   */
  #took({ isDeltaUpdate, messages, conversations, account }, token) {
    this.token = token;
    if (isDeltaUpdate && !(messages.length || conversations.length || account)) {
      if (this.#untaken.length) this.#untaken[this.#untaken.length - 1] = token;
      else this.#ack = token;
      return [];
    }
    this.#untaken.push(token);
    return [{ do: "give", token }];
  }

  /** @returns {Effect[]} */
  #followWhereBehind() {
    const isDue = this.#isBehind && !this.#isFollowing && this.hasRoom && this.way === "open";
    if (!isDue) return [];
    this.#isBehind = false;
    this.#isFollowing = true;
    return [{ do: "say", frame: { t: "follow", token: this.token } }];
  }

  /** @param {number} nowMs @returns {Effect[]} */
  #acknowledge(nowMs) {
    const isFull = this.#acked.length >= ACKS_A_SECOND && nowMs - this.#acked[0] < 1000;
    if (this.#ack === null || this.way !== "open" || isFull) return [];
    const token = this.#ack;
    this.#ack = null;
    note(this.#acked, nowMs, ACKS_A_SECOND);
    return [{ do: "say", frame: { t: "ack", token } }];
  }

  /** @param {number} nowMs @param {number} pongMs @param {{active?: true}} [more] @returns {Effect[]} */
  #ping(nowMs, pongMs, more) {
    this.#pingMs = nowMs + PING_MS;
    this.#hearByMs = Math.min(this.#hearByMs, nowMs + pongMs);
    return [{ do: "say", frame: { t: "ping", ...more } }];
  }

  /** Finds out whether the connection is dead. @param {number} nowMs @returns {Effect[]} */
  #probe(nowMs) {
    this.#isInDoubt = true;
    return this.#ping(nowMs, PROBE_MS);
  }

  get #mayPoll() {
    return !this.#isPolling && this.#refused === null; // a poll would go with the refused token
  }

  /** @returns {Effect[]} */
  #poll() {
    if (!this.#mayPoll) return [];
    this.#isPolling = true;
    return [{ do: "poll", token: this.token }];
  }

  /** @returns {Effect[]} */
  #unpoll() {
    const wasPolling = this.#isPolling;
    this.#isPolling = this.#isAnswered = false;
    return wasPolling ? [{ do: "unpoll" }] : [];
  }

  /** What ends with a socket. @returns {Effect[]} */
  #apart() {
    this.way = "apart";
    this.#isInDoubt = false;
    this.#openedMs = this.#welcomeByMs = this.#slowMs = Infinity;
    this.#pingMs = this.#hearByMs = this.#lookMs = this.#renewMs = Infinity;
    const ids = [...this.#calls.keys()];
    this.#calls.clear();
    return ids.length ? [{ do: "lose", ids }] : [];
  }

  /** @param {number} code @param {string} reason @returns {Effect[]} */
  #stop(code, reason) {
    const effects = [...this.#apart(), ...this.#unpoll()];
    this.way = "stopped";
    this.#comeBackMs = Infinity;
    return [...effects, ...this.#people.forget(), { do: "stop", code, reason }];
  }
}
