"""A view of a store beside the server that owns it, for `rowbox check` and `rowbox stats`.

A view shows the store as it was when the view was opened, with everything that was confirmed before. It writes nothing
into the folder and does not disturb the owner. The owner may flush, compact and delete files, because the view has its
files open.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from rowbox.cacheserver.clocks import wall_clock_ms
from rowbox.cacheserver.stores.port import StoreStats
from rowbox.cacheserver.stores.rocksdb.database import Database
from rowbox.cacheserver.stores.rocksdb.folder import open_for_reading
from rowbox.cacheserver.stores.rocksdb.options import RocksMemory
from rowbox.cacheserver.stores.rocksdb.reads import RocksReader
from rowbox.hbase_schema.families import TtlMs

_CACHE_BYTES = 32 << 20


class RocksView(RocksReader):
    """A reader of the store. It has a scratch folder of its own, which is removed when it is closed."""

    def __init__(
        self,
        database: Database,
        shards: int,
        ttl_ms: TtlMs,
        now_ms: Callable[[], int],
        scratch: TemporaryDirectory[str],
    ) -> None:
        super().__init__(database, shards, ttl_ms, now_ms)
        self._scratch = scratch

    async def stats(self) -> StoreStats:
        """The store's figures. The owner's memory and syncs are not among them, because another process has these."""
        return (await super().stats())._replace(block_cache_bytes=-1, memtable_bytes=-1, syncs=-1)

    def _close_blocking(self) -> None:
        super()._close_blocking()
        self._scratch.cleanup()


def open_reader(folder: Path, ttl_ms: TtlMs, *, now_ms: Callable[[], int] = wall_clock_ms) -> RocksView:
    """A view of the store in `folder` as of now, whether a server runs on it or not. Errors as of RocksStore.open."""
    scratch = TemporaryDirectory(prefix="rowbox-view-")
    try:
        database, shards = open_for_reading(folder, RocksMemory(_CACHE_BYTES, _CACHE_BYTES), Path(scratch.name))
    except BaseException:
        scratch.cleanup()
        raise
    return RocksView(database, shards, ttl_ms, now_ms, scratch)
