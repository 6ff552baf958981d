// A long press on a screen, which does what a press of the right button does elsewhere.

import { useRef } from "../../vendor/htm-preact.js";

const LONG_PRESS_MS = 450;
const LONG_PRESS_WITHIN_PX = 10;

/**
 * On a screen: what is done when one leaves the finger where it is. The tap that would follow is none then.
 * @param {() => void} onLongPress
 */
export function useLongPress(onLongPress) {
  /** The press that is under way, and when it is long. @type {{current: ?{x: number, y: number, timer: number}}} */
  const press = useRef(/** @type {any} */ (null));
  const wasLong = useRef(false);
  const end = () => {
    clearTimeout(press.current?.timer);
    press.current = null;
  };
  return {
    onPointerDown: (/** @type {PointerEvent} */ { pointerType, clientX, clientY }) => {
      end();
      wasLong.current = false;
      if (pointerType !== "touch") return;
      const timer = setTimeout(() => {
        press.current = null;
        wasLong.current = true;
        onLongPress();
      }, LONG_PRESS_MS);
      press.current = { x: clientX, y: clientY, timer };
    },
    onPointerMove: (/** @type {PointerEvent} */ { clientX, clientY }) => {
      if (!press.current) return;
      const isFar = Math.hypot(clientX - press.current.x, clientY - press.current.y) > LONG_PRESS_WITHIN_PX;
      if (isFar) end();
    },
    onPointerUp: end,
    onPointerCancel: end,
    onContextMenu: (/** @type {PointerEvent} */ event) => {
      if (event.pointerType === "touch") event.preventDefault(); // the browser's own menu of a long press
    },
    onClickCapture: (/** @type {Event} */ event) => {
      const isOfMenu = /** @type {Element} */ (event.target).closest(".menu");
      if (!wasLong.current || isOfMenu) return;
      wasLong.current = false;
      event.stopPropagation();
      event.preventDefault();
    },
  };
}
