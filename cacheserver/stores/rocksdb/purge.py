"""Deleting what has expired, in the background and in small steps.

rocksdict has no compaction filter, and its TTL is for the whole database. So a task walks each family that expires from
its first key to its last, and then begins anew. A step looks at a bounded number of columns in a reading thread.
Expired ones go to the write thread, which looks at each again right before it deletes it, because a dedupe column may
have been written anew meanwhile. The place of the walk is kept in memory only: a restart begins at the front, which
costs reads.
"""

from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle
from typing import NamedTuple

from rocksdict import Rdict, ReadOptions

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.stores.rocksdb.database import WRITE_TIME_BYTES
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import after
from rowbox.mailbox.errors import StoreDamaged

_STEP_COLUMNS = 1000
"""The most columns in one step: about 1 ms with the GIL, and 256 KiB to read."""
_READ_AHEAD_BYTES = 256 << 10
_PAUSE_S = 0.1
"""Seconds after a step that found little. The walk then looks at 10,000 columns a second, for one percent of a core."""
_WORTH_GOING_ON = _STEP_COLUMNS // 10


class Expired(NamedTuple):
    """The result of a step: the keys of expired columns, how many columns it looked at, and the key from which the next
    step goes on, None at the end of the family.
    """

    keys: list[bytes]
    looked_at: int
    go_on: bytes | None


def expired_keys(source: Rdict, start: bytes, oldest_write_time: bytes, limit: int) -> Expired:
    """The expired ones among the first `limit` columns from `start` on. Blocking; raises rocksdict's exceptions."""
    options = ReadOptions()
    options.set_readahead_size(_READ_AHEAD_BYTES)
    cells = source.iter(options)
    cells.seek(start)
    keys: list[bytes] = []
    looked_at, last = 0, start
    while looked_at < limit and cells.valid():
        last = cells.key()
        looked_at += 1
        if cells.value()[:WRITE_TIME_BYTES] < oldest_write_time:
            keys.append(last)
        cells.next()
    cells.status()
    return Expired(keys, looked_at, after(last) if looked_at == limit else None)


FindExpired = Callable[[Family, bytes, int], Awaitable[Expired]]
DeleteExpired = Callable[[Family, Sequence[bytes]], Awaitable[int]]


class Purge:
    """The walk over the families. `loop` runs it in the background; `step` takes one step."""

    def __init__(
        self,
        families: Sequence[Family],
        find: FindExpired,
        delete: DeleteExpired,
        may_delete: Callable[[], bool] = lambda: True,
    ) -> None:
        """`may_delete` is asked before each step, and says no while the clock is in doubt."""
        self._families = cycle(families)
        self._family = next(self._families, None)
        self._position = b""
        self._find = find
        self._delete = delete
        self._may_delete = may_delete
        self.loop = BackgroundLoop("purge", self._round)
        self.looked_at = 0
        self.deleted = 0

    async def step(self, limit: int = _STEP_COLUMNS) -> int:
        """Looks at up to `limit` columns and deletes the expired ones. Returns how many it deleted."""
        if self._family is None or not self._may_delete():
            return 0
        family = self._family
        try:
            found = await self._find(family, self._position, limit)
        except StoreDamaged:
            self._next_family()  # a damaged file must not keep the other families from being purged
            raise
        deleted = await self._delete(family, found.keys) if found.keys else 0
        self._go_on(found)
        self.looked_at += found.looked_at
        self.deleted += deleted
        return deleted

    def _go_on(self, found: Expired) -> None:
        if found.go_on is None:
            self._next_family()
        else:
            self._position = found.go_on

    def _next_family(self) -> None:
        self._family = next(self._families)
        self._position = b""

    async def _round(self) -> float | None:
        if self._family is None:
            return None
        deleted = await self.step()
        return 0.0 if deleted >= _WORTH_GOING_ON else _PAUSE_S
