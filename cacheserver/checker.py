"""The invariant checker: walks a whole store, row by row, and says what is broken. `rowbox check`, and the end of every
stateful test.

    1. every row by itself      rowbox.mailbox.invariants
    2. every row's cells        are there rows that the index does not know?
    3. all copies of messages   rowbox.mailbox.copy_balance; where it is off, copy_check looks at each message

What it reads must stand still: a RocksView, or a store to which nobody writes. Where one is being written to, a change
that falls between two reads of its row is reported as broken.

Memory: a page of messages; the index and the dedupe records of one mailbox, and 120 to 220 bytes of each of its
messages; the row keys of one shard. One bound is worse as long as the port has no scan for row keys alone: step 2 has
a row's encoded cells of one family in memory at once. Measured in all: 650 bytes for a message of the largest mailbox.
"""

from collections.abc import AsyncIterator

import msgspec

from rowbox.cacheserver.copy_check import CopyCheck
from rowbox.cacheserver.row_cells import RowCells, nobody, scan_rows
from rowbox.cacheserver.store import Column, StoreReader
from rowbox.cacheserver.store_clock import NowUs
from rowbox.hbase_schema.families import LOG_MARGIN_MS, Family
from rowbox.hbase_schema.keys import row_key, user_of
from rowbox.mailbox.clock import US_PER_S
from rowbox.mailbox.config import StoreSettings
from rowbox.mailbox.copy_balance import CopyBalance
from rowbox.mailbox.findings import Code, Finding
from rowbox.mailbox.horizon import Horizon, Lives
from rowbox.mailbox.ids import is_user_id
from rowbox.mailbox.invariants import RowCheck

SLACK_US = 60 * US_PER_S
"""See Horizon: six times the difference of clocks that a node may have, and a minute to read one row."""
_OTHER_FAMILIES = tuple(family for family in Family if family is not Family.INDEX)


class Progress(msgspec.Struct):
    """How far a check is. The second look walks the shards again, and only where something is off."""

    shards: int
    shards_done: int = 0
    rows: int = 0
    conversations: int = 0
    messages: int = 0
    is_second_look: bool = False


def lives(settings: StoreSettings) -> Lives:
    """How long a store of these settings keeps what expires."""
    return Lives(settings.retention_ms, settings.token_life_ms + LOG_MARGIN_MS, settings.dedupe_life_ms)


class Checker:
    """See the module's text. One check each; `progress` is current all the time."""

    def __init__(self, store: StoreReader, settings: StoreSettings, now_us: NowUs, *, slack_us: int = SLACK_US) -> None:
        self._store = store
        self._now_us = now_us
        self._slack_us = slack_us
        self._lives = lives(settings)
        self._balance = CopyBalance(self._horizon().messages)
        self.progress = Progress(store.shards)

    async def run(self) -> AsyncIterator[Finding | Progress]:
        """Every finding, and after each shard the progress. StoreUnavailable, StoreDamaged (a file, not a cell)."""
        for shard in range(self._store.shards):
            async for finding in self._check_shard(shard):
                yield finding
            self.progress.shards_done += 1
            yield self.progress
        if self._balance.is_even:
            return
        self.progress.is_second_look, self.progress.shards_done = True, 0
        for shard in range(self._store.shards):
            async for finding in self._check_copies(shard):
                yield finding
            self.progress.shards_done += 1
            yield self.progress

    async def _check_shard(self, shard: int) -> AsyncIterator[Finding]:
        known: set[bytes] = set()
        async for row, index_columns in scan_rows(self._store, shard, Family.INDEX):
            known.add(row)
            for finding in await self._check_row(row, index_columns):
                yield finding
        for family in _OTHER_FAMILIES:
            async for row, _ in scan_rows(self._store, shard, family, rows_at_once=1):
                if row not in known:
                    known.add(row)
                    yield Finding(Code.NO_INDEX, _name(row), f"the row has cells in family {family} and no index")

    async def _check_row(self, row: bytes, index_columns: list[Column]) -> list[Finding]:
        self.progress.rows += 1
        user_id = _name(row)
        if not is_user_id(user_id) or row_key(user_id, self._store.shards) != row:
            return [Finding(Code.WRONG_ROW, user_id, f"row {row!r} is not where a user's row would be")]
        unreadable: list[str] = []
        findings = await self._check_cells(user_id, row, index_columns, RowCells(self._store, unreadable.append))
        if unreadable:  # what else is wrong follows from what is left out
            return [Finding(Code.UNREADABLE_CELL, user_id, text) for text in unreadable]
        return findings

    async def _check_cells(
        self, user_id: str, row: bytes, index_columns: list[Column], cells: RowCells
    ) -> list[Finding]:
        frame = await cells.frame(row, index_columns)
        check = RowCheck(user_id, frame, self._horizon(), fenced=self._store.late_writes)
        async for message in cells.messages(row):
            state = check.message(message)
            if state is not None:
                self.progress.messages += 1
                self._balance.add(user_id, message, state.participants)
        async for entry in cells.log(row):
            check.log_entry(entry)
        self.progress.conversations += check.conversation_count
        return check.end()

    async def _check_copies(self, shard: int) -> AsyncIterator[Finding]:
        cells = RowCells(self._store, nobody)
        copies = CopyCheck(self._store, cells, self._balance)
        async for row, index_columns in scan_rows(self._store, shard, Family.INDEX):
            frame = await cells.frame(row, index_columns)
            async for finding in copies.findings(_name(row), row, frame, self._horizon()):
                yield finding

    def _horizon(self) -> Horizon:
        return Horizon.at(self._now_us(), self._slack_us, self._lives)


def _name(row: bytes) -> str:
    """The row's user, or its key where it names none."""
    try:
        return user_of(row)
    except UnicodeDecodeError:
        return repr(row)
