"""Which messages a fetch answers with: from memory where it reaches, from the row where it does not.

Every page is the mailbox as of its View's `as_of`, its head when the page was begun: what is committed while a read
is under way is in the delta from the token that the page returns. Where a page ends is page_cut.py's to say.
"""

from collections.abc import Sequence

import msgspec

from rowbox.cacheserver.clocks import NowUs
from rowbox.cacheserver.fetch.log_tail import LOG_COLUMNS, LogTail, is_message
from rowbox.cacheserver.fetch.page_reader import PageReader
from rowbox.cacheserver.rows.view import View
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.cells import LogCell
from rowbox.mailbox.clocks.clock import US_PER_MS
from rowbox.mailbox.errors import BadRequest, PageTooLarge
from rowbox.mailbox.ids import ID_BYTES, ZERO_ID
from rowbox.mailbox.message import MessageCopy
from rowbox.mailbox.pages.cursor import Place, ResetReason, reset_reason
from rowbox.mailbox.pages.page_cut import PageCut, narrower
from rowbox.mailbox.pages.page_request import PageRequest

TOP = b"\xff" * ID_BYTES
"""Above every messageId: where a conversation's first page begins."""
MAX_LOG_READS = 8
"""Calls for the log entries of one delta; after so many the delta ends where it got to, with `has_more`."""
MAX_TAIL_READS = 20
"""Calls for the log entries of one page of all messages; one or two are the rule (log_tail.py)."""


class MessagePage(msgspec.Struct, frozen=True, gc=False):
    """See rowbox.cacheserver.port.Page for the fields; `token` is the version that the page's token names."""

    items: Sequence[bytes]
    is_delta: bool
    token: int | None
    has_more: bool = False
    next_cursor: str | None = None
    reset: ResetReason | None = None
    lacks: bool = False
    """Of a first page: it may be without a message that has been there all the time. One that was changed while the
    page was read, so that its cell of before is gone, is in the delta alone. Or retention has taken it."""


class MessagePages:
    """Makes pages of messages: of a conversation, or of all of them as far back as the log reaches."""

    def __init__(self, reader: PageReader, latest_us: NowUs) -> None:
        """`latest_us` gives the latest time that it may be: what has expired by it may be gone from the log."""
        self._latest_us = latest_us
        self._reader = reader
        self._tail = LogTail(reader)

    def in_memory(self, mailbox: Mailbox, asked: PageRequest, now_us: int) -> MessagePage | None:
        """The first page of a conversation, if a window holds it: without awaiting anything. PageTooLarge as `page`."""
        assert asked.bookmarks.conversation_id is not None
        window = mailbox.window(asked.bookmarks.conversation_id, now_us)
        if window is None:
            return None
        cut = PageCut(asked.size, asked.max_bytes)
        if cut.take_all(window.newest(None, asked.size + 1)) and not window.is_whole:
            return None  # whether there are more, only the row says
        return _conversation_page(asked, Place(mailbox.head, TOP), cut)

    async def page(self, view: View, asked: PageRequest) -> MessagePage:
        """The page that is asked for, newest first, or what came since a token, oldest change first.

        PageTooLarge where a page by its number would have to end early; BadRequest when the list has no such place.
        """
        start = asked.start
        if isinstance(start, ResetReason):
            return msgspec.structs.replace(await self._first(view, asked), reset=start)
        if isinstance(start, Place):
            return await self._after(view, asked, start)
        return await (self._since(view, asked, start) if start is not None else self._first(view, asked))

    async def _first(self, view: View, asked: PageRequest) -> MessagePage:
        """The page by its number; where it was not asked for by one, the first."""
        token = None if asked.number else view.as_of
        conversation_id = asked.bookmarks.conversation_id
        if conversation_id is None:
            return await self._of_all(view, asked, Place(token, _place(view.as_of + 1)))
        below = None
        if asked.number:
            below = await self._reader.position_of(view, conversation_id, asked.number * asked.size)
            if below is None:
                return MessagePage((), False, None)
        cut = await self._newest(view, conversation_id, below, asked)
        return _conversation_page(asked, Place(token, TOP if below is None else below), cut)

    async def _after(self, view: View, asked: PageRequest, place: Place) -> MessagePage:
        """The page behind the place of a cursor."""
        conversation_id = asked.bookmarks.conversation_id
        if conversation_id is None:
            return await self._of_all(view, asked, place)
        cut = await self._newest(view, conversation_id, _position(place, ID_BYTES), asked)
        return _conversation_page(asked, place, cut)

    async def _since(self, view: View, asked: PageRequest, token: int) -> MessagePage:
        """The messages that came after `token`, oldest change first; a full first page where that cannot be said."""
        mailbox, as_of, size = view.mailbox, view.as_of, asked.size
        reason = reset_reason(
            token, as_of, born=mailbox.born, now_us=self._latest_us(), token_life_ms=mailbox.limits.token_life_ms
        )
        if reason is not None:
            return msgspec.structs.replace(await self._first(view, asked), reset=reason)
        if token == as_of:
            return MessagePage((), True, token)
        start = max(token, min(view.horizon, as_of))  # retention has taken what is before that
        entries, reached = await self._messages_since(view, asked.bookmarks.conversation_id, start, size + 1)
        if len(entries) > size:
            entries, reached = entries[:size], entries[size - 1].version
        cut = PageCut(size, asked.max_bytes)
        await self._reader.of_entries(view, entries, cut)
        if cut.has_more:
            reached = cut.copies[-1].version
        return MessagePage(_items(cut), True, reached, has_more=reached < as_of)

    async def _newest(self, view: View, conversation_id: bytes, below: bytes | None, asked: PageRequest) -> PageCut:
        """A page of a conversation's newest messages under `below`: those in memory, and from the row what follows."""
        cut, mailbox = PageCut(asked.size, asked.max_bytes), view.mailbox
        window = mailbox.window(conversation_id, view.now_us)
        if window is None and below is None:
            window = mailbox.window_to_fill(conversation_id)
        if window is None or (below is not None and below <= window.floor):
            await self._reader.newest(view, conversation_id, below, cut)
            return cut
        if not cut.take_all(window.newest(below, asked.size + 1)) or window.is_whole:
            return cut
        held, missed = len(cut.copies), window.missed
        is_current = view.as_of == mailbox.head  # else the row is read as it was before what the window holds
        if held:
            below = _just_above(
                window.floor
            )  # else from the top: late writes above all that count are met, and removed
        is_all = await self._reader.newest(view, conversation_id, below, cut)
        older = cut.copies[held:]
        kept = older[: window.room]
        floor = _floor_below(kept, is_all=is_all and len(kept) == len(older))
        if is_current and floor is not None:
            mailbox.fill_window(conversation_id, window, kept[::-1], floor, missed)
        return cut

    async def _messages_since(
        self, view: View, conversation_id: bytes | None, token: int, count: int
    ) -> tuple[list[LogCell], int]:
        """The first `count` new-message entries after `token`, upwards, and the version up to which they are all."""
        if token >= view.mailbox.log_floor:
            entries = view.mailbox.changes_after(token)
            return [entry for entry in entries if is_message(view, entry, conversation_id)], view.as_of
        found: list[LogCell] = []
        reached = token
        for _ in range(MAX_LOG_READS):
            entries, reached = await self._reader.changes(view, reached, view.as_of, LOG_COLUMNS)
            found += [entry for entry in entries if is_message(view, entry, conversation_id)]
            if len(found) >= count or reached >= view.as_of:
                break
        return found, reached

    async def _of_all(self, view: View, asked: PageRequest, start: Place) -> MessagePage:
        """Messages of all conversations with a version under that of `start`, newest change first."""
        size = asked.size
        oldest = max(view.now_us - view.mailbox.limits.token_life_ms * US_PER_MS, view.horizon + 1)
        skipped = (asked.number or 0) * size
        below = min(int.from_bytes(_position(start, 8), "big"), view.as_of + 1)
        most_reads = MAX_TAIL_READS if asked.number is None else None
        tail = await self._tail.newest(view, below, oldest, skipped + size + 1, most_reads)
        before, entries = tail.entries[:skipped], tail.entries[skipped:][:size]
        cut = PageCut(size, asked.max_bytes)
        await self._reader.of_entries(view, entries, cut)
        if asked.number is not None and cut.has_more:
            raise _too_large(asked, start._replace(position=_place(before[-1].version if before else below)), cut)
        if cut.has_more:
            last: int | None = cut.copies[-1].version
        elif len(tail.entries) > skipped + size:
            last = entries[-1].version
        else:
            last = None if tail.is_all else tail.floor + 1
        next_cursor = None
        if last is not None:
            next_cursor = asked.bookmarks.cursor(start.token, _place(last))
        is_first = below > view.as_of and not skipped  # else what was changed before has its entry on another page
        lacks = is_first and len(cut.copies) < len(entries) and _lacks_one_of(cut, entries)
        return MessagePage(_items(cut), False, start.token, next_cursor is not None, next_cursor, lacks=lacks)


def _lacks_one_of(cut: PageCut, entries: Sequence[LogCell]) -> bool:
    """Whether a page is without a message that these entries tell of, as far as it goes."""
    last = cut.copies[-1].version if cut.has_more else 0
    held = {copy.message_id for copy in cut.copies}
    return any(entry.message_id not in held for entry in entries if entry.version >= last)


def _items(cut: PageCut) -> list[bytes]:
    return [copy.json for copy in cut.copies]


def _conversation_page(asked: PageRequest, start: Place, cut: PageCut) -> MessagePage:
    """The page that begins at `start`; PageTooLarge where it was asked for by its number and ends early."""
    if asked.number is not None and cut.is_short:
        raise _too_large(asked, start, cut)
    next_cursor = asked.bookmarks.cursor(start.token, cut.copies[-1].message_id) if cut.has_more else None
    return MessagePage(_items(cut), False, start.token, cut.has_more, next_cursor)


def _too_large(asked: PageRequest, start: Place, cut: PageCut) -> PageTooLarge:
    """Of a page by its number only what is in `cut` fits; `start` is where the page begins."""
    number, size = asked.number or 0, asked.size
    page_number, page_size = narrower(number, size, len(cut.copies))
    most = f"{asked.max_bytes >> 20} MiB" if asked.max_bytes >> 20 else f"{asked.max_bytes >> 10} KiB"
    return PageTooLarge(
        f"page {number} of {size} messages is more than {most}: ask for pageNumber={page_number} with "
        f"pageSize={page_size}, or go on with the cursor",
        page_number=page_number,
        page_size=page_size,
        cursor=asked.bookmarks.cursor(*start),
    )


def _floor_below(kept: Sequence[MessageCopy], *, is_all: bool) -> bytes | None:
    """The floor of a window that keeps these too, newest first; None: they change nothing. `is_all`: none is below."""
    if is_all:
        return ZERO_ID
    return _just_below(kept[-1].message_id) if kept else None


def _just_below(message_id: bytes) -> bytes:
    return (int.from_bytes(message_id, "big") - 1).to_bytes(ID_BYTES, "big")


def _just_above(message_id: bytes) -> bytes:
    return (int.from_bytes(message_id, "big") + 1).to_bytes(ID_BYTES, "big")


def _place(version: int) -> bytes:
    """The position of a cursor through all messages: below `version`."""
    return version.to_bytes(8, "big")


def _position(place: Place, length: int) -> bytes:
    if len(place.position) != length:
        raise BadRequest("cursor is not one that this call has given")
    return place.position
