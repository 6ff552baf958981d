"""Has indexes take in what they lack, in steps: what changed since they were asked last, and then what came before.

A step takes some milliseconds: messages are read from the mailbox's row as pages are, in slices of the loop, and their
words are found and written in a worker. A search that finds its index behind takes steps itself, for as long as it may;
what is missing then is taken in by rounds in the background, one step of one index after the other, which leave the
server most of its time.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.clocks import NowUs
from rowbox.cacheserver.fetch.log_tail import LOG_COLUMNS
from rowbox.cacheserver.fetch.page_reader import PageReader
from rowbox.cacheserver.rows.view import View
from rowbox.cacheserver.search.build import Build, Part
from rowbox.cacheserver.search.index_file import IndexFile, IndexLost, Words
from rowbox.cacheserver.search.indexes import Index, Indexes, NoRoom
from rowbox.cacheserver.search.shown import shown_of
from rowbox.cacheserver.stores.port import Column
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.cells import LogCell, MessageCell
from rowbox.mailbox.errors import HandoverInProgress
from rowbox.mailbox.message import MessageCopy
from rowbox.mailbox.pages.cursor import reset_reason
from rowbox.mailbox.pages.feed import tells_of_a_message
from rowbox.mailbox.pages.page_cut import PageCut

MOST_MESSAGES: Final = 500_000
"""That an index takes in; older ones are not found."""
STEP_MESSAGES: Final = 256
STEP_BYTES: Final = 64 * 1024
"""Of values; a part of a row begins with one, whatever its size."""
STEP_S: Final = 0.02
"""After so long a step over many small conversations ends."""
LOG_MESSAGES: Final = 128
LOG_BYTES: Final = 256 * 1024
"""Messages of log entries in a step."""
PAUSE_SHARE: Final = 1.0
"""How long the rounds pause behind a step, as a share of what it took."""
TIDY_S: Final = 60.0
"""How often it is looked for indexes that have to go."""


class Upkeep:
    """Has the indexes of one owner take in what they lack."""

    def __init__(self, indexes: Indexes, table: Table, reader: PageReader, seen_us: NowUs, latest_us: NowUs) -> None:
        self._indexes = indexes
        self._table = table
        self._reader = reader
        self._seen_us = seen_us
        self._latest_us = latest_us
        self._turn = 0
        self._tidied_s = float("-inf")
        self.loop = BackgroundLoop("search-indexes", self._round)
        self.taken_in = 0
        """Messages that indexes have taken in."""

    async def step(self, index: Index) -> None:
        """Takes in some of what the index lacks. IndexLost, NoRoom, and what loading and reading the mailbox raise."""
        async with index.lock:
            row, mailbox = await self._table.loaded(index.user_id)
            if index.epoch != mailbox.epoch or not self._reaches(index.file, mailbox):
                raise IndexLost("the mailbox's log does not tell all that changed since")
            view = View(row.key, mailbox, self._seen_us())
            try:
                if index.file.checkpoint < view.as_of:
                    await self._take_in_news(index, view)
                elif not index.build.is_over:
                    await self._take_in_older(index, view)
            except HandoverInProgress:
                self._table.drop_replaced(row, mailbox)
                raise

    async def _take_in_news(self, index: Index, view: View) -> None:
        """Takes in the first changes behind the index' checkpoint."""
        after, mailbox = index.file.checkpoint, view.mailbox
        if after >= mailbox.log_floor:
            entries, reached = mailbox.changes_after(after), view.as_of
        else:
            entries, reached = await self._reader.changes(view, after, view.as_of, LOG_COLUMNS)
        entries, reached = _first(entries, reached)
        cut = PageCut(LOG_MESSAGES, LOG_BYTES)
        told = [one for one in entries if tells_of_a_message(one, view.horizon, view.now_us, view.floors)]
        await self._reader.of_entries(view, told, cut)
        if cut.has_more:
            reached = cut.copies[-1].version
        lives = [(copy.came, copy.expires_us) for copy in cut.copies]
        await self._add(index, partial(_of_copies, cut.copies), lives, reached)
        if index.build.is_over and index.file.size_bytes > self._indexes.most_bytes:
            self._indexes.drop(index)  # one alone has outgrown all the room: a new one is made with half of it

    async def _take_in_older(self, index: Index, view: View) -> None:
        """Takes in the newest of the messages that the index lacks."""
        loop = asyncio.get_running_loop()
        build, began_s = index.build, loop.time()
        taken: list[Part] = []
        left: list[Part] = []
        columns: list[Column] = []
        room_bytes = STEP_BYTES
        try:
            while not build.is_over and len(columns) < STEP_MESSAGES and room_bytes > 0:
                if taken and loop.time() - began_s >= STEP_S:
                    break
                part = build.next()
                taken.append(part)
                some, following = await self._reader.newest_columns(
                    view, part.start, part.stop, STEP_MESSAGES - len(columns), room_bytes
                )
                columns += some
                room_bytes -= sum(len(value) for _, value in some)
                if following is not None:
                    left.append(build.rest(part, following))
            lives = [keys.message_stamp(qualifier)[2:] for qualifier, _ in columns]
            await self._add(index, partial(_of_columns, columns), lives)
        except BaseException:
            for part in taken:  # whatever of it is in the index by now may be added twice
                build.put(part)
            raise
        for part in left:
            build.put(part)
        if index.count >= MOST_MESSAGES or index.file.size_bytes > self._indexes.most_bytes // 2:
            index.build, index.is_capped = Build(()), True

    async def _add(
        self,
        index: Index,
        read: Callable[[], Iterator[Words]],
        lives: Sequence[tuple[int, int]],
        checkpoint: int | None = None,
    ) -> None:
        """Adds what `read` gives, in a worker. `lives`: as of Index.took."""
        self._indexes.note_open(index)
        count = await self._indexes.at_the_device(lambda: index.file.add(read(), checkpoint))
        index.took(lives, count)
        self.taken_in += count
        self._indexes.make_room()

    def _reaches(self, file: IndexFile, mailbox: Mailbox) -> bool:
        """Whether the log tells all that changed since the index was told of changes last."""
        life_ms, now_us = mailbox.limits.token_life_ms, self._latest_us()
        reason = reset_reason(file.checkpoint, mailbox.head, born=mailbox.born, now_us=now_us, token_life_ms=life_ms)
        return reason is None

    async def _round(self) -> float:
        """One step of one index; or what has to go is looked for, where there is nothing to take in."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        if began_s - self._tidied_s >= TIDY_S:
            self._tidied_s = began_s
            try:
                await self._indexes.tidy()
            except NoRoom:
                return TIDY_S
        unfinished = self._indexes.unfinished()
        if not unfinished:
            return TIDY_S
        self._turn = (self._turn + 1) % len(unfinished)
        index = unfinished[self._turn]
        try:
            await self.step(index)
        except (IndexLost, NoRoom):
            self._indexes.drop_lost(index)
        except BaseException:
            self._indexes.drop(index)  # its next search begins anew, so a mailbox that cannot be read is not read again
            raise
        return (loop.time() - began_s) * PAUSE_SHARE


def _of_columns(columns: Iterable[Column]) -> Iterator[Words]:
    for column in columns:
        cell = codec.decode(Family.MESSAGES, *column)
        assert isinstance(cell, MessageCell)
        if cell.content:  # else it was unsent, or is a system message
            place = cell.message_id, cell.conversation_id
            stamp = cell.epoch, cell.version, cell.came, cell.expires_us
            yield Words(*place, *stamp, cell.sender_id, cell.content)


def _of_copies(copies: Iterable[MessageCopy]) -> Iterator[Words]:
    for copy in copies:
        shown = shown_of(copy)
        if shown.message_content:
            place = copy.message_id, bytes.fromhex(shown.conversation_id)
            stamp = copy.epoch, copy.version, copy.came, copy.expires_us
            yield Words(*place, *stamp, shown.sender_id, shown.message_content)


def _first(entries: list[LogCell], reached: int) -> tuple[list[LogCell], int]:
    """The first entries, as many as a step takes, and the version up to which they are all."""
    if len(entries) <= LOG_MESSAGES:
        return entries, reached
    return entries[:LOG_MESSAGES], entries[LOG_MESSAGES - 1].version
