"""The newest entries of a log that can be read upwards only: in spans of versions, from the newest back.

How many entries a span holds is not known before it is read (Spans). A log of 500 entries or less is one read, a longer
one mostly two; one that is nothing but bursts, up to twenty (test_spans.py). What is read is kept in memory,
as far as the mailbox keeps a log, so the next page of the newest reads nothing of it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rowbox.cacheserver.fetch.page_reader import PageReader
from rowbox.cacheserver.rows.view import View
from rowbox.mailbox.cells import ChangeKind, LogCell
from rowbox.mailbox.pages.feed import tells_of_a_message

LOG_COLUMNS = 500
"""Log entries read in one call."""
AIM_COLUMNS = 300
"""Entries that a span is meant to hold: a guess that is too low by half is not cut."""


class Tail(NamedTuple):
    """New messages, newest first: all whose version is above `floor`. `is_all`: there are none below either."""

    entries: list[LogCell]
    floor: int
    is_all: bool


class LogTail:
    """Reads the newest entries of a row's log, of one row after the other."""

    def __init__(self, reader: PageReader) -> None:
        self._reader = reader

    async def newest(self, view: View, below: int, oldest: int, count: int, most_reads: int | None) -> Tail:
        """The `count` newest new-message entries with oldest <= version < below, downwards.

        After `most_reads` reads, the entries that were found by then; None: it reads as often as it takes.
        """
        mailbox = view.mailbox
        found: list[LogCell] = []
        for entry in reversed(mailbox.log):
            if entry.version < oldest or len(found) > count:
                break
            if entry.version < below and is_message(view, entry, None):
                found.append(entry)
        begin = min(below - 1, mailbox.log_floor)
        spans = Spans(max(oldest, mailbox.born) - 1, begin, _gap(mailbox.log) if len(mailbox.log) > 1 else None)
        reads = 0
        while len(found) < count and not spans.is_over:
            if most_reads is not None and reads >= most_reads and spans.floor < begin:
                break
            start, floor = spans.start, spans.floor
            entries, reached = await self._reader.changes(view, start, floor, LOG_COLUMNS)
            reads += 1
            if reached < floor:
                spans.note_cut(entries, reached)
                continue
            spans.note_whole()
            mailbox.extend_log_back(entries, start, floor)
            found += [entry for entry in reversed(entries) if is_message(view, entry, None)]
        return Tail(found[:count], spans.floor, is_all=len(found) <= count and spans.is_over)


class Spans:
    """Which span to read next: from behind `start` to `floor`, above which all is known. Pure.

    A read that was cut has seen the first entries behind `start`, up to a wall, and how close together they are there.
    What lies between the wall and the floor is looked for once from the floor, as if all were as close together, and
    then from the wall, with steps that double: so a burst is crossed in few reads, however long the silence above it.
    """

    __slots__ = ("_first", "_gap", "_has_looked_from_floor", "_step", "_wall", "floor", "start")

    def __init__(self, first: int, floor: int, gap: int | None) -> None:
        """Of the versions above `first` up to `floor`; about one in `gap`, None: nobody knows."""
        self._first = self._wall = first
        self._gap = 1 if gap is None else gap
        self._step = 0
        self._has_looked_from_floor = False
        self.floor = floor
        self.start = first if gap is None else self._from_floor()

    @property
    def is_over(self) -> bool:
        """Whether all entries above `first` are known."""
        return self.floor <= self._first

    def note_cut(self, entries: Sequence[LogCell], reached: int) -> None:
        """Notes that the span held more than was read of it: `entries`, which are all up to `reached`."""
        nearest = entries[-AIM_COLUMNS // 2 :]
        self._gap = _gap(nearest) if len(nearest) > 1 else max(1, (reached - self.start) // LOG_COLUMNS)
        self._wall = reached
        self._step = 2 * self._step if self._step else self._gap * AIM_COLUMNS
        self.start = self._from_wall()
        if not self._has_looked_from_floor:
            self._has_looked_from_floor = True
            self.start = max(self.start, self._from_floor())

    def note_whole(self) -> None:
        """Notes that the span was read to its end."""
        self.floor = self.start
        if self.floor > self._wall:
            self.start = self._from_wall()
        else:
            self._wall, self._step = self._first, 0
            self.start = self._from_floor()

    def _from_floor(self) -> int:
        return max(self._first, self.floor - self._gap * AIM_COLUMNS)

    def _from_wall(self) -> int:
        if self.floor - self._wall <= self._gap * AIM_COLUMNS:
            return self._wall
        stepped = self._wall + self._step
        return stepped if stepped < self.floor else (self._wall + self.floor) // 2


def _gap(entries: Sequence[LogCell]) -> int:
    """How far apart they stand, of two or more."""
    return max(1, (entries[-1].version - entries[0].version) // (len(entries) - 1))


def is_message(view: View, entry: LogCell, conversation_id: bytes | None) -> bool:
    """Whether an entry above the view's horizon shows a message that is there, new or changed: of a conversation, None:
    of any.

    A changed message is older than its change: retention may have taken it. Any may have ended by itself.
    """
    # Most are new ones, and have no end: a call less for each of a delta.
    is_new = entry.kind is ChangeKind.MESSAGE and not view.floors and not entry.expires_us
    shows = is_new or tells_of_a_message(entry, view.horizon, view.now_us, view.floors)
    return shows and conversation_id in (None, entry.conversation_id)
