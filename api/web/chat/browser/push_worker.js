// The service worker that tells a user of messages while the page is closed or out of sight (worker.js, beside the page), as the
// page sees it. Each user who wants that in this browser has one of his own, by its scope.

/**
 * @typedef {{is: "shows" | "renew", userId: string} | {is: "open", userId: string, conversationId: string}} Word What a worker says.
 */

const CONVERSATION = /^[0-9a-f]{32}$/;
const scriptUrl = new URL("worker.js", document.baseURI).href;
/**
 * The page lets no text become a script, and this one address is what its Content-Security-Policy makes an exception for.
 * @type {string}
 */
const script =
  /** @type {any} */ (globalThis).trustedTypes?.createPolicy("push-worker", { createScriptURL: () => scriptUrl }).createScriptURL("") ??
  scriptUrl;

/** @param {string} userId */
const scopeOf = (userId) => new URL(`push/~${encodeURIComponent(userId)}/`, document.baseURI).href;

/** Whether this browser has pushes: not over plain HTTP from another machine, and on iPhones only for what is on the home screen. */
export const isPossible = () => isSecureContext && "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;

/**
 * The user's worker in this browser, which is begun if need be, with its subscription to pushes of a server with this key.
 * Rejects where the browser has no push service, or does not reach it.
 * @param {string} userId
 * @param {string} serverKey
 */
export async function subscribed(userId, serverKey) {
  const registration = await navigator.serviceWorker.register(script, { scope: scopeOf(userId) });
  await activated(registration);
  const options = { userVisibleOnly: true, applicationServerKey: serverKey };
  const subscription = await registration.pushManager.subscribe(options).catch(async (error) => {
    if (error.name !== "InvalidStateError") throw error;
    await (await registration.pushManager.getSubscription())?.unsubscribe(); // the server has another key by now
    return registration.pushManager.subscribe(options);
  });
  return { registration, subscription };
}

/** Ends the user's worker, and with it the subscription. @param {string} userId */
export async function end(userId) {
  const registration = await navigator.serviceWorker.getRegistration(scopeOf(userId));
  for (const shown of (await registration?.getNotifications()) ?? []) shown.close();
  await registration?.unregister();
}

/** @param {ServiceWorkerRegistration} registration @returns {Promise<void>} */
function activated({ active, installing, waiting }) {
  const worker = active ?? waiting ?? /** @type {ServiceWorker} */ (installing);
  return new Promise((resolve, reject) => {
    const look = () => {
      if (worker.state === "activated") resolve();
      if (worker.state === "redundant") reject(new Error("the service worker could not be installed"));
    };
    worker.addEventListener("statechange", look);
    look();
  });
}

/**
 * Hears what workers say from now on.
 * @param {object} answers
 * @param {(userId: string) => boolean} answers.shows Whether the page shows this user.
 * @param {(userId: string, conversationId: string) => void} answers.open
 * @param {(userId: string) => void} answers.renew The user's subscription is another one.
 */
export function hearWorkers({ shows, open, renew }) {
  if (!isPossible()) return;
  navigator.serviceWorker.addEventListener("message", ({ data, ports }) => {
    const word = /** @type {Word} */ (data);
    if (word.is === "shows") ports[0].postMessage(shows(word.userId));
    if (word.is === "open") open(word.userId, word.conversationId);
    if (word.is === "renew") renew(word.userId);
  });
  navigator.serviceWorker.startMessages();
}

/** The conversation for which a worker opened this page; it then leaves the address. Null where it was opened otherwise. */
export function takePlace() {
  const given = new URLSearchParams(location.hash.slice(1));
  const [userId, conversationId] = [given.get("user"), given.get("conversation")];
  if (userId === null || conversationId === null || !CONVERSATION.test(conversationId)) return null;
  history.replaceState(history.state, "", location.pathname + location.search);
  return { userId, conversationId };
}
