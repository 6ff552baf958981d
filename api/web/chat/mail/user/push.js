// Whether this browser tells a user of new messages while the page is closed, by the server's pushes. Only where he asked for
// that by a press of its switch, and as long as the device on which he did is signed in.

import { end as endWorker, isPossible, subscribed } from "../../browser/push_worker.js";
import { ofBrowser } from "../../browser/storage.js";
import { Observable } from "../../observable.js";
import { reasonFor } from "../reasons.js";

const PATIENCE_MS = 5_000;
const REASONS = /** @type {Record<string, string>} */ ({
  peer_too_old: "The server is being upgraded, and cannot do that yet",
  push_off: "The server does not do that any more",
  unknown_device: "This browser is not among your signed-in devices. There may be as many as there can be",
});
const NO_SERVICE = "This browser does not reach its push service. It may forbid that, or be offline";

/** @typedef {{deviceId: string, token: string}} Wanted */

/** @param {string} userId */
const keyOf = (userId) => `rowbox.push.${userId}`;

/** @param {string} userId @returns {?Wanted} */
function wantedBy(userId) {
  const kept = Object(ofBrowser.get(keyOf(userId)));
  return typeof kept.deviceId === "string" && typeof kept.token === "string" ? { deviceId: kept.deviceId, token: kept.token } : null;
}

/** With what a user signs in who pressed a notification while no page was open; null where he has none here. @param {string} userId */
export const keptToken = (userId) => wantedBy(userId)?.token ?? null;

export class Push extends Observable {
  /** The server's key; null where it does no pushes, or was not asked yet. @type {?string} */
  #serverKey = null;
  isBusy = false;
  /** Why it was not switched, in words. @type {?string} */
  failure = null;
  #isRenewed = false;
  /** Whether the user has signed out. */
  #isOver = false;
  #client;
  #userId;
  #token;
  #deviceId;
  #notifier;
  #end;

  /**
   * @param {Pick<import("../../../client/rowbox.js").Rowbox, "fetchPushKey" | "setPush">} client
   * @param {{userId: string, token: string, deviceId: string}} who
   * @param {import("../../browser/notifier.js").Notifier} notifier
   * @param {AbortSignal} end
   */
  constructor(client, { userId, token, deviceId }, notifier, end) {
    super();
    this.#client = client;
    this.#userId = userId;
    this.#token = token;
    this.#deviceId = deviceId;
    this.#notifier = notifier;
    this.#end = end;
    // Who wants no notifications in this browser wants none of these either.
    const onNotifier = () => void (this.#isWanted && !notifier.isOn && this.turnOff());
    end.addEventListener("abort", notifier.subscribe(onNotifier), { once: true });
  }

  /** Whether it can be switched here at all, as far as that is known. */
  get isOffered() {
    return this.#serverKey !== null || this.isOn;
  }

  /** Whether the browser's user forbade all notifications. */
  get isForbidden() {
    return this.#notifier.isForbidden;
  }

  get isOn() {
    return this.#isWanted && this.#notifier.isOn;
  }

  /** Finds out whether it is offered. Never rejects. */
  async look() {
    if (!isPossible()) return;
    try {
      this.#serverKey = await this.#client.fetchPushKey(this.#options);
      this.changed();
    } catch {
      // The list of devices beside it says why.
    }
  }

  /**
   * To be called when this browser's device is registered: a browser may have another subscription at any time, and a server
   * forgets one that is gone. Nobody is asked for anything. Never rejects.
   */
  async renew() {
    if (this.#isRenewed || this.isBusy || !isPossible() || !this.#isWanted) return;
    if (!this.#notifier.isOn) return this.#stop(); // the browser's settings forbid it by now
    this.#isRenewed = true;
    await this.#try(() => this.#subscribe());
    this.#isRenewed = this.failure === null;
    this.failure = null; // nobody has pressed anything, so nobody is told
  }

  /** The browser has another subscription. Never rejects. */
  renewAgain() {
    this.#isRenewed = false;
    return this.renew();
  }

  /** To be called on a press only, because it may ask for permission. Never rejects: `failure` says why it is still off. */
  turnOn() {
    return this.#try(async () => {
      await this.#notifier.turnOn();
      if (this.#notifier.isOn) await this.#subscribe().catch((error) => this.#giveUp(error));
    });
  }

  /** Never rejects. If the server does not hear of it, the push service says to it that there is no such subscription. */
  turnOff() {
    return this.#try(async () => {
      await this.#stop();
      await this.#client.setPush(null, this.#options).catch(() => {});
    });
  }

  /** The sign-in is over: the server knows that, and the browser has to. Never rejects. */
  async end() {
    this.#isOver = true;
    if (this.#isWanted) await this.#stop();
  }

  get #isWanted() {
    return wantedBy(this.#userId)?.deviceId === this.#deviceId;
  }

  async #stop() {
    ofBrowser.remove(keyOf(this.#userId));
    this.#notifier.tellThrough(this.#userId, null);
    if (isPossible()) await endWorker(this.#userId).catch(() => {});
    this.changed();
  }

  /** Nobody knows what the server has done of what failed: without a worker nothing comes of it. @param {unknown} error */
  async #giveUp(error) {
    if (wantedBy(this.#userId) === null) await endWorker(this.#userId).catch(() => {});
    throw error;
  }

  async #subscribe() {
    this.#serverKey = await this.#client.fetchPushKey(this.#options);
    if (this.#serverKey === null) throw new Error(REASONS.push_off);
    const { registration, subscription } = await subscribed(this.#userId, this.#serverKey).catch((error) => {
      throw new Error(NO_SERVICE, { cause: error });
    });
    const { endpoint, keys } = subscription.toJSON();
    await this.#client.setPush({ kind: "web", endpoint, keys }, this.#options);
    ofBrowser.set(keyOf(this.#userId), { deviceId: this.#deviceId, token: this.#token });
    this.#notifier.tellThrough(this.#userId, registration);
    if (this.#isOver) await this.#stop(); // he has signed out meanwhile
  }

  /** @param {() => Promise<void>} deed */
  async #try(deed) {
    this.isBusy = true;
    this.changed();
    try {
      await deed();
      this.failure = null;
    } catch (error) {
      this.failure = reasonFor(error, REASONS);
    }
    this.isBusy = false;
    this.changed();
  }

  get #options() {
    return { patienceMs: PATIENCE_MS, signal: this.#end };
  }
}
