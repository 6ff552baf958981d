// Notifications of the system for what comes while nobody looks at the page. Only where its user asked for them: the
// browser's permission is asked for on a press of the button, and never by itself.

import { Observable } from "../observable.js";
import { ofBrowser } from "./storage.js";

const KEY = "rowbox.notifications";

export class Notifier extends Observable {
  #isWanted = ofBrowser.get(KEY) === true;
  #onOpen;

  /** `onOpen(userId, peer)` is called when somebody pressed a notification. @param {(userId: string, peer: string) => void} onOpen */
  constructor(onOpen) {
    super();
    this.#onOpen = onOpen;
  }

  /** Whether this browser has notifications at all: not over plain HTTP from another machine, and not on every phone. */
  get isPossible() {
    return "Notification" in window && isSecureContext;
  }

  get isOn() {
    return this.isPossible && this.#isWanted && Notification.permission === "granted";
  }

  /** Whether the browser's user forbade them, which only its own settings take back. */
  get isForbidden() {
    return this.isPossible && Notification.permission === "denied";
  }

  /** Asks for permission. To be called on a press of the button only, because browsers refuse to ask otherwise. */
  async toggle() {
    this.#isWanted = !this.isOn;
    if (this.#isWanted) await Notification.requestPermission().catch(() => "denied");
    ofBrowser.set(KEY, this.isOn);
    this.changed();
  }

  /**
   * Notifies of something new for `userId`, while the page is hidden. A notification replaces the last one of the same
   * conversation.
   * @param {string} userId
   * @param {string} peer
   * @param {string} title
   * @param {string} text
   */
  tell(userId, peer, title, text) {
    if (!this.isOn || !document.hidden) return;
    try {
      const notification = new Notification(title, { body: text, tag: `${userId} ${peer}`, icon: "chat/icon.svg" });
      notification.onclick = () => {
        window.focus();
        notification.close();
        this.#onOpen(userId, peer);
      };
    } catch {
      // The browsers of phones have notifications for installed pages only, and throw for others.
    }
  }
}
