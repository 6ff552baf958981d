"""Deleting what has expired, in the background and in small steps.

rocksdict has no compaction filter, and its TTL is for the whole database. So a task walks each family that expires from
its first key to its last and begins anew. A step looks at a bounded number of columns in a reading thread; only what it
found expired goes to the write thread, which looks again right before it deletes (a dedupe column may have been written
anew meanwhile). Where the walk stands is kept in memory: a restart begins at the front, which costs reading only.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle
from typing import NamedTuple

from rocksdict import Rdict, ReadOptions

from rowbox.cacheserver.stores.rocksdb_database import STAMP_BYTES
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import after
from rowbox.mailbox.errors import StoreDamaged, StoreUnavailable, StoreUnusable

_STEP_COLUMNS = 1000
"""About 1 ms of the GIL, and 256 KiB to read."""
_READ_AHEAD_BYTES = 256 << 10
_PAUSE_S = 0.1
"""Between two steps of which the first found little: a walk of 10,000 columns a second, for one percent of a core."""
_WORTH_GOING_ON = _STEP_COLUMNS // 10

_log = logging.getLogger(__name__)


class Expired(NamedTuple):
    """What a step saw: the expired columns, how many it looked at, where to go on (None: the family is at its end)."""

    keys: list[bytes]
    looked_at: int
    go_on: bytes | None


def expired_keys(source: Rdict, start: bytes, oldest_stamp: bytes, limit: int) -> Expired:
    """The expired ones of the first `limit` columns from `start` on. Blocking; raises rocksdict's exceptions."""
    options = ReadOptions()
    options.set_readahead_size(_READ_AHEAD_BYTES)
    cells = source.iter(options)
    cells.seek(start)
    keys: list[bytes] = []
    looked_at, last = 0, start
    while looked_at < limit and cells.valid():
        last = cells.key()
        looked_at += 1
        if cells.value()[:STAMP_BYTES] < oldest_stamp:
            keys.append(last)
        cells.next()
    cells.status()
    return Expired(keys, looked_at, after(last) if looked_at == limit else None)


FindExpired = Callable[[Family, bytes, int], Awaitable[Expired]]
DeleteExpired = Callable[[Family, Sequence[bytes]], Awaitable[int]]


class Purge:
    """The walk: `start` and `stop` it, or take single steps."""

    def __init__(self, families: Sequence[Family], find: FindExpired, delete: DeleteExpired) -> None:
        self._families = cycle(families)
        self._family = next(self._families, None)
        self._position = b""
        self._find = find
        self._delete = delete
        self._task: asyncio.Task[None] | None = None
        self.looked_at = 0
        self.deleted = 0
        self.rounds = 0
        """How many families have been walked to their end."""

    def start(self) -> None:
        """Walks in a task of its own until `stop`."""
        if self._task is None and self._family is not None:
            self._task = asyncio.create_task(self._walk(), name="store-purge")

    async def stop(self) -> None:
        """Ends the task; a step's writing in progress is finished by the store."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def step(self, limit: int = _STEP_COLUMNS) -> int:
        """Looks at up to `limit` columns and deletes the expired ones; how many these were."""
        if self._family is None:
            return 0
        family = self._family
        found = await self._find(family, self._position, limit)
        deleted = await self._delete(family, found.keys) if found.keys else 0
        self._go_on(found)
        self.looked_at += found.looked_at
        self.deleted += deleted
        return deleted

    def _go_on(self, found: Expired) -> None:
        if found.go_on is None:
            self._family = next(self._families)
            self.rounds += 1
        self._position = found.go_on or b""

    async def _walk(self) -> None:
        while True:
            try:
                deleted = await self.step()
            except StoreUnavailable as error:
                _log.warning("the purge of expired columns goes on later: %s", error)
                deleted = 0
            except StoreDamaged as error:
                _log.error("the purge of expired columns has ended: %s", error)
                return
            except StoreUnusable:
                return  # the store is broken or closed; whoever runs it was told, once, by `on_broken`
            await asyncio.sleep(0 if deleted >= _WORTH_GOING_ON else _PAUSE_S)
