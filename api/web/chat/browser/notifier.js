// Notifications of the system for what comes while nobody looks at the page. Only where its user asked for them: the
// browser's permission is asked for on a press of the button, and never by itself.

import { Observable } from "../observable.js";
import { ofBrowser } from "./storage.js";

const KEY = "rowbox.notifications";
const ICON = "chat/icon.svg";

/** What is told. @typedef {{conversationId: string, messageId: string, peer: string, title: string, text: string}} News */

export class Notifier extends Observable {
  #onOpen;
  /** By user, the service worker that tells him by pushes as well. @type {Map<string, ServiceWorkerRegistration>} */
  #through = new Map();

  /** `onOpen(userId, peer)` is called when somebody pressed a notification. @param {(userId: string, peer: string) => void} onOpen */
  constructor(onOpen) {
    super();
    this.#onOpen = onOpen;
    addEventListener("storage", ({ key }) => key === KEY && this.changed()); // another tab
  }

  /** Whether this browser has notifications at all: not over plain HTTP from another machine, and not on every phone. */
  get isPossible() {
    return "Notification" in window && isSecureContext;
  }

  get isOn() {
    return this.isPossible && ofBrowser.get(KEY) === true && Notification.permission === "granted";
  }

  /** Whether the browser's user forbade them, which only its own settings take back. */
  get isForbidden() {
    return this.isPossible && Notification.permission === "denied";
  }

  /** Asks for permission. To be called on a press only, because browsers refuse to ask otherwise. */
  async turnOn() {
    const permission = await Notification.requestPermission().catch(() => "denied");
    ofBrowser.set(KEY, permission === "granted");
    this.changed();
  }

  /** To be called on a press of the button only, as `turnOn`. */
  async toggle() {
    if (!this.isOn) await this.turnOn();
    else {
      ofBrowser.set(KEY, false);
      this.changed();
    }
  }

  /** From now on a user is told through this service worker; null: by the page alone. @param {string} userId @param {?ServiceWorkerRegistration} registration */
  tellThrough(userId, registration) {
    if (registration) this.#through.set(userId, registration);
    else this.#through.delete(userId);
  }

  /**
   * Notifies of something new for `userId`, while the page is hidden. A notification replaces the last one of the same
   * conversation.
   * @param {string} userId
   * @param {News} news
   */
  tell(userId, { conversationId, messageId, peer, title, text }) {
    if (!this.isOn || !document.hidden) return;
    const worker = this.#through.get(userId);
    if (worker) {
      // By the same tag as a push of the message (worker.js): neither stands beside the other.
      const data = { conversationId, messageId };
      void worker.showNotification(title, { body: text, tag: conversationId, icon: ICON, data }).catch(() => {});
      return;
    }
    try {
      const notification = new Notification(title, { body: text, tag: `${userId} ${peer}`, icon: ICON });
      notification.onclick = () => {
        window.focus();
        notification.close();
        this.#onOpen(userId, peer);
      };
    } catch {
      // The browsers of phones have notifications of service workers only, and throw.
    }
  }

  /** A conversation was read. @param {string} userId @param {string} conversationId */
  async takeAway(userId, conversationId) {
    const shown = (await this.#through.get(userId)?.getNotifications({ tag: conversationId })) ?? [];
    for (const notification of shown) notification.close();
  }
}
