// The messages of a conversation, and where in them the reader is: at the newest end, which then stays in sight, or
// further up, where nothing that is loaded may move what he reads.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../../vendor/htm-preact.js";
import { copy } from "../../browser/clipboard.js";
import { receiptOf } from "../../mail/receipts.js";
import { groupIdOf } from "../../peers.js";
import { dayName, dayOf } from "../../time.js";
import { Note, useNote } from "../note.js";
import { useFirstUnread } from "./first_unread.js";
import { GroupLine } from "./group_line.js";
import { Message, UnsentMessage } from "./message.js";

const AT_END_WITHIN_PX = 60;
const LOAD_WITHIN_PX = 400;
/** Messages of one sender that follow each other sooner share one line with the time. */
const GROUP_US = 3 * 60 * 1_000_000;
const TAKE_BACK = { text: "Take it back for everybody?", yes: "Take back" };

/**
 * @typedef {import("../../mail/thread.js").Thread} Thread
 * @typedef {import("../../mail/thread.js").Message} MessageOfThread
 */

/** @param {{account: import("../../mail/account.js").Account, thread: Thread}} props */
export function MessageLog({ account, thread }) {
  const { userId, inbox, outbox, names, isConnected } = account;
  const isGroup = groupIdOf(thread.peer) !== null;
  const { messages, sought } = thread;
  const unsent = outbox.to(thread.peer);
  const log = useRef(/** @type {any} */ (null));
  const [isAtEnd, setAtEnd] = useState(true);
  const [timedId, setTimedId] = useState(/** @type {?string} */ (null));
  const [note, setNote] = useNote();
  const isVisible = useVisible();

  const conversation = inbox.with(thread.peer);
  const canChange = !isGroup || conversation?.membership === "in";
  const takesBackAll = isGroup && canChange && conversation?.role !== "member";
  const unreadCount = conversation?.unreadCount ?? 0;
  const isCurrent = thread.isLoaded && conversation?.lastMessageId === messages.at(-1)?.messageId;
  const isWatched = isAtEnd && isVisible;
  const firstUnreadId = useFirstUnread({ messages, userId, unreadCount, isCurrent, isWatched, isAnswered: unsent.length > 0 });

  const { remember, toEnd, keepAtEnd } = useKeptPosition(log, unsent);
  const moved = () => {
    remember();
    setAtEnd(isScrolledToEnd(log.current));
  };
  const look = () => {
    moved();
    if (log.current.scrollTop < LOAD_WITHIN_PX && !thread.failure) thread.loadOlder();
  };
  useBeginAtUnread(log, thread.isLoaded, moved);
  useSought(log, sought, moved);
  useEffect(look, [messages]); // a first page may be shorter than the window
  useEffect(() => {
    if (!isAtEnd) return;
    const resized = new ResizeObserver(keepAtEnd); // a longer draft or a keyboard on the screen leaves less room
    resized.observe(log.current);
    return () => resized.disconnect();
  }, [isAtEnd]);
  const { openGroup } = account;
  useEffect(() => {
    if (!openGroup) return;
    const own = isVisible && canChange ? messages.filter((one) => one.senderId === userId && isWritten(one) && !one.unsent) : [];
    openGroup.receipts.watch(own.map(({ messageId }) => messageId), messages.at(-1)?.messageId ?? "");
  });
  useEffect(() => () => openGroup?.receipts.watch([], ""), [openGroup]);
  useEffect(() => {
    if (isCurrent && isWatched && isScrolledToEnd(log.current) && unreadCount > 0) thread.markRead();
  });

  const copyText = async (/** @type {string} */ text) => setNote((await copy(text)) ? "Copied" : "This browser does not let pages copy");
  const toggleTime = (/** @type {string} */ id) => setTimedId(id === timedId ? null : id);
  const tell = async (/** @type {Promise<?string>} */ deed) => {
    const reason = await deed;
    if (reason !== null) setNote(reason);
  };
  const { deeds } = account;
  const { editingId, edit, stopEditing } = useEditing(log);
  const handling = useHandling([...messages.filter(isWritten).map(({ messageId }) => messageId), ...unsent.map((one) => one.clientMessageId)].at(-1));
  const messageView = (/** @type {MessageOfThread} */ message, /** @type {number} */ at) => {
    const { messageId, messageContent, sentTimestamp, senderId, unsent: isTakenBack } = message;
    const isOwn = canChange && senderId === userId && !isTakenBack;
    const takesBack = isOwn || (takesBackAll && !isTakenBack);
    const [before, after] = [messages[at - 1], messages[at + 1]];
    const isNewDay = !before || dayOf(before.sentTimestamp) !== dayOf(sentTimestamp);
    const isFirstUnread = messageId === firstUnreadId;
    const actions = [
      ...(isTakenBack ? [] : [{ name: "Copy text", run: () => copyText(messageContent) }]),
      ...(isOwn ? [{ name: "Edit", run: () => edit(messageId) }] : []),
      ...(takesBack ? [{ name: "Take back", question: TAKE_BACK, run: () => tell(deeds.takeBack(message)) }] : []),
      { name: timedId === messageId ? "Hide date" : "Show date", run: () => toggleTime(messageId) },
    ];
    return [
      isNewDay && html`<li key=${`day-${messageId}`} class="day"><span>${dayName(sentTimestamp)}</span></li>`,
      isFirstUnread && html`<li key=${`unread-${messageId}`} class="first-unread"><span>New messages</span></li>`,
      message.event && html`<${GroupLine} key=${messageId} message=${message} userId=${userId} nameOf=${names.of} />`,
      isWritten(message) && html`
        <${Message} key=${messageId} message=${message} userId=${userId} nameOf=${names.of} isOfGroup=${isGroup}
          isFirst=${isNewDay || isFirstUnread || !isOneGroup(before, message)} isLast=${!after || !isOneGroup(message, after)}
          isTimed=${timedId === messageId} isSought=${sought?.messageId === messageId} receipt=${openGroup?.receipts.of(messageId) ?? { state: receiptOf(messageId, conversation?.receipts), readBy: 0 }} onTap=${() => toggleTime(messageId)} actions=${actions} handling=${handling(messageId)}
          editing=${editingId === messageId ? { onSave: (/** @type {string} */ text) => deeds.edit(message, text), onClose: stopEditing } : null}
          canReact=${canChange} onReact=${(/** @type {string} */ emoji) => tell(deeds.react(message, emoji))}
          askReaders=${isGroup && senderId === userId ? () => account.readers.of(message) : null} />
      `,
    ];
  };
  const unsentView = (/** @type {import("../../mail/outbox.js").Unsent} */ one) => html`
    <${UnsentMessage} key=${one.clientMessageId} unsent=${one} isConnected=${isConnected} onSendAgain=${() => outbox.sendAgain(one)}
      onDiscard=${() => outbox.forget(new Set([one.clientMessageId]))} handling=${handling(one.clientMessageId)}
      actions=${[{ name: "Copy text", run: () => copyText(one.content) }]} />
  `;
  return html`
    <div class="log-frame">
      <div class="log" ref=${log} role="log" aria-live="polite" aria-busy=${thread.isLoadingOlder} tabindex="0"
        aria-label=${`Messages with ${inbox.titleOf(thread.peer)}`} onScroll=${look} onKeyDown=${moveBetweenMenus}>
        <${Top} thread=${thread} onFind=${() => account.findAgain()} isEmpty=${messages.length + unsent.length === 0} />
        <ol>${messages.flatMap(messageView)}${unsent.map(unsentView)}</ol>
      </div>
      <${Note} text=${note} />
      ${!isAtEnd && html`<button type="button" class="to-end" onClick=${toEnd}>${unreadCount ? "New messages" : "Newest"} ↓</button>`}
    </div>
  `;
}

/**
 * @param {MessageOfThread} one
 * @param {MessageOfThread} next
 */
function isOneGroup(one, next) {
  return isWritten(one) && isWritten(next) && one.senderId === next.senderId && next.sentTimestamp - one.sentTimestamp < GROUP_US;
}

/** Whether somebody wrote it; else it says what happened to a group. @param {MessageOfThread} message */
const isWritten = ({ kind }) => kind !== "system";

/** What is above the oldest message that is loaded. @param {{thread: Thread, isEmpty: boolean, onFind: () => void}} props */
function Top({ thread, isEmpty, onFind }) {
  if (thread.failure) {
    const again = thread.hasOlder ? () => thread.loadOlder() : thread.conversationId === null ? onFind : null;
    return html`
      <p class="hint" role="alert">Could not load messages: ${thread.failure.message}.
        ${again && html`<button type="button" onClick=${again}>Try again</button>`}</p>
    `;
  }
  if (!thread.isLoaded || thread.isLoadingOlder) return html`<p class="hint">Loading…</p>`;
  if (isEmpty) return html`<p class="hint">No messages yet. Say hello.</p>`;
  return thread.hasOlder ? html`<p class="hint">Older messages above</p>` : html`<p class="hint">The beginning</p>`;
}

/**
 * Which message's menu is open, and which one the Tab key reaches: the last that was used, the newest at first.
 * @param {string | undefined} newestId
 * @returns {(id: string) => import("./message.js").Handling}
 */
function useHandling(newestId) {
  const [usedId, setUsedId] = useState(/** @type {?string} */ (null));
  const [openId, setOpenId] = useState(/** @type {?string} */ (null));
  return (id) => ({
    isStop: id === (usedId ?? newestId),
    isOpen: id === openId,
    onFocus: () => setUsedId(id === newestId ? null : id),
    onMenu: (isOpen) => setOpenId(isOpen ? id : null),
  });
}

/**
 * Which message is being edited. When that is over, the keyboard is at that message again.
 * @param {{current: any}} log
 */
function useEditing(log) {
  const [editingId, setEditingId] = useState(/** @type {?string} */ (null));
  const lastId = useRef(/** @type {?string} */ (null));
  useLayoutEffect(() => {
    const before = lastId.current;
    lastId.current = editingId;
    if (before !== null && editingId === null) log.current.querySelector(`[data-id="${before}"] .act`)?.focus();
  }, [editingId]);
  return { editingId, edit: setEditingId, stopEditing: () => setEditingId(null) };
}

/** @param {any} event */
function moveBetweenMenus(event) {
  const step = { ArrowUp: -1, ArrowDown: 1 }[/** @type {string} */ (event.key)];
  if (!step || !event.target.matches(".act")) return;
  const all = [...event.currentTarget.querySelectorAll(".act")];
  all[all.indexOf(event.target) + step]?.focus();
  event.preventDefault();
}

/** @param {Element} log */
const isScrolledToEnd = ({ scrollHeight, scrollTop, clientHeight }) =>
  scrollHeight - scrollTop - clientHeight < AT_END_WITHIN_PX;

/**
 * After each change: at the end one stays at the end, elsewhere what one reads stays where it is, whatever comes or goes
 * above it. `remember` has to be called when the reader moved. That is heard of a moment later than it happened: what
 * keeps the end in sight meanwhile must not take him back there.
 * @param {{current: HTMLElement}} log
 * @param {unknown[]} unsent
 */
function useKeptPosition(log, unsent) {
  const written = useRef(0);
  /** The first message in sight, and its place in all that can be scrolled: scrolling does not change that. */
  const kept = useRef(/** @type {?{message: Element, place: number}} */ (null));
  const offsetOf = (/** @type {Element} */ message) => message.getBoundingClientRect().top - log.current.getBoundingClientRect().top;
  const placeOf = (/** @type {Element} */ message) => offsetOf(message) + log.current.scrollTop;
  /** Where the reader is, as far as it is known: whether at the end, and how far down. */
  const known = useRef({ isAtEnd: true, top: 0 });
  const toEnd = () => {
    log.current.scrollTop = log.current.scrollHeight;
    known.current = { isAtEnd: true, top: log.current.scrollTop };
  };
  const isAtEnd = () => known.current.isAtEnd && (log.current.scrollTop >= known.current.top - 1 || isScrolledToEnd(log.current));
  const keepAtEnd = () => isAtEnd() && toEnd();
  const keep = () => {
    const message = [...log.current.querySelectorAll("[data-id]")].find((one) => offsetOf(one) >= 0);
    kept.current = message ? { message, place: placeOf(message) } : null;
  };
  useLayoutEffect(() => {
    const hasWritten = unsent.length > written.current;
    written.current = unsent.length;
    if (hasWritten || isAtEnd()) toEnd();
    else if (kept.current?.message.isConnected) log.current.scrollTop += placeOf(kept.current.message) - kept.current.place;
    keep();
  });
  const remember = () => {
    known.current = { isAtEnd: isScrolledToEnd(log.current), top: log.current.scrollTop };
    keep();
  };
  return { remember, toEnd, keepAtEnd };
}

/**
 * A conversation opens where its unread messages begin, where that is not the end of it anyway.
 * @param {{current: HTMLElement}} log
 * @param {boolean} isLoaded
 * @param {() => void} onMoved
 */
function useBeginAtUnread(log, isLoaded, onMoved) {
  useLayoutEffect(() => {
    const line = log.current.querySelector(".first-unread");
    if (!line) return;
    const offset = line.getBoundingClientRect().top - log.current.getBoundingClientRect().top;
    if (offset < 0) log.current.scrollTop += offset - log.current.clientHeight / 4;
    onMoved();
  }, [isLoaded]);
}

/**
 * The message that one came for is in the middle, and the keyboard at it, once it is there.
 * @param {{current: HTMLElement}} log
 * @param {?import("../../mail/thread.js").Sought} sought
 * @param {() => void} onMoved
 */
function useSought(log, sought, onMoved) {
  useLayoutEffect(() => {
    const message = sought?.state === "found" && log.current.querySelector(`[data-id="${sought.messageId}"]`);
    if (!message) return;
    const { top, height } = message.getBoundingClientRect();
    const frame = log.current.getBoundingClientRect();
    log.current.scrollTop += top - frame.top - Math.max(0, frame.height - height) / 2;
    /** @type {HTMLElement} */ (message).focus({ preventScroll: true });
    onMoved();
  }, [sought, sought?.state]);
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
