"""The embedded store: RocksDB in a folder. Its reading half is RocksReader (reads.py); database.py has the layout.

One thread writes, so writes happen in the order of the calls. A `mutate` is one fsynced write batch in the write-ahead
log, over all its rows, so it commits all of them or none. The batch is built on the event loop (2 to 4 us a row of four
cells), because in the thread it would fight for the GIL with the loop. The thread only waits for the disk, without the
GIL.

A write that fails breaks the store for good: after a failed fsync nobody knows what the disk holds (the kernel drops
the pages and reports it once). `on_broken` is told, the process ends, and the next start reads back what was confirmed.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar

from rocksdict import WriteBatch, WriteOptions

from rowbox.cacheserver.clocks import wall_clock_ms
from rowbox.cacheserver.stores.files.disk import DiskGuard
from rowbox.cacheserver.stores.port import Put, RowDelete, RowMutation, StoreStats
from rowbox.cacheserver.stores.rocksdb.database import SEPARATOR, WRITE_TIME_BYTES, Database
from rowbox.cacheserver.stores.rocksdb.errors import translated_reads, writing_error
from rowbox.cacheserver.stores.rocksdb.folder import FolderLock, open_for_writing
from rowbox.cacheserver.stores.rocksdb.options import ALL_FILES, STALLED, RocksMemory, write_options
from rowbox.cacheserver.stores.rocksdb.purge import Expired, Purge, expired_keys
from rowbox.cacheserver.stores.rocksdb.ranges import cells_of
from rowbox.cacheserver.stores.rocksdb.reads import RocksReader
from rowbox.hbase_schema.families import Family, TtlMs
from rowbox.mailbox.errors import StoreUnavailable, StoreUnusable

STALL_S = 5.0
"""Seconds for which RocksDB may hold a write back before it is refused: half of the 10 s that a caller waits for a
commit."""
_STALL_STEP_S = 0.002

OnBroken = Callable[[StoreUnusable], None]
_T = TypeVar("_T")


class RocksStore(RocksReader):
    """The store port (cacheserver/stores/port.py), for the one process that owns the folder."""

    def __init__(
        self,
        database: Database,
        lock: FolderLock,
        shards: int,
        ttl_ms: TtlMs,
        now_ms: Callable[[], int],
        guard: DiskGuard,
        on_broken: OnBroken | None,
        may_purge: Callable[[], bool],
    ) -> None:
        super().__init__(database, shards, ttl_ms, now_ms)
        self._lock = lock
        self._guard = guard
        self._on_broken = on_broken
        self._broken: StoreUnusable | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-write")
        self._synced, self._unsynced = write_options(sync=True), write_options(sync=False)
        self.purge = Purge(list(ttl_ms), self._expired_keys, self._delete_expired, may_purge)

    @classmethod
    def open(
        cls,
        folder: Path,
        shards: int,
        ttl_ms: TtlMs,
        *,
        block_cache_bytes: int,
        memtable_bytes: int,
        min_free_bytes: int,
        max_open_files: int = ALL_FILES,
        now_ms: Callable[[], int] = wall_clock_ms,
        on_broken: OnBroken | None = None,
        may_purge: Callable[[], bool] = lambda: True,
    ) -> "RocksStore":
        """Opens the store in `folder`, or makes one where there is none. Blocks while RocksDB recovers.

        StoreLocked, StoreVersionMismatch, StoreDamaged or StoreUnusable, whose texts say what to do; the data is left
        as it is. Cells that have expired by `now_ms` are not read, and are deleted while `may_purge` returns True.
        `on_broken` is called once, on the event loop, when a write fails and the store ends.
        """
        memory = RocksMemory(block_cache_bytes, memtable_bytes, max_open_files)
        database, lock = open_for_writing(folder, shards, memory)
        return cls(database, lock, shards, ttl_ms, now_ms, DiskGuard(folder, min_free_bytes), on_broken, may_purge)

    @property
    def ranges(self) -> None:
        return None

    async def mutate(self, mutations: Sequence[RowMutation], timestamp_ms: int) -> None:
        self._check_usable()
        build = partial(self._batch_of, mutations, timestamp_ms)
        await self._in_write_thread(partial(self._commit, build(), build))

    async def delete(self, deletes: Sequence[RowDelete], timestamp_ms: int) -> None:
        """Deletes columns, with the port's contract. It works while the disk is nearly full, because it makes room."""
        keys = [(family, row + SEPARATOR + qualifier) for row, columns in deletes for family, qualifier in columns]
        await self._in_write_thread(partial(self._delete, keys))

    async def compare_and_set(
        self, row: bytes, family: Family, qualifier: bytes, expected: bytes | None, value: bytes
    ) -> bool:
        build = partial(self._batch_of, [RowMutation(row, [Put(family, qualifier, value)])], self._now_ms())
        key = row + SEPARATOR + qualifier
        return await self._in_write_thread(partial(self._set_if, family, key, expected, build))

    async def checkpoint(self, folder: Path) -> None:
        """Makes `folder`, which must not exist and has to be on the store's file system, with the store's files as of
        now.

        Everything that was confirmed before the call is in it. Reads and writes go on meanwhile. A checkpoint that has
        begun is finished even if the caller is cancelled; `close` waits for it. StoreFull while the device is nearly
        full; StoreUnavailable where it cannot be made. The caller has to remove what is left of it then.
        """
        await self._in_write_thread(self._guard.check)
        work = partial(self._make_checkpoint, folder)
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._readers, work))

    def _make_checkpoint(self, folder: Path) -> None:
        with translated_reads(self._database.folder):
            self._database.checkpoint(folder)

    async def stats(self) -> StoreStats:
        return (await super().stats())._replace(min_free_bytes=self._guard.min_free_bytes, refused=self._guard.refused)

    # These run in the write thread, one at a time, in the order of the calls.

    def _commit(self, batch: WriteBatch, again: Callable[[], WriteBatch]) -> None:
        self._guard.check()
        self._write(batch, again, self._synced)

    def _delete(self, keys: Sequence[tuple[Family, bytes]]) -> None:
        build = partial(self._batch_without, keys)
        self._write(build(), build, self._unsynced)

    def _set_if(self, family: Family, key: bytes, expected: bytes | None, build: Callable[[], WriteBatch]) -> bool:
        with translated_reads(self._database.folder):
            standing = cells_of(self._database.families[family], [key])[0]
        if standing is not None and standing[:WRITE_TIME_BYTES] < self.oldest_write_time(family):
            standing = None
        if (None if standing is None else standing[WRITE_TIME_BYTES:]) != expected:
            return False
        self._commit(build(), build)
        return True

    def _write(self, batch: WriteBatch, again: Callable[[], WriteBatch], options: WriteOptions) -> None:
        """Writes `batch`. While RocksDB holds writes back it tries again, with a batch of `again`, because a try uses a
        batch up.

        RocksDB holds writes back while flushes do not keep up, and for ever after a flush met a full disk. So after
        some seconds the write is refused.
        """
        give_up_s = monotonic() + STALL_S
        while not self._is_written(batch, options):
            if monotonic() > give_up_s:
                raise StoreUnavailable(
                    f"the device of {self._database.folder} is full or does not keep up with writing"
                )
            sleep(_STALL_STEP_S)
            batch = again()

    def _is_written(self, batch: WriteBatch, options: WriteOptions) -> bool:
        if self._broken is not None:
            raise self._broken
        try:
            self._database.rocks.write(batch, options)
        except Exception as error:
            if str(error).startswith(STALLED):
                return False
            self._broken = self._ended = writing_error(error, self._database.folder)
            raise self._broken from error
        return True

    # Batches

    def _batch_of(self, mutations: Sequence[RowMutation], timestamp_ms: int) -> WriteBatch:
        batch = WriteBatch(raw_mode=True)
        put, handles, written = batch.put, self._database.handles, timestamp_ms.to_bytes(WRITE_TIME_BYTES, "big")
        for row, puts in mutations:
            prefix = row + SEPARATOR
            for family, qualifier, value in puts:
                put(prefix + qualifier, written + value, handles[family])
        return batch

    def _batch_without(self, keys: Sequence[tuple[Family, bytes]]) -> WriteBatch:
        batch = WriteBatch(raw_mode=True)
        for family, key in keys:
            batch.delete(key, self._database.handles[family])
        return batch

    # For the purge

    async def _expired_keys(self, family: Family, start: bytes, limit: int) -> Expired:
        with self._translated():
            source, oldest = self._database.families[family], self.oldest_write_time(family)
            return await asyncio.get_running_loop().run_in_executor(
                self._readers, partial(expired_keys, source, start, oldest, limit)
            )

    async def _delete_expired(self, family: Family, keys: Sequence[bytes]) -> int:
        return await self._in_write_thread(partial(self._delete_if_expired, family, list(keys)))

    def _delete_if_expired(self, family: Family, keys: list[bytes]) -> int:
        """Deletes those columns that are still expired, because some may have been written anew since the purge saw
        them.
        """
        source, oldest = self._database.families[family], self.oldest_write_time(family)
        with translated_reads(self._database.folder):
            values = cells_of(source, keys)
        expired = [key for key, value in zip(keys, values, strict=True) if value and value[:WRITE_TIME_BYTES] < oldest]
        self._delete([(family, key) for key in expired])
        return len(expired)

    async def close(self) -> None:
        await self.purge.loop.close()
        await super().close()

    def _close_blocking(self) -> None:
        self._writer.shutdown()
        super()._close_blocking()
        self._lock.release()

    # Between the loop and that thread

    async def _in_write_thread(self, work: Callable[[], _T]) -> _T:
        """Runs `work` in the write thread, after all work given before. Work that has begun is finished even if the
        caller is cancelled.
        """
        self._check_usable()
        future = asyncio.get_running_loop().run_in_executor(self._writer, work)
        future.add_done_callback(self._report)
        return await asyncio.shield(future)

    def _report(self, future: "asyncio.Future[_T]") -> None:
        if self._broken is not None and self._on_broken is not None and not future.cancelled():
            tell, self._on_broken = self._on_broken, None
            tell(self._broken)
