"""Reading columns out of RocksDB: for the store, and for a reader beside a running server.

rocksdict 0.3.29 was measured. Its gets, seeks and iterators hold the GIL also while they wait for the disk, so in a
thread of their own they would block the event loop all the same. Only a multi-get lets go of the GIL. Hence:

1. A probe (key_may_exist, memory only, 2 to 10 us) tells whether the blocks of a range's beginning are in the cache.
2. If they are not, a multi-get of that key in a thread reads them: cold, 0.5 ms at the median and 7 ms at the 99th
   percentile on the machine it was tried on, during which the loop runs.
3. The range itself is read inline, in 7 us for two columns (45 us for 20) against some 70 us that a thread adds.

A long range (`get_part`, and ranges of keys) is read in slices. Each slice takes steps 1 and 2 for its beginning, and
lets the event loop run before it. Further cold blocks of a slice are read inline. Without steps 1 and 2 every cold
range stops the loop for 1.1 ms at the median and 12 ms at the 99th percentile.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from rowbox.cacheserver.stores.files.beside import last_backup
from rowbox.cacheserver.stores.files.disk import device_bytes
from rowbox.cacheserver.stores.port import Column, Part, StoreStats, part_of
from rowbox.cacheserver.stores.rocksdb.database import ROW_END, SEPARATOR, WRITE_TIME_BYTES, Database, verified
from rowbox.cacheserver.stores.rocksdb.errors import translated_reads
from rowbox.cacheserver.stores.rocksdb.ranges import (
    cells_before,
    cells_of,
    columns_from,
    first_row,
    row_columns,
    rows_at_one_moment,
    slice_from,
)
from rowbox.cacheserver.stores.rocksdb.stats import disk_bytes, rows_estimate
from rowbox.cacheserver.turns import Turns
from rowbox.hbase_schema.families import Family, TtlMs
from rowbox.hbase_schema.keys import shard_range
from rowbox.mailbox.errors import RowboxError, StoreUnavailable

_NO_LIMIT_BYTES = 1 << 62
_READERS = 4
"""The most cold ranges whose first blocks are read at the same time. Further ones wait."""


class RocksReader:
    """The reading half of the store port (cacheserver/stores/port.py) over an open database."""

    def __init__(self, database: Database, shards: int, ttl_ms: TtlMs, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._shards = shards
        self._ttl_ms = ttl_ms
        self._now_ms = now_ms
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-read")
        self._turns = Turns()
        self._ended: RowboxError | None = None
        self._closing: asyncio.Future[None] | None = None

    @property
    def late_writes(self) -> bool:
        return False

    @property
    def shards(self) -> int:
        return self._shards

    async def get_row(self, row: bytes, families: Sequence[Family]) -> dict[Family, list[Column]]:
        await self._warm((family, row + SEPARATOR) for family in families)
        with self._translated():
            cells = rows_at_one_moment(self._database, row, families)
            return {family: row_columns(cells[family], row, self.oldest_write_time(family)) for family in families}

    async def get_row_within(
        self, row: bytes, families: Sequence[Family], most: int
    ) -> dict[Family, list[Column]] | None:
        await self._warm((family, row + SEPARATOR) for family in families)
        found: dict[Family, list[Column]] = {}
        with self._translated():
            cells = rows_at_one_moment(self._database, row, families)
            for family in families:
                found[family] = row_columns(cells[family], row, self.oldest_write_time(family), most + 1)
                most -= len(found[family])
                if most < 0:
                    return None
        return found

    async def get_columns(self, row: bytes, family: Family, qualifiers: Sequence[bytes]) -> list[Column]:
        wanted = sorted(set(qualifiers))
        keys = [row + SEPARATOR + qualifier for qualifier in wanted]
        await self._warm((family, key) for key in keys)
        with self._translated():
            values = cells_of(self._database.families[family], keys)
        oldest = self.oldest_write_time(family)
        return [
            (q, v[WRITE_TIME_BYTES:])
            for q, v in zip(wanted, values, strict=True)
            if v and v[:WRITE_TIME_BYTES] >= oldest
        ]

    async def get_range(
        self, row: bytes, family: Family, start: bytes, stop: bytes, limit: int, *, keys_only: bool = False
    ) -> list[Column]:
        if keys_only:
            return await self._in_slices(row, family, start, stop, limit, None)
        prefix = row + SEPARATOR
        await self._warm([(family, prefix + start)])
        with self._translated():
            cells = cells_before(self._database.families[family], prefix + stop)
            return columns_from(cells, prefix + start, len(prefix), self.oldest_write_time(family), limit)

    async def get_part(
        self, row: bytes, family: Family, start: bytes, stop: bytes, *, limit: int, limit_bytes: int
    ) -> Part:
        return part_of(await self._in_slices(row, family, start, stop, limit + 1, limit_bytes), limit, limit_bytes)

    async def scan(
        self, shards: range, family: Family, after_row: bytes | None, limit: int
    ) -> list[tuple[bytes, list[Column]]]:
        return await self._scan(shards, family, after_row, limit, columns_of_row=None)

    async def scan_rows(self, shards: range, family: Family, after_row: bytes | None, limit: int) -> list[bytes]:
        return [row for row, _ in await self._scan(shards, family, after_row, limit, columns_of_row=1)]

    async def stats(self) -> StoreStats:
        with self._translated():
            database = self._database
            size_bytes, free = device_bytes(database.folder)
            backup = last_backup(database.folder)
            return StoreStats(
                rows_estimate=rows_estimate(database),
                disk_bytes=disk_bytes(database.folder),
                block_cache_bytes=database.memory.cache.get_usage(),
                memtable_bytes=database.memory.write_buffers.get_usage(),
                syncs=database.sync_count(),
                device_bytes=size_bytes,
                device_free_bytes=free,
                last_backup_us=-1 if backup is None else backup.as_of_us,
            )

    async def verify(self) -> None:
        with self._translated():
            verified(self._database, self._shards)

    async def close(self) -> None:
        if self._closing is None:
            self._ended = self._ended or StoreUnavailable("the store is closed")
            self._closing = asyncio.get_running_loop().run_in_executor(None, self._close_blocking)
        await asyncio.shield(self._closing)

    def oldest_write_time(self, family: Family) -> bytes:
        """The least write time of a column of `family` that has not expired now."""
        ttl_ms = self._ttl_ms.get(family)
        oldest_ms = 0 if ttl_ms is None else max(0, self._now_ms() - ttl_ms)
        return oldest_ms.to_bytes(WRITE_TIME_BYTES, "big")

    async def _scan(
        self, shards: range, family: Family, after_row: bytes | None, limit: int, *, columns_of_row: int | None
    ) -> list[tuple[bytes, list[Column]]]:
        """Does what `scan` does, with the first `columns_of_row` columns of each row, or with all where it is None."""
        start, stop = shard_range(shards)
        if after_row is not None:
            start = max(start, after_row + ROW_END)
        found: list[tuple[bytes, list[Column]]] = []
        while len(found) < limit:
            await self._warm([(family, start)])
            with self._translated():
                source = self._database.families[family]
                row = first_row(source, start, stop)
                if row is None:
                    break
                cells = cells_before(source, row + ROW_END)
                if columns := row_columns(cells, row, self.oldest_write_time(family), columns_of_row):
                    found.append((row, columns))
            start = row + ROW_END
            await asyncio.sleep(0)  # a scan may be long, so others run between two rows, where it holds no iterator
        return found

    async def _in_slices(
        self, row: bytes, family: Family, start: bytes, stop: bytes, limit: int, limit_bytes: int | None
    ) -> list[Column]:
        """The first `limit` columns of the range, read slice by slice.

        They end with the first column that `limit_bytes` do not hold; if that is the first of all, one more is read.
        Without `limit_bytes` the columns have no values. Values are read from the store even then, because they say
        whether a column has expired. No iterator lives from one slice to the next, because it would keep the database
        open (database.py).
        """
        prefix, found = row + SEPARATOR, list[Column]()
        key: bytes | None = prefix + start
        room_bytes = _NO_LIMIT_BYTES if limit_bytes is None else limit_bytes
        while key is not None and len(found) < limit and (room_bytes >= 0 or len(found) == 1):
            if key != prefix + start:
                await self._turns.next()
            await self._warm([(family, key)])
            wanted = limit - len(found) if room_bytes >= 0 else 1
            with self._translated():
                cells = cells_before(self._database.families[family], prefix + stop)
                columns, key = slice_from(
                    cells, key, len(prefix), self.oldest_write_time(family), wanted, max(0, room_bytes)
                )
            if limit_bytes is None:
                columns = [(qualifier, b"") for qualifier, _ in columns]
            room_bytes -= sum([len(value) for _, value in columns])
            found += columns
        return found

    def close_now(self) -> None:
        """Does what `close` does, for callers without an event loop."""
        self._close_blocking()

    def _close_blocking(self) -> None:
        self._readers.shutdown()
        self._database.close()

    def _check_usable(self) -> None:
        if self._ended is not None:
            raise self._ended

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Goes around every read: raises where the store is closed, and turns rocksdict's exceptions into Rowbox's."""
        self._check_usable()
        with translated_reads(self._database.folder):
            yield

    async def _warm(self, keys: Iterable[tuple[Family, bytes]]) -> None:
        """Brings the blocks of `keys` into the cache, by steps 1 and 2 of this module's text. Cheap where they are in
        it.
        """
        with self._translated():
            cold = [(family, key) for family, key in keys if self._is_cold(family, key)]
        if cold:
            await asyncio.gather(*(self._read_ahead(family, key) for family, key in cold))

    def _is_cold(self, family: Family, key: bytes) -> bool:
        """Whether RocksDB would have to read a file to say whether `key` exists."""
        return self._database.families[family].key_may_exist(key, fetch=True) == (True, None)

    async def _read_ahead(self, family: Family, key: bytes) -> None:
        loop = asyncio.get_running_loop()
        source = self._database.families[family]
        with self._translated():
            await loop.run_in_executor(self._readers, cells_of, source, [key])
