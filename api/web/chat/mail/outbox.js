// What a user wrote that the server has not confirmed. It is kept in the tab's storage under its clientMessageId, and goes
// by itself as soon as the server answers again, after a reload too: however often it is tried, it is one message.
//
// The rules:
// - One lane for each recipient: a message goes when the one before it is confirmed or refused.
// - No answer, or one that says "later": it waits, and is tried with pauses that grow, and at once when the server answers
//   anything else, but not sooner than the server asked for. Nothing is given up.
// - Refused is for good. A token that is no longer accepted refuses no message: it waits until its user signs in again.
// - The server knows an id again for a limited time. Whoever comes back later is asked: it may have arrived.

import { newClientMessageId } from "../../client/rowbox.js";
import { Observable } from "../observable.js";
import { groupIdOf, isPeer } from "../peers.js";
import { ofTab } from "../browser/storage.js";

/**
 * @typedef {object} Unsent
 * @property {string} clientMessageId
 * @property {string} recipientId A user, or a group (peers.js).
 * @property {string} content
 * @property {number} writtenAt Milliseconds since the epoch.
 * @property {?number} triedAt When it was sent for the first time: from then on it may have arrived.
 * @property {"sending" | "waiting" | "refused" | "unsure"} state Waiting: for the server. Unsure: for its user's word.
 * @property {?string} reason Why it was refused, in words.
 */

/** How long a message is tried: well within the time for which a server knows its id (store.dedupe_life_ms, 7 days). */
const SURE_FOR_MS = 24 * 3600 * 1000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
/** The longest pause, however long a proxy asks to wait. (A timer of more than 24 days would be over at once.) */
const LONGEST_ASKED_MS = 3600_000;
/** The client's patience for one send. After that the message is shown as waiting, and waits here. */
const PATIENCE_MS = 1_000;
const UNAUTHENTICATED = 401;
/** A pause that means: not again before the next sign-in. */
const NEVER = Number.POSITIVE_INFINITY;

export class Outbox extends Observable {
  /** @type {Unsent[]} */
  #unsent;
  #client;
  #key;
  #onSent;
  /** The recipients whose lane is at work. @type {Set<string>} */
  #lanes = new Set();
  /** Ends the pauses of lanes that wait. @type {Set<() => void>} */
  #pauses = new Set();
  #end = new AbortController();

  /**
   * `onSent(unsent, sent)` is called with what was written and the server's answer.
   * @param {Pick<import("../../client/rowbox.js").Rowbox, "send" | "sendTo">} client
   * @param {string} userId
   * @param {(unsent: Unsent, sent: import("../../client/rowbox.js").Sent) => void} onSent
   */
  constructor(client, userId, onSent) {
    super();
    this.#client = client;
    this.#key = `rowbox.outbox.${userId}`;
    this.#onSent = onSent;
    const kept = ofTab.get(this.#key);
    this.#unsent = Array.isArray(kept) ? kept.flatMap(restored) : [];
  }

  get isEmpty() {
    return this.#unsent.length === 0;
  }

  /** How many messages are not confirmed. */
  get count() {
    return this.#unsent.length;
  }

  /** Whether there is something that a reload would throw away: the browser's storage did not take it. */
  get isAtRisk() {
    return !this.isEmpty && !ofTab.keeps(this.#key);
  }

  /** The users and groups to whom there are unconfirmed messages. */
  get recipients() {
    return [...new Set(this.#unsent.map(({ recipientId }) => recipientId))];
  }

  /** What is not confirmed to `recipientId`, in the order in which it goes. @param {string} recipientId */
  to(recipientId) {
    return this.#unsent.filter((unsent) => unsent.recipientId === recipientId);
  }

  /** Goes on with the messages that were unconfirmed when the page was left. */
  resume() {
    for (const recipientId of this.recipients) void this.#work(recipientId);
  }

  /** To be called when the server answers again. Tries the messages that wait for it. */
  goOn() {
    for (const end of this.#pauses) end();
  }

  /**
   * @param {string} recipientId
   * @param {string} content
   */
  submit(recipientId, content) {
    this.#append({
      clientMessageId: newClientMessageId(),
      recipientId,
      content,
      writtenAt: Date.now(),
      triedAt: null,
      state: "sending",
      reason: null,
    });
  }

  /** Sends one of which nobody knows whether it arrived, behind what was written since and as a message of its own. @param {Unsent} unsure */
  sendAgain(unsure) {
    this.#unsent = this.#unsent.filter((one) => one !== unsure);
    this.#append({ ...unsure, clientMessageId: newClientMessageId(), triedAt: null, state: "sending" });
  }

  /** Forgets these: thrown away by the user, or seen in the mailbox. @param {Set<string | undefined>} clientMessageIds */
  forget(clientMessageIds) {
    const kept = this.#unsent.filter((unsent) => !clientMessageIds.has(unsent.clientMessageId));
    if (kept.length === this.#unsent.length) return;
    this.#unsent = kept;
    this.#store();
  }

  /** Ends the sending. Unconfirmed messages stay for the next time. */
  close() {
    this.#end.abort();
    this.goOn();
  }

  /** Ends the sending, and forgets the unconfirmed messages. */
  clear() {
    this.close();
    this.#unsent = [];
    ofTab.remove(this.#key);
  }

  /** @param {Unsent} unsent */
  #append(unsent) {
    this.#unsent = [...this.#unsent, unsent];
    this.#store();
    void this.#work(unsent.recipientId);
  }

  /** Sends what there is to `recipientId`, one after the other, until nothing is left that may go. @param {string} recipientId */
  async #work(recipientId) {
    if (this.#lanes.has(recipientId)) return;
    this.#lanes.add(recipientId);
    for (let failures = 0; !this.#end.signal.aborted; ) {
      const next = this.to(recipientId).find(({ state }) => state === "sending" || state === "waiting");
      if (!next) break;
      if (next.triedAt !== null && Date.now() - next.triedAt > SURE_FOR_MS) {
        this.#change(next.clientMessageId, { state: "unsure" });
        continue;
      }
      const pauseMs = await this.#try(next);
      if (pauseMs === null) failures = 0;
      else if (pauseMs === NEVER) break;
      else await this.#pause(pauseMs, Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures++) * (0.5 + Math.random() / 2));
    }
    this.#lanes.delete(recipientId);
  }

  /** Null when that is done with, one way or the other; else how long it has to wait at least. @param {Unsent} unsent */
  async #try({ clientMessageId, recipientId, content, triedAt }) {
    const firstTriedAt = triedAt ?? Date.now();
    if (triedAt === null) this.#change(clientMessageId, { triedAt: firstTriedAt });
    const again = { clientMessageId, firstTriedAt, patienceMs: PATIENCE_MS, signal: this.#end.signal };
    try {
      const groupId = groupIdOf(recipientId);
      const sent = await (groupId === null
        ? this.#client.send(recipientId, content, again)
        : this.#client.sendTo(groupId, content, again));
      const unsent = this.#find(clientMessageId);
      if (this.#end.signal.aborted || !unsent) return null;
      this.#onSent(unsent, sent);
      this.forget(new Set([clientMessageId]));
      return null;
    } catch (caught) {
      const error = /** @type {import("../../client/rowbox.js").RowboxError} */ (caught);
      if (this.#end.signal.aborted) return null;
      if (error.code === "dedupe_life_over") {
        this.#change(clientMessageId, { state: "unsure" });
        return null;
      }
      if (error.status === UNAUTHENTICATED || error.retryable) {
        this.#change(clientMessageId, { state: "waiting" });
        return error.status === UNAUTHENTICATED ? NEVER : Math.min(error.retryAfterMs, LONGEST_ASKED_MS);
      }
      this.#change(clientMessageId, { state: "refused", reason: error.message });
      return null;
    }
  }

  /**
   * `goOn` ends what is left of it beyond `leastMs`.
   * @param {number} leastMs
   * @param {number} moreMs
   */
  #pause(leastMs, moreMs) {
    if (this.#end.signal.aborted) return Promise.resolve();
    return /** @type {Promise<void>} */ (
      new Promise((resolve) => {
        const begunMs = performance.now();
        const over = () => {
          this.#pauses.delete(end);
          resolve();
        };
        const end = () => {
          const leftMs = this.#end.signal.aborted ? 0 : begunMs + leastMs - performance.now();
          clearTimeout(timer);
          if (leftMs > 0) timer = setTimeout(over, leftMs);
          else over();
        };
        let timer = setTimeout(over, leastMs + moreMs);
        this.#pauses.add(end);
      })
    );
  }

  /** @param {string} clientMessageId */
  #find(clientMessageId) {
    return this.#unsent.find((unsent) => unsent.clientMessageId === clientMessageId);
  }

  /**
   * @param {string} clientMessageId
   * @param {Partial<Unsent>} facts
   */
  #change(clientMessageId, facts) {
    this.#unsent = this.#unsent.map((one) => (one.clientMessageId === clientMessageId ? { ...one, ...facts } : one));
    this.#store();
  }

  #store() {
    if (this.#unsent.length === 0) ofTab.remove(this.#key);
    else ofTab.set(this.#key, this.#unsent);
    this.changed();
  }
}

/** What was kept as an Unsent, or nothing where it is none. @param {any} kept @returns {Unsent[]} */
function restored(kept) {
  const { clientMessageId, recipientId, content, writtenAt, triedAt, state, reason } = kept ?? {};
  if (!isPeer(recipientId) || ![clientMessageId, content].every((text) => typeof text === "string" && text !== "")) return [];
  const isFinal = state === "refused" || state === "unsure";
  return [
    {
      clientMessageId,
      recipientId,
      content,
      writtenAt: isTime(writtenAt) ? writtenAt : Date.now(),
      triedAt: isTime(triedAt) ? triedAt : null,
      state: isFinal ? state : "waiting",
      reason: typeof reason === "string" ? reason : null,
    },
  ];
}

/** Whether these are milliseconds since the epoch that a Date takes. @param {unknown} ms @returns {ms is number} */
const isTime = (ms) => typeof ms === "number" && ms >= 0 && !Number.isNaN(new Date(ms).getTime());
