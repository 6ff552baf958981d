"""Every implementation of the store port, for the one suite that all of them pass.

A store is added by a line in STORES. TTLs are tested by puts with old timestamps, not by moving a clock: a real
cluster's clock cannot be moved.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from time import time_ns

import pytest

from rowbox.cacheserver.stores.hbase.store import HBaseStore
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cacheserver.stores.port import Store
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.hbase_schema.families import LOG_MARGIN_MS, Family
from rowbox.mailbox.settings.config import HBaseAddress, StoreSettings
from tests.support.hbase_cluster import HBase
from tests.support.hbase_table import made_table

SHARDS = 64
TTL_MS = {Family.MESSAGES: 90 * 86_400_000, Family.LOG: 8 * 86_400_000, Family.DEDUPE: 7 * 86_400_000}


class Stamps:
    """Timestamps as the port asks for them: real time, strictly rising."""

    def __init__(self) -> None:
        self.now_ms = time_ns() // 1_000_000
        self._next = count(self.now_ms)

    def next(self) -> int:
        return next(self._next)


async def _memory(request: pytest.FixtureRequest, stamps: Stamps, *, late_writes: bool) -> Store:
    return MemoryStore(SHARDS, TTL_MS, late_writes=late_writes, now_ms=lambda: stamps.now_ms)


async def _rocksdb(request: pytest.FixtureRequest, stamps: Stamps) -> Store:
    folder: Path = request.getfixturevalue("tmp_path")
    return RocksStore.open(
        folder / "store",
        SHARDS,
        TTL_MS,
        block_cache_bytes=8 << 20,
        memtable_bytes=8 << 20,
        min_free_bytes=0,
        now_ms=lambda: stamps.now_ms,
    )


async def _hbase(request: pytest.FixtureRequest, stamps: Stamps) -> Store:
    hbase: HBase = request.getfixturevalue("hbase")
    return await HBaseStore.open(request.getfixturevalue("hbase_table"), hbase.settings())


STORES: dict[str, Callable[[pytest.FixtureRequest, Stamps], Awaitable[Store]]] = {
    "memory-embedded": partial(_memory, late_writes=False),
    "memory-late": partial(_memory, late_writes=True),
    "rocksdb": _rocksdb,
    "hbase": _hbase,
}
_MARKS: dict[str, tuple[pytest.MarkDecorator, ...]] = {
    "hbase": (pytest.mark.integration, pytest.mark.tools("java", "mvn"))
}


@pytest.fixture
def hbase_table(hbase: HBase) -> Iterator[HBaseAddress]:
    """A table with the TTLs and the shards that this suite expects, in regions that cut its rows apart."""
    settings = StoreSettings(
        shards=SHARDS,
        retention_ms=TTL_MS[Family.MESSAGES],
        token_life_ms=TTL_MS[Family.LOG] - LOG_MARGIN_MS,
        dedupe_life_ms=TTL_MS[Family.DEDUPE],
    )
    with made_table(hbase, settings) as address:
        yield address


@pytest.fixture
def stamps() -> Stamps:
    return Stamps()


@pytest.fixture(params=[pytest.param(name, marks=_MARKS.get(name, ())) for name in sorted(STORES)])
async def store(request: pytest.FixtureRequest, stamps: Stamps) -> AsyncIterator[Store]:
    opened = await STORES[request.param](request, stamps)
    yield opened
    await opened.close()
