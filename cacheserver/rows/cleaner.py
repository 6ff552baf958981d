"""Removes columns that nobody needs any more: delivered outbox cells, late writes of replaced owners, superseded state.

Columns are gathered and deleted in calls of their own, never with a put. Losing a removal is harmless: the next load of
the row finds the column again.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.clocks import StoreClock
from rowbox.cacheserver.stores.port import RowDelete, Store
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.errors import RowboxError

log = logging.getLogger(__name__)

BATCH_COLUMNS = 512
LINGER_S = 0.1
"""How long a removal waits for others, to be made in one call with them."""
MAX_COLUMNS = 100_000
"""Columns that wait at most; more are forgotten, which is harmless. A column takes 300 bytes at most: 30 MB."""


class Cleaner:
    """The columns that one owner has to remove. `start` its loop; `close` flushes what is left."""

    def __init__(self, store: Store, clock: StoreClock, is_open: Callable[[bytes], bool]) -> None:
        """`is_open(row)`: whether calls may hold the row; what is to be removed from others is forgotten."""
        self._store = store
        self._clock = clock
        self._is_open = is_open
        self._columns: list[tuple[bytes, Family, bytes]] = []
        self._written_us = 0
        """The highest version of the waiting columns, or more."""
        self.loop = BackgroundLoop("cleaner", self._round)
        self.removed = 0

    def remove(self, row: bytes, columns: Iterable[tuple[Family, bytes]], written_us: int) -> None:
        """Has columns removed soon. The caller knows that rule 2 allows it (docs/consistency.md).

        `written_us`: no column is of a higher version or was written later. The delete gets a timestamp that is not
        before it: otherwise the delete would not hide the columns.
        """
        self._written_us = max(self._written_us, written_us)
        for family, qualifier in columns:
            if len(self._columns) < MAX_COLUMNS:
                self._columns.append((row, family, qualifier))
        if self._columns:
            self.loop.wake()

    async def remove_now(self, row: bytes, columns: Sequence[tuple[Family, bytes]], written_us: int) -> bool:
        """As `remove`, of few columns: when it returns they are gone. False where calls may not hold the row now.

        RowboxError.
        """
        if not self._is_open(row):
            return False
        await self._store.delete([RowDelete(row, columns)], self._clock.next_ms(written_us))
        self.removed += len(columns)
        return True

    async def flush(self, *, tries_once: bool = False) -> None:
        """Removes what is waiting now. `tries_once`: after a call that failed, the rest is forgotten."""
        while self._columns:
            taken, self._columns = self._columns[:BATCH_COLUMNS], self._columns[BATCH_COLUMNS:]
            by_row: dict[bytes, list[tuple[Family, bytes]]] = defaultdict(list)
            for row, family, qualifier in taken:
                if self._is_open(row):
                    by_row[row].append((family, qualifier))
            if not by_row:
                continue
            try:
                timestamp_ms = self._clock.next_ms(self._written_us)
                await self._store.delete([RowDelete(row, columns) for row, columns in by_row.items()], timestamp_ms)
                self.removed += sum(map(len, by_row.values()))
            except RowboxError as error:
                if tries_once:
                    taken, self._columns = taken + self._columns, []
                log.warning("%d columns stay until the next load of their rows: %s", len(taken), error)
        self._written_us = 0

    async def close(self) -> None:
        """Ends the background work and flushes. After a failed call the rest is forgotten, not to delay a stop."""
        await self.loop.close()
        await self.flush(tries_once=True)

    async def _round(self) -> None:
        if self._columns:
            await asyncio.sleep(LINGER_S)
            await self.flush()
