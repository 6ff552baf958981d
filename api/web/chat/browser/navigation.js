// Which conversations are open, as the browser's history knows it: Back leaves a conversation and not the site, and a
// reload is back in it. One step of the history for each user's open conversation; another one in its place is no step.

import { isPeer } from "../peers.js";
import { isUserId } from "./session.js";

/**
 * @typedef {Record<string, string>} Open Of each user the peer (peers.js) whose conversation is open.
 * @typedef {{open: Open, depth: number}} Place `depth`: how many steps before it are ours.
 */

export class Navigation {
  #onShow;
  #place = placeIn(history.state);
  /** Whether this module itself goes back in the history; the open conversation stays open then. */
  #isLeaving = false;
  /** What is to be done to the history when that has come to its end. @type {(() => void)[]} */
  #waiting = [];

  /** `onShow` is called with what is to be open now, after Back and Forward. @param {(open: Open) => void} onShow */
  constructor(onShow) {
    this.#onShow = onShow;
    addEventListener("popstate", ({ state }) => this.#onStep(placeIn(state)));
  }

  get open() {
    return this.#place.open;
  }

  /** These are open, without a step: where a visit begins. @param {Open} open */
  begin(open) {
    this.#atRest(() => this.#replace({ open, depth: this.#place.depth }));
  }

  /**
   * @param {string} userId
   * @param {string} peer
   */
  enter(userId, peer) {
    this.#atRest(() => this.#enter(userId, peer));
  }

  /** @param {string} userId */
  leave(userId) {
    this.#atRest(() => this.#leave(userId));
  }

  /**
   * Runs the change at once, except while this module goes back in the history: the browser does that with a delay, and a
   * change meanwhile would be made to the step that is being left.
   * @param {() => void} change
   */
  #atRest(change) {
    if (this.#isLeaving) this.#waiting.push(change);
    else change();
  }

  /**
   * @param {string} userId
   * @param {string} peer
   */
  #enter(userId, peer) {
    const { open, depth } = this.#place;
    const isStep = open[userId] === undefined;
    const place = { open: { ...open, [userId]: peer }, depth: isStep ? depth + 1 : depth };
    if (!isStep) this.#replace(place);
    else {
      this.#place = place;
      history.pushState(place, "");
    }
  }

  /** @param {string} userId */
  #leave(userId) {
    const { [userId]: left, ...open } = this.#place.open;
    if (left === undefined) return;
    if (this.#place.depth === 0) this.#replace({ open, depth: 0 });
    else {
      this.#place = { open, depth: this.#place.depth - 1 };
      this.#isLeaving = true;
      history.back();
    }
  }

  /** @param {Place} place */
  #onStep(place) {
    if (location.hash) return; // a link was opened in this tab: session.js
    if (this.#isLeaving) {
      this.#isLeaving = false;
      this.#replace({ open: this.#place.open, depth: place.depth });
      while (!this.#isLeaving && this.#waiting.length > 0) this.#waiting.shift()?.();
      return;
    }
    this.#place = place;
    this.#onShow(place.open);
  }

  /** @param {Place} place */
  #replace(place) {
    this.#place = place;
    history.replaceState(place, "");
  }
}

/** What a step of the history says; whoever else wrote it there. @param {any} state @returns {Place} */
function placeIn(state) {
  const open = Object.entries(Object(state?.open)).filter(([userId, peer]) => isUserId(userId) && isPeer(peer));
  const depth = Number.isInteger(state?.depth) && state.depth > 0 ? state.depth : 0;
  return { open: Object.fromEntries(open), depth };
}
