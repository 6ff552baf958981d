"""The invariant checker: walks a whole store, row by row, and yields what is broken. `rowbox check` runs it, and every
stateful test runs it at its end.

    1. every row by itself      rowbox.mailbox.check.invariants
    2. every row's cells        are there rows that the index does not know?
    3. all copies of messages   rowbox.mailbox.check.copy_balance; where it is off, copy_check looks at each message
    4. every group              group_check: each member's part of it against the group's own log

A RocksView does not change while it is read. A cluster's store does: several reads of a row show several moments, and a
change between two of them looks broken. So a row with findings is read again (row_looks.py). For copies, the outbox is
read first: a message that is not in its sender's outbox is with all its recipients.

The check needs memory for a page of messages; for the index and the dedupe records of one mailbox, and 120 to 220 bytes
for each of its messages; and for the row keys of one run of shards. In all 650 bytes were measured for each message of
the largest mailbox.
"""

from collections.abc import AsyncIterator
from functools import partial

import msgspec

from rowbox.cacheserver.check.copy_check import CopyCheck
from rowbox.cacheserver.check.group_check import GroupCheck
from rowbox.cacheserver.check.row_cells import RowCells, ignore
from rowbox.cacheserver.check.row_looks import RowLooks
from rowbox.cacheserver.clocks import NowUs
from rowbox.cacheserver.rows.walk import row_keys, shard_runs, user_rows
from rowbox.cacheserver.stores.port import StoreReader
from rowbox.hbase_schema.families import LOG_MARGIN_MS, Family
from rowbox.hbase_schema.keys import name_of
from rowbox.mailbox.check.copy_balance import CopyBalance
from rowbox.mailbox.check.findings import Code, Finding
from rowbox.mailbox.check.horizon import Horizon, Lives
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.group import is_group_name
from rowbox.mailbox.settings.config import StoreSettings

SLACK_US = 60 * US_PER_S
"""The slack of a Horizon, in microseconds: six times the difference of clocks that a node may have. One row is read in
less than that."""
_OTHER_FAMILIES = tuple(family for family in Family if family is not Family.INDEX)


class Progress(msgspec.Struct):
    """How far a check is. The shards are walked a second time only where copies of messages do not add up."""

    shards: int
    shards_done: int = 0
    rows: int = 0
    conversations: int = 0
    messages: int = 0
    is_second_look: bool = False


def lives(settings: StoreSettings) -> Lives:
    """How long a store with these settings keeps cells that expire."""
    return Lives(settings.retention_ms, settings.token_life_ms + LOG_MARGIN_MS, settings.dedupe_life_ms)


class Checker:
    """Checks one store, once. `progress` is always current.

    `is_live` says that servers may write to the store meanwhile. By default that holds for a cluster's store and not
    for an embedded one.
    """

    def __init__(
        self,
        store: StoreReader,
        settings: StoreSettings,
        now_us: NowUs,
        *,
        slack_us: int = SLACK_US,
        is_live: bool | None = None,
    ) -> None:
        self._store = store
        self._now_us = now_us
        self._slack_us = slack_us
        self._lives = lives(settings)
        is_live = store.late_writes if is_live is None else is_live
        self._before_us = now_us() - slack_us if is_live else None
        horizon = self._horizon()
        self._balance = CopyBalance(horizon.messages, self._before_us, horizon.latest_us)
        self._looks = RowLooks(store, self._horizon)
        self.progress = Progress(store.shards)

    async def run(self) -> AsyncIterator[Finding | Progress]:
        """Yields every finding, and the progress after each run of shards.

        StoreUnavailable; StoreDamaged where a file of the store is damaged.
        """
        for shards in shard_runs(self._store.shards):
            async for finding in self._check_shards(shards):
                yield finding
            self.progress.shards_done += len(shards)
            yield self.progress
        if self._balance.is_even:
            return
        self.progress.is_second_look, self.progress.shards_done = True, 0
        for shards in shard_runs(self._store.shards):
            async for finding in self._check_copies(shards):
                yield finding
            self.progress.shards_done += len(shards)
            yield self.progress

    async def _check_shards(self, shards: range) -> AsyncIterator[Finding]:
        known: set[bytes] = set()
        async for row in row_keys(self._store, shards, Family.INDEX):
            known.add(row)
            user_id = name_of(row, self._store.shards)
            for finding in [_foreign(row)] if user_id is None else await self._check_row(user_id, row):
                yield finding
        for family in _OTHER_FAMILIES:
            async for row in row_keys(self._store, shards, family):
                if row not in known:
                    known.add(row)
                    async for finding in self._check_unindexed(row, family):
                        yield finding

    async def _check_unindexed(self, row: bytes, family: Family) -> AsyncIterator[Finding]:
        user_id = name_of(row, self._store.shards)
        if user_id is None:
            yield _foreign(row)
        elif not (await self._store.get_row(row, (Family.INDEX,)))[Family.INDEX]:  # else its first write came meanwhile
            yield Finding(Code.NO_INDEX, user_id, f"the row has cells in family {family} and no index")

    async def _check_row(self, user_id: str, row: bytes) -> list[Finding]:
        looked = await self._looks.at(user_id, row, partial(self._balance.add, user_id))
        self.progress.rows += 1
        self.progress.conversations += looked.conversations
        self.progress.messages += looked.messages
        if not is_group_name(user_id):
            return looked.findings
        groups = GroupCheck(self._store, RowCells(self._store, ignore), self._before_us)
        return [*looked.findings, *await groups.of_group(user_id, self._horizon())]

    async def _check_copies(self, shards: range) -> AsyncIterator[Finding]:
        cells = RowCells(self._store, ignore)
        copies = CopyCheck(self._store, cells, self._balance.is_off, self._before_us)
        async for user_id, row in user_rows(self._store, shards, Family.INDEX):
            frame = await cells.frame(row)
            async for finding in copies.findings(user_id, row, frame, self._horizon()):
                yield finding

    def _horizon(self) -> Horizon:
        return Horizon.at(self._now_us(), self._slack_us, self._lives)


def _foreign(row: bytes) -> Finding:
    """The finding of a row that is no user's. It has the row's key in place of a user."""
    return Finding(Code.WRONG_ROW, repr(row)[2:-1], f"row {row!r} is not where a user's row would be")
