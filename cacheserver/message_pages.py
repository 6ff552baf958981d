"""Which messages a fetch answers with: from memory where it reaches, from the row where it does not.

Every page is the mailbox as of `as_of`, its head when the page was begun: what is committed while a read is under way
is in the delta from the token that the page returns. Where a page ends is mailbox/page_cut.py's to say.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rowbox.cacheserver.row_reader import RowReader
from rowbox.cacheserver.table import Row
from rowbox.mailbox.cells import ChangeKind, LogCell
from rowbox.mailbox.clock import US_PER_MS
from rowbox.mailbox.cursor import Cursor, CursorKind, ResetReason, from_text, reset_reason, to_text
from rowbox.mailbox.errors import BadRequest, PageTooLarge
from rowbox.mailbox.ids import ID_BYTES, ZERO_ID
from rowbox.mailbox.mailbox import Mailbox
from rowbox.mailbox.message import MessageCopy
from rowbox.mailbox.page_cut import PageCut, narrower
from rowbox.mailbox.window import Window

TOP = b"\xff" * ID_BYTES
"""Above every messageId: where a conversation's first page begins."""
LOG_COLUMNS = 500
"""Log entries read in one call."""
MAX_LOG_READS = 8
"""Calls for one delta of one conversation; a page then ends where it got to, with `has_more`."""
FIRST_SPAN_US = 3600 * 1_000_000
"""How far back the first read of the log downwards goes; it doubles where little happened and halves where much did."""


class MessagePage(NamedTuple):
    """See rowbox.cacheserver.port.Page for the fields."""

    items: Sequence[bytes]
    is_delta: bool
    token: int | None
    has_more: bool = False
    next_cursor: str | None = None
    reset: ResetReason | None = None


class MessagePages:
    """See the module's text."""

    def __init__(self, reader: RowReader) -> None:
        self._reader = reader

    def in_memory(
        self, mailbox: Mailbox, conversation_id: bytes, number: int | None, size: int, now_us: int
    ) -> MessagePage | None:
        """The first page of a conversation, if a window holds it: without awaiting anything. PageTooLarge as `first`.

        `number` is 0 where it was asked for by its number.
        """
        window = mailbox.window(conversation_id, now_us)
        copies = window.newest(None, size + 1) if window is not None else None
        if copies is None:
            return None
        start = Cursor(CursorKind.MESSAGES, mailbox.head, conversation_id, TOP)
        return _conversation_page(start, number, _cut(copies, size))

    async def first(
        self, row: Row, mailbox: Mailbox, conversation_id: bytes | None, number: int | None, size: int, now_us: int
    ) -> MessagePage:
        """Page `number`, newest first: of a conversation, or of all of them as far back as the log reaches.

        None: the first one, which may end early. PageTooLarge where a page by its number would have to.
        """
        token = None if number else mailbox.head
        skipped = (number or 0) * size
        if conversation_id is None:
            return await self._of_all(row, mailbox, mailbox.head + 1, number, size, token, now_us)
        below = None
        if skipped:
            below = await self._reader.position_of(mailbox, row.key, conversation_id, skipped, mailbox.head)
            if below is None:
                return MessagePage((), False, None)
        copies = await self._newest(row, mailbox, conversation_id, below, size + 1, now_us)
        start = Cursor(CursorKind.MESSAGES, token, conversation_id, TOP if below is None else below)
        return _conversation_page(start, number, _cut(copies, size))

    async def after(
        self, row: Row, mailbox: Mailbox, conversation_id: bytes | None, cursor_text: str, size: int, now_us: int
    ) -> MessagePage:
        """The page behind a cursor. BadRequest when it is none of this list."""
        if conversation_id is None:
            cursor = from_text(cursor_text, CursorKind.ALL_MESSAGES)
            below = int.from_bytes(_position(cursor, 8), "big")
            return await self._of_all(row, mailbox, below, None, size, cursor.token, now_us)
        cursor = from_text(cursor_text, CursorKind.MESSAGES, conversation_id)
        position = _position(cursor, ID_BYTES)
        copies = await self._newest(row, mailbox, conversation_id, position, size + 1, now_us)
        return _conversation_page(cursor, None, _cut(copies, size))

    async def since(
        self, row: Row, mailbox: Mailbox, conversation_id: bytes | None, token: int, size: int, now_us: int
    ) -> MessagePage:
        """The messages that came after `token`, oldest change first; a full first page where that cannot be said."""
        reason = reset_reason(
            token, mailbox.head, born=mailbox.born, now_us=now_us, token_life_ms=mailbox.limits.token_life_ms
        )
        if reason is not None:
            page = await self.first(row, mailbox, conversation_id, None, size, now_us)
            return page._replace(reset=reason)
        if token == mailbox.head:
            return MessagePage((), True, token)
        as_of = mailbox.head
        entries, reached = await self._messages_since(row, mailbox, conversation_id, token, size + 1, as_of)
        if len(entries) > size:
            entries, reached = entries[:size], entries[size - 1].version
        cut = _cut(await self._copies(row, mailbox, entries, as_of), size)
        if cut.has_more:
            reached = cut.copies[-1].version
        return MessagePage(_items(cut), True, reached, has_more=reached < as_of)

    async def _newest(
        self, row: Row, mailbox: Mailbox, conversation_id: bytes, below: bytes | None, count: int, now_us: int
    ) -> list[MessageCopy]:
        """The `count` newest messages of a conversation under `below`, newest first."""
        window = mailbox.window(conversation_id, now_us)
        found = window.newest(below, count) if window is not None else None
        if found is not None:
            return found
        as_of = mailbox.head
        if below is not None:
            return await self._reader.copies(mailbox, row.key, conversation_id, below, count, as_of)
        window = mailbox.window_to_fill(conversation_id)
        missed = window.missed
        copies = await self._reader.copies(mailbox, row.key, conversation_id, None, count, as_of)
        _fill(mailbox, conversation_id, window, copies, count, missed)
        return copies

    async def _messages_since(
        self, row: Row, mailbox: Mailbox, conversation_id: bytes | None, token: int, count: int, as_of: int
    ) -> tuple[list[LogCell], int]:
        """The first `count` new-message entries after `token`, upwards, and the version up to which they are all."""
        if token >= mailbox.log_floor:
            return [entry for entry in _entries_after(mailbox, token) if _is_message(entry, conversation_id)], as_of
        found: list[LogCell] = []
        reached = token
        for _ in range(MAX_LOG_READS):
            entries, reached = await self._reader.changes(mailbox, row.key, reached, as_of, LOG_COLUMNS)
            found += [entry for entry in entries if _is_message(entry, conversation_id)]
            if len(found) >= count or reached >= as_of:
                break
        return found, reached

    async def _of_all(
        self,
        row: Row,
        mailbox: Mailbox,
        below: int,
        number: int | None,
        size: int,
        token: int | None,
        now_us: int,
    ) -> MessagePage:
        """Messages of all conversations with a version under `below`, newest change first."""
        as_of = mailbox.head
        oldest = now_us - mailbox.limits.token_life_ms * US_PER_MS
        skipped = (number or 0) * size
        entries = await self._messages_under(row, mailbox, min(below, as_of + 1), oldest, skipped + size + 1)
        before, entries, has_more = entries[:skipped], entries[skipped:][:size], len(entries) > skipped + size
        cut = _cut(await self._copies(row, mailbox, entries, as_of), size)
        if number is not None and cut.has_more:
            start = Cursor(CursorKind.ALL_MESSAGES, token, b"", _place(before[-1].version if before else below))
            raise _too_large(number, size, len(cut.copies), start)
        last = entries[-1].version if entries else 0
        if cut.has_more:
            last, has_more = cut.copies[-1].version, True
        next_cursor = None
        if has_more:
            next_cursor = to_text(Cursor(CursorKind.ALL_MESSAGES, token, b"", _place(last)))
        return MessagePage(_items(cut), False, token, has_more, next_cursor)

    async def _messages_under(self, row: Row, mailbox: Mailbox, below: int, oldest: int, count: int) -> list[LogCell]:
        """The `count` newest new-message entries with oldest <= version < below, downwards.

        A row store reads columns upwards only, so the log is read in spans of time, from the newest back.
        """
        found = [
            entry for entry in reversed(mailbox.log) if oldest <= entry.version < below and _is_message(entry, None)
        ]
        floor = min(below - 1, mailbox.log_floor)
        first, span = max(oldest, mailbox.born) - 1, FIRST_SPAN_US
        while len(found) < count and floor > first:
            start = max(first, floor - span)
            entries, reached = await self._reader.changes(mailbox, row.key, start, floor, LOG_COLUMNS)
            if reached < floor and span > 1:
                span = max(1, span // 8)
                continue
            found += [entry for entry in reversed(entries) if _is_message(entry, None)]
            floor, span = start, span * 4
        return found[:count]

    async def _copies(self, row: Row, mailbox: Mailbox, entries: Sequence[LogCell], as_of: int) -> list[MessageCopy]:
        """The messages of log entries, in their order, without those that retention took."""
        held = [mailbox.copy_in_memory(entry.conversation_id, entry.message_id) for entry in entries]
        if None not in held:
            return [copy for copy in held if copy is not None]
        missing = [entry for entry, copy in zip(entries, held, strict=True) if copy is None]
        read = await self._reader.copies_of(mailbox, row.key, missing, as_of)
        both = (copy or read.get(entry.message_id) for entry, copy in zip(entries, held, strict=True))
        return [copy for copy in both if copy is not None]


def _cut(copies: Iterable[MessageCopy], size: int) -> PageCut:
    """As many of the first `copies` as a page of `size` holds."""
    cut = PageCut(size)
    for copy in copies:
        if not cut.take(copy):
            break
    return cut


def _items(cut: PageCut) -> list[bytes]:
    return [copy.json for copy in cut.copies]


def _entries_after(mailbox: Mailbox, token: int) -> list[LogCell]:
    """The log entries in memory after `token`, upwards; the caller knows that they are all."""
    found: list[LogCell] = []
    for entry in reversed(mailbox.log):
        if entry.version <= token:
            break
        found.append(entry)
    return found[::-1]


def _is_message(entry: LogCell, conversation_id: bytes | None) -> bool:
    return entry.kind is ChangeKind.MESSAGE and conversation_id in (None, entry.conversation_id)


def _conversation_page(start: Cursor, number: int | None, cut: PageCut) -> MessagePage:
    """The page that begins at `start`; PageTooLarge where it was asked for by its number and ends early."""
    if number is not None and cut.is_short:
        raise _too_large(number, cut.size, len(cut.copies), start)
    next_cursor = None
    if cut.has_more:
        next_cursor = to_text(
            Cursor(CursorKind.MESSAGES, start.token, start.conversation_id, cut.copies[-1].message_id)
        )
    return MessagePage(_items(cut), False, start.token, cut.has_more, next_cursor)


def _too_large(number: int, size: int, fitting: int, start: Cursor) -> PageTooLarge:
    """Of page `number` of `size` only the first `fitting` messages fit; `start` is where it begins."""
    page_number, page_size = narrower(number, size, fitting)
    return PageTooLarge(
        f"page {number} of {size} messages is more than 1 MiB: ask for pageNumber={page_number} with "
        f"pageSize={page_size}, or go on with the cursor",
        page_number=page_number,
        page_size=page_size,
        cursor=to_text(start),
    )


def _fill(
    mailbox: Mailbox, conversation_id: bytes, window: Window, copies: list[MessageCopy], count: int, missed: int
) -> None:
    """Keeps what a read of the newest messages gave, as far as a window goes."""
    kept = copies[: window.limit]
    reaches_start = len(copies) < count and len(kept) == len(copies)
    floor = ZERO_ID if reaches_start else _just_below(kept[-1].message_id)
    mailbox.fill_window(conversation_id, window, kept[::-1], floor, missed)


def _just_below(message_id: bytes) -> bytes:
    return (int.from_bytes(message_id, "big") - 1).to_bytes(ID_BYTES, "big")


def _place(version: int) -> bytes:
    """The position of a cursor through all messages: below `version`."""
    return version.to_bytes(8, "big")


def _position(cursor: Cursor, length: int) -> bytes:
    if len(cursor.position) != length:
        raise BadRequest("cursor is not one that this call has given")
    return cursor.position
