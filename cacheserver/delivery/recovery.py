"""Finds outboxes that no queue empties: an owner has died, a write landed late, or the queues were full.

A scan only FINDS rows; what is delivered is what a claimed load of the row says (docs/consistency.md). The shards
are scanned again and again, because a write may land after a scan has passed; all in one go, because most hold no
outbox, and a cluster's store takes several round trips to say so of each.
"""

import logging
from collections.abc import Awaitable, Callable

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.rows.walk import shard_runs, user_rows
from rowbox.cacheserver.stores.port import StoreReader
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.errors import RowboxError

log = logging.getLogger(__name__)

PAUSE_S = 180.0
"""Between two scans. A recipient of a send whose owner died waits at most this long, if nobody asks for the sender."""

Visit = Callable[[str], Awaitable[None]]
"""Loads a user's row and has its outbox delivered."""


class Recovery:
    """Scans one owner's shards for outboxes, round after round."""

    def __init__(self, store: StoreReader, visit: Visit) -> None:
        self._store = store
        self._visit = visit
        self.loop = BackgroundLoop("recovery", self._round)
        """The loop of the scans: once started it scans at once, and from then on every PAUSE_S."""
        self.scans = 0
        self.found = 0

    async def scan(self) -> None:
        """Visits every user whose row has outbox cells, once.

        By runs of shards: a call over all of them would walk over the marker of every message that was delivered since
        the last major compaction, and meet its deadline. A run that cannot be read waits for the next scan.
        """
        left_out: list[RowboxError] = []
        waiting: list[RowboxError] = []
        for shards in shard_runs(self._store.shards):
            try:
                async for user_id, _ in user_rows(self._store, shards, Family.OUTBOX):
                    self.found += 1
                    waiting += await self._visit_one(user_id)
            except RowboxError as error:
                left_out.append(error)
        self.scans += 1
        if left_out:
            log.warning("a scan for outboxes left out %d runs of shards: %s", len(left_out), left_out[-1])
        if waiting:  # one line, however many: while a part of the store is away, they may be all outboxes there are
            log.warning("%d outboxes wait for the next scan: %s", len(waiting), waiting[-1])

    async def _visit_one(self, user_id: str) -> list[RowboxError]:
        try:
            await self._visit(user_id)
        except RowboxError as error:
            return [error]
        return []

    async def _round(self) -> float:
        await self.scan()
        return PAUSE_S
