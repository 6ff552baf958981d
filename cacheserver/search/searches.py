"""Answers searches: the index says which messages may have what is looked for, and the mailbox says which have it.

So what a user is shown is what a fetch would show him: an index that lags, or lies, shows nothing wrong. It may only
lack something, and then the answer says so.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from rowbox.cacheserver.access.revocations import Revocations
from rowbox.cacheserver.background import background_samples
from rowbox.cacheserver.budget import Budget
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.clocks import Time
from rowbox.cacheserver.fetch.page_reader import PageReader
from rowbox.cacheserver.port import Found, Search
from rowbox.cacheserver.rate_limit import RateLimits
from rowbox.cacheserver.rows.view import View
from rowbox.cacheserver.samples import Sample
from rowbox.cacheserver.search.folder import IndexFolder
from rowbox.cacheserver.search.index_file import (
    LAST_PLACE,
    Candidate,
    IndexLost,
    Wanted,
    first_place_at,
    place_of,
    what_is_missing,
)
from rowbox.cacheserver.search.indexes import Index, Indexes, NoRoom
from rowbox.cacheserver.search.shown import shown_of
from rowbox.cacheserver.search.upkeep import Upkeep
from rowbox.cacheserver.search.workers import Workers
from rowbox.cacheserver.turns import Turns
from rowbox.mailbox.cells import ChangeKind, LogCell
from rowbox.mailbox.errors import (
    BadRequest,
    HandoverInProgress,
    Overloaded,
    SearchOff,
    SearchUnavailable,
    UnknownConversation,
)
from rowbox.mailbox.ids import ID_BYTES
from rowbox.mailbox.message import MessageCopy
from rowbox.mailbox.pages.cursor import Bookmarker, Bookmarks, ListKind, ResetReason
from rowbox.mailbox.pages.page_cut import PageCut
from rowbox.mailbox.search.query import Query
from rowbox.mailbox.settings.config import Settings

PATIENCE_S: Final = 0.2
"""For so long a search takes in what its index lacks."""
MOST_CANDIDATES: Final = 1_000
"""That a search holds against the mailbox; its page ends behind them, and the next one goes on there."""
LOOK_AT: Final = 50
"""Candidates in a slice of the loop."""
LOOK_AT_BYTES: Final = 256 * 1024
"""Of messages in a slice of the loop: to spell a text as it is compared takes up to a microsecond a byte."""
MOST_BYTES: Final = 2 * 1024 * 1024
"""Of messages that a search holds against what is looked for; its page ends there too, and the next one goes on."""
BYTES_PER_TOKEN: Final = 256 * 1024
"""Of messages that a search holds against what is looked for: for each as many its user pays for a search more."""
MOST_AT_ONCE: Final = 64
"""Searches under way; more are refused. Once half of them are, each user may have an eighth."""
MOST_TRIES: Final = 3
RETRY_AFTER_MS: Final = 1_000

_REMOVES_WORDS: Final = frozenset({ChangeKind.EDIT, ChangeKind.UNSEND})

log = logging.getLogger(__name__)


class SearchPlace(NamedTuple):
    """Where an owner's indexes are: below which folder, and who works at them."""

    folder: Path
    workers: Workers


class Searches:
    """Answers the searches of one owner's users. `start` before the first of them, `close` after the last."""

    def __init__(
        self,
        place: SearchPlace,
        table: Table,
        reader: PageReader,
        revocations: Revocations,
        time: Time,
        limits: RateLimits,
        settings: Settings,
    ) -> None:
        self._table = table
        self._reader = reader
        self._revocations = revocations
        self._seen_us = time.seen_us
        self._limits = limits
        self._bookmarker = Bookmarker(b"")
        self._turns = Turns()
        self._loop = asyncio.get_running_loop()
        self._workers = place.workers
        self._folder = IndexFolder(place.folder)
        self.indexes = Indexes(
            self._folder,
            self._workers,
            most_bytes=settings.search.bytes,
            min_free_bytes=settings.search.min_free_bytes,
            retention_ms=settings.store.retention_ms,
            now_us=time.seen_us,
        )
        self.upkeep = Upkeep(self.indexes, table, reader, time.seen_us, time.latest_us)
        self._lacks: str | None = None
        """What makes searches impossible here; "" nothing, None where it was not looked yet."""
        self._under_way: dict[str, int] = {}
        """By user: searches that are under way."""
        self._room = Budget(MOST_AT_ONCE, MOST_AT_ONCE)
        self.begun = 0
        """Searches that were asked for, and were not refused for their rate."""
        self.incomplete = 0
        """Those of them that were answered before their index had everything."""
        self.candidates = 0
        """Messages that indexes named."""

    def start(self, history: bytes) -> None:
        """Begins the background work. `history` is the store's."""
        self._bookmarker = Bookmarker(history)
        if self._folder.may_hold_leftovers():
            self._workers.begin(self._tidy_folder)
        self.upkeep.loop.start()

    async def close(self) -> None:
        """Ends the background work and throws all indexes away."""
        await self.upkeep.loop.close()
        await self._workers.close(self._folder.remove)

    def changed(self, user_id: str, entries: Iterable[LogCell]) -> None:
        """Is told of what was written to a mailbox: words of messages that were unsent or edited do not stay."""
        if any(entry.kind in _REMOVES_WORDS for entry in entries):
            self.indexes.note_removed(user_id)

    async def search(self, request: Search) -> Found:
        """See MailboxPort."""
        user_id, bearer = request.user_id, request.bearer
        if bearer is not None and not self._revocations.is_admitted(user_id, bearer):
            await self._revocations.admit_other(bearer)
        quota = self._limits.take("search", user_id)
        self.begun += 1
        asked = self._read(request)
        grant = self._table.admitted(user_id).grant
        _, mailbox = await self._table.loaded(user_id)
        self._revocations.check(mailbox, bearer)
        if request.conversation_id is not None and request.conversation_id not in mailbox.index:
            grant.check()
            raise UnknownConversation("no such conversation")
        await self._check_possible()
        own = self._under_way.get(user_id, 0)
        if self._room.refuses(own, own):
            raise Overloaded("too many searches are under way", retry_after_ms=RETRY_AFTER_MS)
        self._under_way[user_id] = own + 1
        self._room.add(1)
        try:
            page, cost = await self._page(user_id, asked)
        finally:
            self._room.remove(1)
            self._under_way[user_id] -= 1
            if not self._under_way[user_id]:
                del self._under_way[user_id]
        quota = self._limits.charge("search", user_id, cost, quota)
        self._revocations.check_again(bearer)
        grant.check()
        self.incomplete += not page.is_complete
        next_cursor = None if page.behind is None else asked.bookmarks.cursor(page.as_of, page.behind)
        return Found([copy.json for copy in page.copies], page.is_complete, page.as_of, next_cursor, quota)

    def _read(self, request: Search) -> "_Asked":
        """BadRequest for what is no search, and for the cursor of another one."""
        query = Query(request.text)
        of_list = msgspec.msgpack.encode(
            (query.spelled, request.conversation_id, request.sender_id, request.after, request.before)
        )
        list_id = blake2b(of_list, digest_size=ID_BYTES).digest()
        bookmarks = self._bookmarker.of(request.user_id, ListKind.SEARCH, list_id)
        below, last_place = None, LAST_PLACE
        if request.before is not None:
            last_place = first_place_at(request.before) - 1
        if request.cursor is not None:
            start = bookmarks.read_cursor(request.cursor)
            if isinstance(start, ResetReason):
                raise BadRequest("cursor is of another time of the store: search again without it")
            below = start.position
            if len(below) != ID_BYTES:
                raise BadRequest("cursor is not one that this call has given")
            last_place = min(last_place, place_of(below))
        first_place = 0 if request.after is None else first_place_at(request.after + 1)
        wanted = Wanted(query, request.conversation_id, request.sender_id, first_place, last_place)
        return _Asked(wanted, below, request.page_size, request.max_bytes, bookmarks)

    async def _check_possible(self) -> None:
        if self._lacks is None:
            self._lacks = await self._workers.run(what_is_missing) or ""
            if self._lacks:
                log.warning("nobody can search here: %s", self._lacks)
        if self._lacks:
            raise SearchOff("this server cannot search: its SQLite has no full-text index")

    async def _page(self, user_id: str, asked: "_Asked") -> tuple["_Page", int]:
        """The page, and what it cost beside the search itself. SearchUnavailable where no index can be had."""
        deadline_s = self._loop.time() + PATIENCE_S
        _, mailbox = await self._table.loaded(user_id)
        head, cost = mailbox.head, 0
        for tries_left in reversed(range(MOST_TRIES)):
            index = None
            try:
                index = await self.indexes.of(mailbox)
                await self._bring_up(index, head, deadline_s)
                row, mailbox = await self._table.loaded(user_id)
                view = View(row.key, mailbox, self._seen_us())
                try:
                    page = await self._look(index, view, asked, is_complete=index.is_current(head))
                except HandoverInProgress:
                    self._table.drop_replaced(row, mailbox)
                    raise
            except NoRoom as error:
                raise SearchUnavailable(str(error), retry_after_ms=60 * RETRY_AFTER_MS) from error
            except IndexLost as error:
                if index is not None:
                    log.info("the search index of a mailbox is made anew: %s", error)
                    self.indexes.drop_lost(index)
                if not tries_left:
                    raise SearchUnavailable(f"a search index: {error}", retry_after_ms=RETRY_AFTER_MS) from error
                continue
            cost += view.cost + page.looked_at_bytes // BYTES_PER_TOKEN
            if page.lacks and tries_left:
                head = mailbox.head
                continue
            return page, cost
        raise AssertionError

    async def _bring_up(self, index: Index, head: int, deadline_s: float) -> None:
        """Has the index take in what it lacks, until it has all up to `head` or the time is over."""
        index.wanted = max(index.wanted, head)
        while not index.is_current(head):
            await self.upkeep.step(index)
            if self._loop.time() >= deadline_s:
                self.upkeep.loop.wake()
                return

    async def _look(self, index: Index, view: View, asked: "_Asked", *, is_complete: bool) -> "_Page":
        """What the mailbox has of that what the index names."""
        self.indexes.note_open(index)  # other searches may have had it closed meanwhile
        named = await self._workers.run(partial(index.file.candidates, asked.wanted, MOST_CANDIDATES))
        self.candidates += len(named)
        candidates = [one for one in named if asked.below is None or one.message_id < asked.below]
        cut, lacks, place, looked_at = PageCut(asked.page_size, asked.max_bytes), False, 0, 0
        while place < len(candidates):
            await self._turns.next()
            some = candidates[place : place + LOOK_AT]
            part = PageCut(LOOK_AT, LOOK_AT_BYTES)
            await self._reader.of_entries(view, [_entry(one) for one in some if _is_there(view, one)], part)
            if part.has_more:
                ids = [one.message_id for one in some]
                some = some[: ids.index(part.copies[-1].message_id) + 1]
            place += len(some)
            looked_at += sum(len(copy.json) for copy in part.copies)
            hits = [
                copy for copy in part.copies if view.is_there(copy.came, copy.expires_us) and _has(copy, asked.wanted)
            ]
            if not cut.take_all(hits):
                return _Page(cut.copies, cut.copies[-1].message_id, view.as_of, is_complete, lacks, looked_at)
            lacks = lacks or (len(part.copies) < len(some) and view.mailbox.head > view.as_of)
            if looked_at >= MOST_BYTES and place < len(candidates):
                return _Page(cut.copies, candidates[place - 1].message_id, view.as_of, is_complete, lacks, looked_at)
        behind = named[-1].message_id if len(named) == MOST_CANDIDATES else None
        return _Page(cut.copies, behind, view.as_of, is_complete, lacks, looked_at)

    def samples(self) -> Iterable[Sample]:
        """What is counted of searches and their indexes."""
        indexes, upkeep = self.indexes, self.upkeep
        yield "rowbox_searches_total", "counter", "Searches that were asked of this server's mailboxes.", {}, self.begun
        text = "Searches that were answered before their index had all of the mailbox."
        yield "rowbox_searches_incomplete_total", "counter", text, {}, self.incomplete
        text = "Messages that indexes named and that were looked at in the mailbox."
        yield "rowbox_search_candidates_total", "counter", text, {}, self.candidates
        yield "rowbox_search_indexes", "gauge", "Mailboxes that have a search index.", {}, len(indexes)
        text = "Search indexes that lack messages that were looked for."
        yield "rowbox_search_indexes_unfinished", "gauge", text, {}, len(indexes.unfinished())
        yield "rowbox_search_bytes", "gauge", "What the files of search indexes take.", {}, indexes.size_bytes
        text = "What the files of search indexes may take: search.bytes."
        yield "rowbox_search_limit_bytes", "gauge", text, {}, indexes.most_bytes
        text = "Search indexes that were begun, of mailboxes that had none or had lost theirs."
        yield "rowbox_search_indexes_made_total", "counter", text, {}, indexes.made
        text = "Search indexes that were thrown away because their file failed, or their device had no room."
        yield "rowbox_search_indexes_lost_total", "counter", text, {}, indexes.lost
        text = "Messages that search indexes have taken in."
        yield "rowbox_search_messages_total", "counter", text, {}, upkeep.taken_in
        yield from background_samples((upkeep.loop,))

    def _tidy_folder(self) -> None:
        try:
            self._folder.tidy()
        except OSError as error:
            log.warning("the folder of the search indexes: %s", error)


class _Asked(NamedTuple):
    """A search, read."""

    wanted: Wanted
    below: bytes | None
    page_size: int
    max_bytes: int
    bookmarks: Bookmarks


class _Page(NamedTuple):
    """What a search gives. `lacks`: a message was changed while it was looked at, and may be missing."""

    copies: Sequence[MessageCopy]
    behind: bytes | None
    """The messageId behind which the next page begins; None: there is none."""
    as_of: int
    is_complete: bool
    lacks: bool
    looked_at_bytes: int
    """Of the messages that were held against what is looked for."""


def _is_there(view: View, one: Candidate) -> bool:
    is_deleted = one.came <= view.floors.get(one.conversation_id, 0)
    return view.is_there(one.came, one.ends_us) and not is_deleted and one.conversation_id in view.mailbox.index


def _entry(one: Candidate) -> LogCell:
    """A candidate as the log entry of its newest change: so it is read as deltas are."""
    first_version = 0 if one.came == one.version else one.came
    told = ChangeKind.MESSAGE, one.conversation_id, one.message_id
    return LogCell(one.version, one.epoch, *told, first_version, one.ends_us)


def _has(copy: MessageCopy, wanted: Wanted) -> bool:
    """Whether a message is what is wanted, by itself."""
    shown = shown_of(copy)
    if wanted.conversation_id is not None and shown.conversation_id != wanted.conversation_id.hex():
        return False
    if wanted.sender_id is not None and shown.sender_id != wanted.sender_id:
        return False
    if not wanted.first_place <= place_of(copy.message_id) <= wanted.last_place:
        return False
    return bool(shown.message_content) and wanted.query.is_in(shown.message_content)
