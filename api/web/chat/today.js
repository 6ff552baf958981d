// Which day it is. What says "Today" or "Yesterday" is drawn again when the day ends, and when a machine that slept over
// midnight wakes.

import { Observable } from "./observable.js";

/** A laptop's sleep stops timers: one that looks often is late by little. */
const LOOK_AT_LEAST_EVERY_MS = 60_000;

export class Today extends Observable {
  #day = new Date().toDateString();

  constructor() {
    super();
    document.addEventListener("visibilitychange", () => this.#look());
    this.#wait();
  }

  #look() {
    const day = new Date().toDateString();
    if (day === this.#day) return;
    this.#day = day;
    this.changed();
  }

  #wait() {
    const now = new Date();
    const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate() + 1).getTime();
    setTimeout(() => {
      this.#look();
      this.#wait();
    }, Math.min(midnight - now.getTime() + 1, LOOK_AT_LEAST_EVERY_MS));
  }
}
