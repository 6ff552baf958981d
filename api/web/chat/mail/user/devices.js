// Where the user is signed in. This browser is one such device, under an id that it keeps for the user until that is signed
// out; where a token names its device, it is that one.

import { newClientMessageId } from "../../../client/rowbox.js";
import { deviceIn } from "../../browser/session.js";
import { ofBrowser, ofTab } from "../../browser/storage.js";
import { Observable } from "../../observable.js";
import { reasonFor } from "../reasons.js";

const PATIENCE_MS = 5_000;
const DEVICE_ID = /^[A-Za-z0-9._:-]{1,64}$/;
const REASONS = /** @type {Record<string, string>} */ ({ peer_too_old: "The server is being upgraded, and cannot say it yet" });

/** @typedef {import("../../../client/rowbox.js").Device} Device */

/**
 * A device is connected once. Tabs that cannot share a connection (over plain HTTP from another machine) are devices of
 * their own, or they would throw each other out.
 */
const areaOf = () => (typeof BroadcastChannel === "function" && navigator.locks !== undefined ? ofBrowser : ofTab);

/** @param {string} userId */
const keyOf = (userId) => `rowbox.device.${userId}`;

/** The id of the device that this is, for a user who has this token. @param {string} token @param {string} userId @returns {string} */
export function deviceIdOf(token, userId) {
  const named = deviceIn(token);
  if (named !== null) return named;
  const kept = areaOf().get(keyOf(userId));
  if (typeof kept === "string" && DEVICE_ID.test(kept)) return kept;
  const made = newClientMessageId();
  areaOf().set(keyOf(userId), made);
  return made;
}

/** To be called when the device was signed out: its id is over. @param {string} userId @param {string} deviceId */
export function forgetDevice(userId, deviceId) {
  if (areaOf().get(keyOf(userId)) === deviceId) areaOf().remove(keyOf(userId)); // another tab may have a new one by now
}

export class Devices extends Observable {
  /** As they were last told; null before that. @type {?Device[]} */
  all = null;
  /** Why something was not done, in words; null: nothing failed. @type {?string} */
  failure = null;
  /** Whether a sign-out is under way. */
  isBusy = false;
  #isRegistered = false;
  #isRegistering = false;
  #watchers = 0;
  #client;
  #end;

  /**
   * @param {Pick<import("../../../client/rowbox.js").Rowbox, "registerDevice" | "fetchDevices" | "signOut">} client
   * @param {AbortSignal} end
   */
  constructor(client, end) {
    super();
    this.#client = client;
    this.#end = end;
  }

  /** Has this browser listed; to be called at the start and when the server is there again. Whether it is. Never rejects. */
  async register() {
    if (this.#isRegistered || this.#isRegistering) return this.#isRegistered;
    this.#isRegistering = true;
    try {
      const { name, platform } = thisBrowser(navigator.userAgent);
      await this.#client.registerDevice(name, platform, this.#options);
      this.#isRegistered = true;
    } catch {
      // Nothing else needs it. Where there are too many, the list says so by what it lacks.
    }
    this.#isRegistering = false;
    return this.#isRegistered;
  }

  /** Keeps the list as it is now, until the function that this returns is called. */
  watch() {
    this.#watchers += 1;
    void this.load();
    return () => {
      this.#watchers -= 1;
    };
  }

  /** To be called when the devices may have changed. */
  askAgain() {
    if (this.#watchers > 0) void this.load();
  }

  /** Never rejects: `failure` says why it did not come. */
  load() {
    return this.#try(async () => {
      this.all = await this.#client.fetchDevices(this.#options);
    });
  }

  /** Signs out these, one after the other. Never rejects, as `load`. @param {string[]} deviceIds */
  async signOut(deviceIds) {
    this.isBusy = true;
    await this.#try(async () => {
      for (const deviceId of deviceIds) await this.#signOut(deviceId);
      this.all = await this.#client.fetchDevices(this.#options);
    });
    this.isBusy = false;
    this.changed();
  }

  /** @param {string} deviceId */
  async #signOut(deviceId) {
    try {
      await this.#client.signOut(deviceId, this.#options);
    } catch (error) {
      const { code } = /** @type {import("../../../client/rowbox.js").RowboxError} */ (error);
      if (code !== "unknown_device") throw error; // it was signed out long ago
    }
  }

  /** @param {() => Promise<void>} deed */
  async #try(deed) {
    try {
      await deed();
      this.failure = null;
    } catch (error) {
      this.failure = reasonFor(error, REASONS);
    }
    this.changed();
  }

  get #options() {
    return { patienceMs: PATIENCE_MS, signal: this.#end };
  }
}

const BROWSERS = /** @type {const} */ ([["Edg", "Edge"], ["OPR", "Opera"], ["Firefox", "Firefox"], ["Chrome", "Chrome"], ["Safari", "Safari"]]);
const SYSTEMS = /** @type {const} */ ([["iPhone", "iPhone"], ["iPad", "iPad"], ["Android", "Android"], ["Windows", "Windows"], ["Mac OS", "macOS"], ["CrOS", "ChromeOS"], ["Linux", "Linux"]]);

/** What a person calls this browser, and what it runs on. @param {string} userAgent */
export function thisBrowser(userAgent) {
  const called = (/** @type {readonly (readonly [string, string])[]} */ known) => known.find(([sign]) => userAgent.includes(sign))?.[1] ?? "";
  return { name: called(BROWSERS) || "Browser", platform: called(SYSTEMS) };
}
