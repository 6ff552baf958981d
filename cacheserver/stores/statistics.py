"""A store's own figures for the metrics."""

from collections.abc import Iterable

from rowbox.cacheserver.background import BackgroundLoop, background_samples
from rowbox.cacheserver.samples import Kind, Sample
from rowbox.cacheserver.stores.port import StoreReader, StoreStats
from rowbox.mailbox.clocks.clock import US_PER_S

STATS_INTERVAL_S = 10.0


class StoreStatistics:
    """A store's own figures, asked for every STATS_INTERVAL_S, because a scrape must not wait for a device."""

    def __init__(self, store: StoreReader) -> None:
        self._store = store
        self._stats: StoreStats | None = None
        self.loop = BackgroundLoop("statistics", self._ask)
        """The loop that asks: once started it asks at once, and from then on every STATS_INTERVAL_S."""

    def samples(self) -> Iterable[Sample]:
        """What the store last said of itself."""
        yield from background_samples((self.loop,))
        stats = self._stats
        if stats is None:
            return
        numbers: tuple[tuple[str, Kind, str, float], ...] = (
            ("rowbox_store_disk_bytes", "gauge", "Size of the embedded store on its device.", stats.disk_bytes),
            (
                "rowbox_store_block_cache_bytes",
                "gauge",
                "What the cache of the embedded store's blocks takes.",
                stats.block_cache_bytes,
            ),
            (
                "rowbox_store_memtable_bytes",
                "gauge",
                "What was written and is not yet in a file of the embedded store.",
                stats.memtable_bytes,
            ),
            (
                "rowbox_store_syncs_total",
                "counter",
                "Times that the embedded store synced its log to the device.",
                stats.syncs,
            ),
            ("rowbox_store_device_bytes", "gauge", "Size of the file system of the store.", stats.device_bytes),
            (
                "rowbox_store_device_free_bytes",
                "gauge",
                "Room that is left on the file system of the store.",
                stats.device_free_bytes,
            ),
            (
                "rowbox_store_min_free_bytes",
                "gauge",
                "With less room than this left, writes are refused: store.min_free_bytes.",
                stats.min_free_bytes,
            ),
            ("rowbox_store_refused_writes_total", "counter", "Writes refused for want of room.", stats.refused),
            (
                "rowbox_last_backup_timestamp_seconds",
                "gauge",
                "As of when the last copy is that `rowbox backup` made.",
                stats.last_backup_us // US_PER_S,
            ),
        )
        for name, kind, text, value in numbers:
            if value >= 0:
                yield name, kind, text, {}, value

    async def _ask(self) -> float:
        self._stats = await self._store.stats()
        return STATS_INTERVAL_S
