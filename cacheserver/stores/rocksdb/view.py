"""Reading a store beside the server that owns it: what `rowbox check` and `rowbox stats` open.

A view stands still: it is the store as of its opening (what was confirmed before it is in it). It writes nothing into
the folder and does not disturb the owner, who may flush, compact and delete files meanwhile: the view has them open.
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
    """A reader that owns its scratch folder."""

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
        """The owner's memory and syncs are not to be seen from here."""
        return (await super().stats())._replace(block_cache_bytes=-1, memtable_bytes=-1, syncs=-1)

    def _close_blocking(self) -> None:
        super()._close_blocking()
        self._scratch.cleanup()


def open_reader(folder: Path, ttl_ms: TtlMs, *, now_ms: Callable[[], int] = wall_clock_ms) -> RocksView:
    """The store in `folder` as of now, whether a server runs on it or not; errors as RocksStore.open."""
    scratch = TemporaryDirectory(prefix="rowbox-view-")
    try:
        database, shards = open_for_reading(folder, RocksMemory(_CACHE_BYTES, _CACHE_BYTES), Path(scratch.name))
    except BaseException:
        scratch.cleanup()
        raise
    return RocksView(database, shards, ttl_ms, now_ms, scratch)
