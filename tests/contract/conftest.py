"""Every implementation of the store port, for the one suite that all of them pass.

A store is added by a line in STORES. TTLs are tested by puts with old timestamps, not by moving a clock: a real
cluster's clock cannot be moved.
"""

from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path
from time import time_ns

import pytest

from rowbox.cacheserver.store import Store
from rowbox.cacheserver.stores.memory import MemoryStore
from rowbox.cacheserver.stores.rocksdb import RocksStore
from rowbox.hbase_schema.families import Family

SHARDS = 64
TTL_MS = {Family.MESSAGES: 90 * 86_400_000, Family.LOG: 8 * 86_400_000, Family.DEDUPE: 7 * 86_400_000}


class Stamps:
    """Timestamps as the port asks for them: real time, strictly rising."""

    def __init__(self) -> None:
        self.now_ms = time_ns() // 1_000_000
        self._next = count(self.now_ms)

    def next(self) -> int:
        return next(self._next)


def _memory(folder: Path, stamps: Stamps, *, late_writes: bool) -> Store:
    return MemoryStore(SHARDS, TTL_MS, late_writes=late_writes, now_ms=lambda: stamps.now_ms)


def _rocksdb(folder: Path, stamps: Stamps) -> Store:
    return RocksStore.open(
        folder / "store",
        SHARDS,
        TTL_MS,
        block_cache_bytes=8 << 20,
        memtable_bytes=8 << 20,
        min_free_bytes=0,
        now_ms=lambda: stamps.now_ms,
    )


STORES: dict[str, Callable[[Path, Stamps], Store]] = {
    "memory-embedded": lambda folder, stamps: _memory(folder, stamps, late_writes=False),
    "memory-late": lambda folder, stamps: _memory(folder, stamps, late_writes=True),
    "rocksdb": _rocksdb,
}


@pytest.fixture
def stamps() -> Stamps:
    return Stamps()


@pytest.fixture(params=sorted(STORES))
async def store(request: pytest.FixtureRequest, tmp_path: Path, stamps: Stamps) -> AsyncIterator[Store]:
    opened = STORES[request.param](tmp_path, stamps)
    yield opened
    await opened.close()
