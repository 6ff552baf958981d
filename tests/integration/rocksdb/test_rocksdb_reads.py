"""How the adapter reads: at one moment, and without stopping the event loop for a cold disk."""

from pathlib import Path

import pytest
from rocksdict import Rdict, WriteBatch

from rowbox.cacheserver.stores.rocksdb import ranges as rocksdb_ranges
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.hbase_schema.families import Family

from .rocksdb_fixture import group, numbers, opened

ROW = b"0001/user00"


async def test_a_write_between_two_families_of_a_read_is_seen_in_both_or_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as store:
        await store.mutate(group(0), 0)
        honest, writes = rocksdb_ranges.cells_before, list[int]()

        def overtaken(source: Rdict, stop: bytes) -> rocksdb_ranges.Cells:
            cells = honest(source, stop)
            if len(writes) < 3:
                writes.append(len(writes) + 1)
                batch: WriteBatch = store._batch_of(group(writes[-1]), writes[-1])
                store._database.rocks.write(batch)
            return cells

        monkeypatch.setattr(rocksdb_ranges, "cells_before", overtaken)
        row = await store.get_row(ROW, [Family.INDEX, Family.MESSAGES, Family.LOG])
        assert [len(columns) for columns in row.values()] == [4, 4, 4]


def read_ahead(store: RocksStore, patch: pytest.MonkeyPatch) -> list[tuple[Family, bytes]]:
    """What `store` reads ahead in a thread from now on."""
    seen: list[tuple[Family, bytes]] = []
    reads = store._read_ahead

    async def noted(family: Family, key: bytes) -> None:
        seen.append((family, key))
        await reads(family, key)

    patch.setattr(store, "_read_ahead", noted)
    return seen


async def test_a_cold_range_is_read_ahead_in_a_thread_and_a_warm_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rocksdict reads a range with the GIL held: on the loop or off it, a cold one would stop everything."""
    async with opened(tmp_path) as store:
        await store.mutate(group(0), 0)
    async with opened(tmp_path) as store:
        ahead = read_ahead(store, monkeypatch)
        for _ in range(2):
            assert await store.get_row(ROW, [Family.INDEX, Family.LOG])
            assert await store.get_range(ROW, Family.MESSAGES, b"", b"\xff", 9)
            assert len(ahead) == 3


async def test_a_row_in_memory_is_not_read_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path) as store:
        await store.mutate(group(0), 0)
        ahead = read_ahead(store, monkeypatch)
        assert await numbers(store) == [0]
        assert ahead == []
