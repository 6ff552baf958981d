"""What a group's row forgets: sends that all members have had for an hour.

A row remembers which sends it knows for the dedupe life, as long as a client may try one again. A group's row need not:
once the sender's own row has the message, that answers his client. What may still come to the group's row was accepted
before, and is refused when it is older than GroupRow lets it be. So it is enough to remember a send until the sender
has it, and a while longer (docs/adr/0053-groups-searched.md). A busy group would else have millions of these records,
which every load of its row reads.

Of each group in which somebody has written lately there is one mark: a time, and a version below which all members had
everything at that time. An hour later what is below it is removed. Marks are in memory alone: after a restart a group
is marked anew once somebody writes there, and what is never removed ends with the dedupe life.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.delivery.delivery import Delivery
from rowbox.cacheserver.rows.cleaner import Cleaner
from rowbox.cacheserver.rows.row_reader import RowReader
from rowbox.cacheserver.rows.view import View
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.errors import NotTheOwner, RowboxError
from rowbox.mailbox.group import SENDS_KEPT_US

KEPT_S: Final = SENDS_KEPT_US / US_PER_S
PAUSE_S: Final = 600.0
"""Between two rounds."""


@dataclass(slots=True)
class _Mark:
    """`at_s` None: nobody knows yet up to where all members have everything."""

    at_s: float | None = None
    before: int = 0
    is_behind: bool = False
    """Whether there is more than what is below it: another mark is to follow."""


class Forgetting:
    """What the group rows of one owner forget, in the rounds of `loop`."""

    def __init__(
        self, table: Table, reader: RowReader, cleaner: Cleaner, delivery: Delivery, seen_us: Callable[[], int]
    ) -> None:
        self._table = table
        self._reader = reader
        self._cleaner = cleaner
        self._delivery = delivery
        self._seen_us = seen_us
        self._now_s = asyncio.get_running_loop().time
        self._marks: dict[str, _Mark] = {}
        self.loop = BackgroundLoop("group-sends", self._round)

    def __len__(self) -> int:
        """In how many groups somebody has written lately."""
        return len(self._marks)

    def written(self, name: str) -> None:
        """Notes that the row of this group has taken a send."""
        mark = self._marks.get(name)
        if mark is None:
            self._marks[name] = _Mark()
        else:
            mark.is_behind = True

    async def _round(self) -> float:
        """Removes what is due, and marks what is not marked yet. What fails is tried again, and the last error told."""
        failed: RowboxError | None = None
        for name, mark in list(self._marks.items()):
            if mark.at_s is None or self._now_s() - mark.at_s < KEPT_S:
                continue
            try:
                await self._forget(name, mark.before)
            except NotTheOwner:
                mark.is_behind = False
            except RowboxError as error:
                failed = error
                continue
            self._marks.pop(name)
            if mark.is_behind:
                self._marks[name] = _Mark()
        self._mark()
        if failed is not None:
            raise failed
        return PAUSE_S

    def _mark(self) -> None:
        """Marks each group of which it is known up to where all members have everything. It does not await."""
        unmarked = {name for name, mark in self._marks.items() if mark.at_s is None}
        earliest = self._delivery.earliest(unmarked)
        for name in unmarked:
            row = self._table.peek(name)
            if row is None or row.mailbox is None:
                self._marks.pop(name)  # it is not in memory: whoever writes there next loads it
            elif not self._delivery.has_spilled(name):
                before = earliest.get(name, row.mailbox.head + 1)
                self._marks[name] = _Mark(self._now_s(), before, is_behind=name in earliest)

    async def _forget(self, name: str, before: int) -> None:
        """Removes the group's records of sends with lower versions than `before`, first from the store."""
        row = self._table.peek(name)
        if row is None or row.mailbox is None:
            return
        mailbox = row.mailbox
        async for qualifiers in self._reader.sends_before(View(row.key, mailbox, self._seen_us()), before):
            row.grant.check()
            await self._cleaner.remove_now(row.key, [(Family.DEDUPE, qualifier) for qualifier in qualifiers], before)
        mailbox.client_ids.drop_expired(before)
