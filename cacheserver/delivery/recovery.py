"""Finds outboxes that no queue empties: an owner has died, a write landed late, or the queues were full.

A scan only FINDS rows; what is delivered is what a claimed load of the row says (docs/consistency.md). The shards of
the owner are scanned again and again, because a write may land after a scan has passed; all in one go, because most
hold no outbox, and a cluster's store takes several round trips to say so of each. Shards that have just been given to
the owner are scanned before anything else: their last owner may have died.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.ownership import Ownership
from rowbox.cacheserver.rows.walk import named_rows, runs_of
from rowbox.cacheserver.stores.port import StoreReader
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import shard_of_row
from rowbox.mailbox.errors import NotTheOwner, RowboxError

log = logging.getLogger(__name__)

PAUSE_S = 180.0
"""Between two scans. A recipient of a send whose owner died waits at most this long, if nobody asks for the sender."""
AT_ONCE = 8
"""Rows that a scan visits at the same time: each may be a read and a claim, and requests want the store as well."""

Visit = Callable[[str], Awaitable[None]]
"""Loads a user's row and has its outbox delivered."""


class _Found:
    """What a scan could not read or visit."""

    def __init__(self) -> None:
        self.unread: list[RowboxError] = []
        self.unvisited: list[RowboxError] = []

    def tell(self) -> None:
        """One line for each kind, however many: while a part of the store is away, they may be all that there is."""
        if self.unread:
            log.warning("a scan for outboxes left out %d runs of shards: %s", len(self.unread), self.unread[-1])
        if self.unvisited:
            log.warning("%d outboxes wait for the next scan: %s", len(self.unvisited), self.unvisited[-1])


class Recovery:
    """Scans one owner's shards for outboxes, round after round."""

    def __init__(self, store: StoreReader, ownership: Ownership, visit: Visit) -> None:
        self._store = store
        self._ownership = ownership
        self._visit = visit
        self._new: set[int] = set()
        """Shards that were given and have not been scanned since."""
        self._next_scan_s = float("-inf")
        self.loop = BackgroundLoop("recovery", self._round)
        """The loop of the scans: once started it scans at once, and from then on every PAUSE_S."""
        self.scans = 0
        self.found = 0

    def take(self, shards: Collection[int]) -> None:
        """Has these shards, which were given to the owner, scanned next."""
        self._new.update(shards)
        self.loop.wake()

    async def scan(self) -> None:
        """Visits every user and group of the owner's shards whose row has outbox cells, once.

        By runs of shards: a call over all of them would walk over the marker of every message that was delivered since
        the last major compaction, and meet its deadline. A run that cannot be read waits for the next scan.
        """
        await self._scan(self._ownership.shards)
        self.scans += 1

    async def _scan(self, shards: Collection[int]) -> None:
        found = _Found()
        owned = frozenset(shard for shard in range(self._store.shards) if shard in shards)
        for run in runs_of(owned):
            try:
                await self._scan_run(run, owned, found)
            except RowboxError as error:
                found.unread.append(error)
        found.tell()

    async def _scan_run(self, run: range, owned: Collection[int], found: _Found) -> None:
        turns = asyncio.Semaphore(AT_ONCE)

        async def visit(user_id: str) -> None:
            try:
                await self._visit(user_id)
            except NotTheOwner:
                pass  # it is being given away, or was: its next owner scans it
            except RowboxError as error:
                found.unvisited.append(error)
            finally:
                turns.release()

        failed: RowboxError | None = None
        async with asyncio.TaskGroup() as visits:
            try:
                async for user_id, row in named_rows(self._store, run, Family.OUTBOX):
                    if shard_of_row(row) in owned:
                        self.found += 1
                        await turns.acquire()
                        visits.create_task(visit(user_id), name="visit-outbox")
            except RowboxError as error:
                failed = error
        if failed is not None:
            raise failed

    async def _round(self) -> float:
        """A scan of what is new, or of everything once that is due."""
        now_s = asyncio.get_running_loop().time()
        new, self._new = self._new, set()
        if now_s >= self._next_scan_s:
            await self.scan()
            self._next_scan_s = asyncio.get_running_loop().time() + PAUSE_S
        elif new:
            await self._scan(new)
        return max(0.0, self._next_scan_s - asyncio.get_running_loop().time())
