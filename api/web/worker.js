// The chat page's service worker: it tells a user of new messages while the page is closed, or open and out of sight. What it
// is told is a hint (docs/how-to/push.md); the messages are in the mailbox, and the page fetches them.
//
// Each user who wants that in this browser has one of his own. Its scope names him (…/push/~alice/), and no page is below it:
// it intercepts nothing, has a subscription that ends with it, and needs to keep nothing.

/**
 * @typedef {object} MessageNote
 * @property {"message"} type
 * @property {string} conversationId
 * @property {string} messageId A later message has a greater one.
 * @property {number} sentTimestamp Microseconds.
 * @property {number} badge
 * @property {string} [sender]
 * @property {string} [title] A group's name.
 * @property {string} [snippet]
 * @property {number} [expiresTimestamp] When the message disappears, in microseconds.
 *
 * @typedef {object} ReadNote
 * @property {"read"} type
 * @property {string} conversationId
 * @property {number} badge
 *
 * @typedef {{is: "shows", userId: string}} Question Whether the page shows this user: answered through the port that comes with it.
 * @typedef {{is: "open", userId: string, conversationId: string}} Opening
 * @typedef {{is: "renew", userId: string}} Renewal The user's subscription is another one.
 * @typedef {Question | Opening | Renewal} Word What a worker says to pages.
 */

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
const { registration, clients } = worker;
/** Pages answer at once. One that does not hangs. Browsers let a press open a window for a second only. */
const ANSWER_MS = 500;
const userId = decodeURIComponent(new URL(registration.scope).pathname.split("/").at(-2)?.slice(1) ?? "");
/** Where the page is. */
const home = new URL("../../", registration.scope);

worker.addEventListener("push", (event) => event.waitUntil(take(event.data?.json())));
worker.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data.conversationId));
});
worker.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(renew()));

/** @param {MessageNote | ReadNote} note One of another type is of a later server, and says nothing to this worker. */
async function take(note) {
  for (const shown of await registration.getNotifications()) if (hasEnded(shown.data)) shown.close();
  if (note.type === "message") {
    if (!hasEnded(note) && !(await isInSight())) await show(note);
  } else if (note.type === "read") {
    for (const shown of await shownOf(note.conversationId)) shown.close();
  } else return;
  await navigator.setAppBadge?.(note.badge);
}

/** Whether a message has disappeared by now. @param {{expiresTimestamp?: number}} told What was told of it. */
const hasEnded = ({ expiresTimestamp }) => expiresTimestamp !== undefined && expiresTimestamp <= Date.now() * 1000;

/** @param {MessageNote} note */
async function show({ conversationId, messageId, sentTimestamp, sender, title, snippet, expiresTimestamp }) {
  // The page may have told of it already, and says more; and pushes may come in another order.
  if ((await shownOf(conversationId)).some(({ data }) => data.messageId >= messageId)) return;
  const text = snippet ?? "New message";
  await registration.showNotification(title ?? sender ?? "Rowbox", {
    body: title && sender ? `${sender}: ${text}` : text,
    tag: conversationId,
    icon: new URL("chat/icon.svg", home).href,
    data: { conversationId, messageId, expiresTimestamp },
    // @ts-expect-error TypeScript does not know these two, and Safari and Firefox have no use for them.
    renotify: true,
    timestamp: sentTimestamp / 1000,
  });
}

/** @param {string} conversationId */
const shownOf = (conversationId) => registration.getNotifications({ tag: conversationId });

/** Shows a conversation: in a page on which the user is signed in, else in a new one. @param {string} conversationId */
async function open(conversationId) {
  const page = (await pages()).at(0);
  if (page) {
    tell(page, { is: "open", userId, conversationId });
    await page.focus();
  } else {
    // Behind # it comes into no log.
    await clients.openWindow(new URL(`#${new URLSearchParams({ user: userId, conversation: conversationId })}`, home).href);
  }
}

/** Has the server told of another subscription, if a page is there to do so. Else the page's next start does. */
async function renew() {
  for (const page of await pages()) tell(page, { is: "renew", userId });
}

/** Whether somebody sees a page on which the user is signed in. */
async function isInSight() {
  return (await pages()).some(({ visibilityState }) => visibilityState === "visible");
}

/** The chat pages on which the user is signed in, the last one that was looked at first. */
async function pages() {
  const windows = await clients.matchAll({ type: "window", includeUncontrolled: true });
  // Another server's page below another path may show a user of the same name.
  const all = windows.filter(({ url }) => url.split(/[?#]/)[0] === home.href);
  const answers = await Promise.all(all.map(showsUser));
  return all.filter((_, at) => answers[at]);
}

/** @param {WindowClient} page @returns {Promise<boolean>} */
function showsUser(page) {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }) => resolve(data === true);
    setTimeout(() => resolve(false), ANSWER_MS);
    tell(page, { is: "shows", userId }, [port2]);
  });
}

/** @param {WindowClient} page @param {Word} word @param {Transferable[]} [ports] */
function tell(page, word, ports = []) {
  page.postMessage(word, ports);
}
