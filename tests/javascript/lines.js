// What the programs of this folder share: they are driven by lines of JSON, in both directions.

import { createInterface } from "node:readline";

/** What the test says, line by line. */
export const heard = createInterface({ input: process.stdin });

/** Listens no more, so that the program can come to its end. */
export function hangUp() {
  heard.close();
  process.stdin.destroy();
}

/** @param {object} facts */
export const say = (facts) => process.stdout.write(`${JSON.stringify(facts)}\n`);
