// The messages of a conversation, and where in them the reader is: at the newest end, which then stays in sight, or
// further up, where nothing that is loaded may move what he reads.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/htm-preact.js";
import { dayName, dayOf } from "../time.js";
import { Message, UnsentMessage } from "./message.js";

const AT_END_WITHIN_PX = 60;
const LOAD_WITHIN_PX = 400;
/** Messages of one sender that follow each other sooner share one line with the time. */
const GROUP_US = 3 * 60 * 1_000_000;

/**
 * @typedef {import("../thread.js").Thread} Thread
 * @typedef {import("../thread.js").Message} MessageOfThread
 */

/** @param {{account: import("../account.js").Account, thread: Thread}} props */
export function MessageLog({ account, thread }) {
  const { userId, inbox, outbox } = account;
  const { messages } = thread;
  const unsent = outbox.to(thread.peer);
  const log = useRef(/** @type {any} */ (null));
  const [isAtEnd, setAtEnd] = useState(true);
  const isVisible = useVisible();

  const look = () => {
    setAtEnd(isScrolledToEnd(log.current));
    if (log.current.scrollTop < LOAD_WITHIN_PX && !thread.failure) thread.loadOlder();
  };
  const toEnd = () => (log.current.scrollTop = log.current.scrollHeight);
  useKeptPosition(log, messages, unsent, isAtEnd);
  useEffect(look, [messages]); // a first page may be shorter than the window
  useEffect(() => {
    if (!isAtEnd) return;
    const resized = new ResizeObserver(toEnd); // a longer draft or a keyboard on the screen leaves less room
    resized.observe(log.current);
    return () => resized.disconnect();
  }, [isAtEnd]);

  const conversation = inbox.with(thread.peer);
  const unreadCount = conversation?.unreadCount ?? 0;
  useEffect(() => {
    const isShown = isAtEnd && isVisible && conversation?.lastMessageId === messages.at(-1)?.messageId;
    if (isShown && unreadCount > 0) thread.markRead();
  });

  const retry = (/** @type {import("../outbox.js").Unsent} */ one) => {
    outbox.retry(one);
    toEnd();
  };
  return html`
    <div class="log-frame">
      <div class="log" ref=${log} role="log" aria-live="polite" aria-busy=${thread.isLoadingOlder} tabindex="0"
        aria-label=${`Messages with ${thread.peer}`} onScroll=${look}>
        <${Top} thread=${thread} isEmpty=${messages.length + unsent.length === 0} />
        <ol>
          ${messages.flatMap((message, at) => listed(message, messages[at - 1], messages[at + 1], userId))}
          ${unsent.map(
            (one) => html`
              <${UnsentMessage} key=${one.clientMessageId} unsent=${one} onRetry=${() => retry(one)}
                onDiscard=${() => outbox.forget(new Set([one.clientMessageId]))} />
            `,
          )}
        </ol>
      </div>
      ${!isAtEnd && html`<button type="button" class="to-end" onClick=${toEnd}>${unreadCount ? "New messages" : "Newest"} ↓</button>`}
    </div>
  `;
}

/**
 * @param {MessageOfThread} message
 * @param {MessageOfThread | undefined} before
 * @param {MessageOfThread | undefined} after
 * @param {string} userId
 */
function listed(message, before, after, userId) {
  const isNewDay = !before || dayOf(before.sentTimestamp) !== dayOf(message.sentTimestamp);
  return [
    isNewDay && html`<li key=${`day-${message.messageId}`} class="day"><span>${dayName(message.sentTimestamp)}</span></li>`,
    html`
      <${Message} key=${message.messageId} message=${message} isMine=${message.senderId === userId}
        isFirst=${isNewDay || !isOneGroup(before, message)} isLast=${!after || !isOneGroup(message, after)} />
    `,
  ];
}

/**
 * @param {MessageOfThread} one
 * @param {MessageOfThread} next
 */
function isOneGroup(one, next) {
  return one.senderId === next.senderId && next.sentTimestamp - one.sentTimestamp < GROUP_US;
}

/** What is above the oldest message that is loaded. @param {{thread: Thread, isEmpty: boolean}} props */
function Top({ thread, isEmpty }) {
  if (thread.failure) {
    return html`
      <p class="hint" role="alert">Could not load messages: ${thread.failure.message}.
        ${thread.hasOlder && html`<button type="button" onClick=${() => thread.loadOlder()}>Try again</button>`}</p>
    `;
  }
  if (!thread.isLoaded || thread.isLoadingOlder) return html`<p class="hint">Loading…</p>`;
  if (isEmpty) return html`<p class="hint">No messages yet. Say hello.</p>`;
  return thread.hasOlder ? html`<p class="hint">Older messages above</p>` : html`<p class="hint">The beginning</p>`;
}

/** @param {Element} log */
const isScrolledToEnd = ({ scrollHeight, scrollTop, clientHeight }) =>
  scrollHeight - scrollTop - clientHeight < AT_END_WITHIN_PX;

/**
 * After each change: at the end one stays at the end, elsewhere what one reads stays where it is.
 * @param {{current: HTMLElement}} log
 * @param {MessageOfThread[]} messages
 * @param {unknown[]} unsent
 * @param {boolean} isAtEnd
 */
function useKeptPosition(log, messages, unsent, isAtEnd) {
  const last = useRef({ oldestId: /** @type {?string} */ (null), height: 0, written: 0 });
  useLayoutEffect(() => {
    const { scrollHeight } = log.current;
    const before = last.current;
    const oldestId = messages[0]?.messageId ?? null;
    const hasWritten = unsent.length > before.written;
    if (isAtEnd || hasWritten) log.current.scrollTop = scrollHeight;
    else if (oldestId !== before.oldestId) log.current.scrollTop += scrollHeight - before.height;
    last.current = { oldestId, height: scrollHeight, written: unsent.length };
  });
}

function useVisible() {
  const [isVisible, setVisible] = useState(!document.hidden);
  useEffect(() => {
    const change = () => setVisible(!document.hidden);
    document.addEventListener("visibilitychange", change);
    return () => document.removeEventListener("visibilitychange", change);
  }, []);
  return isVisible;
}
