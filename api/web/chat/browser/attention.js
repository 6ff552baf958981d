// Whether a person is looking at the page: it is seen, and within the last minute somebody did something there.

/** How often it is said. */
const EACH_MS = 5_000;
const LOOKS_FOR_MS = 60_000;
const DEEDS = ["pointerdown", "pointermove", "keydown", "wheel", "touchmove", "focusin"];

/**
 * Calls `onLook` while a person is looking: at once where one begins to, and then each EACH_MS.
 * @param {() => void} onLook
 * @param {() => number} [now] Milliseconds, by a clock that never goes back.
 */
export function attend(onLook, now = () => performance.now()) {
  let didAt = now(); // the page was opened just now
  let saidAt = Number.NEGATIVE_INFINITY;
  const say = () => {
    if (document.hidden || now() - didAt >= LOOKS_FOR_MS) return;
    saidAt = now();
    onLook();
  };
  const did = () => {
    didAt = now();
    if (didAt - saidAt >= EACH_MS) say();
  };
  for (const deed of DEEDS) addEventListener(deed, did, { capture: true, passive: true });
  document.addEventListener("visibilitychange", () => document.hidden || did());
  setInterval(say, EACH_MS);
}
