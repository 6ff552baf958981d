"""The purge deletes what has expired, all of it, and nothing else."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from rowbox.cacheserver.stores.port import Put, RowMutation
from rowbox.cacheserver.stores.rocksdb.purge import Expired, Purge
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import META_START
from rowbox.mailbox.errors import StoreDamaged, StoreUnusable

from .rocksdb_fixture import opened

ROW = b"0001/alice"
TTL_MS = {Family.MESSAGES: 1000, Family.DEDUPE: 100}
NOW_MS = 1_000_000


async def _put(store: RocksStore, family: Family, qualifiers: Sequence[bytes], age_ms: int, row: bytes = ROW) -> None:
    await store.mutate([RowMutation(row, [Put(family, q, b"v") for q in qualifiers])], NOW_MS - age_ms)


def _keys(store: RocksStore, family: Family) -> int:
    """The columns of rows; the store's own row is not one of them."""
    columns = list(store._database.families[family].keys())
    return sum(isinstance(key, bytes) and not key.startswith(META_START) for key in columns)


async def _round(store: RocksStore, limit: int = 1000) -> None:
    """Walks every family that expires once."""
    ended = 0
    while ended < len(TTL_MS):
        await store.purge.step(limit)
        ended += store.purge._position == b""


async def test_expired_columns_go_and_the_others_stay(tmp_path: Path) -> None:
    async with opened(tmp_path, ttl_ms=TTL_MS, now_ms=lambda: NOW_MS) as store:
        own = {family: _keys(store, family) for family in Family}
        for family in Family:
            await _put(store, family, [b"old"], 5000)
            await _put(store, family, [b"edge"], TTL_MS.get(family, 100))
            await _put(store, family, [b"young"], 0)
        await _round(store)
        left = {family: _keys(store, family) - own[family] for family in Family}
        assert left == {f: 2 if f in TTL_MS else 3 for f in Family}
        assert (store.purge.deleted, store.purge.looked_at) == (2, 6)


async def test_a_step_is_bounded_and_the_next_goes_on_where_it_stood(tmp_path: Path) -> None:
    async with opened(tmp_path, ttl_ms=TTL_MS, now_ms=lambda: NOW_MS) as store:
        for row in (b"0001/a", b"0001/b", b"0002/c"):
            await _put(store, Family.MESSAGES, [b"%02d" % number for number in range(10)], 5000, row)
        deleted = [await store.purge.step(4) for _ in range(8)]
        assert deleted == [4, 4, 4, 4, 4, 4, 4, 2]
        assert _keys(store, Family.MESSAGES) == 0


async def test_a_column_written_anew_after_the_purge_saw_it_stays(tmp_path: Path) -> None:
    async with opened(tmp_path, ttl_ms=TTL_MS, now_ms=lambda: NOW_MS) as store:
        await _put(store, Family.DEDUPE, [b"used again", b"not"], 5000)
        find = store.purge._find

        async def find_and_be_overtaken(family: Family, start: bytes, limit: int) -> object:
            found = await find(family, start, limit)
            if found.keys:
                await _put(store, Family.DEDUPE, [b"used again"], 0)
            return found

        store.purge._find = find_and_be_overtaken  # type: ignore[assignment]
        await _round(store)
        assert await store.get_row(ROW, [Family.DEDUPE]) == {Family.DEDUPE: [(b"used again", b"v")]}
        assert store.purge.deleted == 1


async def test_the_task_walks_beside_writes_until_it_is_stopped(tmp_path: Path) -> None:
    async with opened(tmp_path, ttl_ms=TTL_MS, now_ms=lambda: NOW_MS) as store:
        await _put(store, Family.MESSAGES, [b"%03d" % number for number in range(900)], 5000)
        store.purge.loop.start()
        store.purge.loop.start()
        while store.purge.deleted < 900:
            await _put(store, Family.INDEX, [b"written meanwhile"], 0)
        await store.purge.loop.close()
        await store.purge.loop.close()
        assert _keys(store, Family.MESSAGES) == 0


async def test_closing_stops_the_task(tmp_path: Path) -> None:
    async with opened(tmp_path, ttl_ms=TTL_MS) as store:
        store.purge.loop.start()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "purge"]


async def test_a_store_without_ttls_has_nothing_to_purge(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        store.purge.loop.start()
        assert await store.purge.step() == 0


async def test_a_store_that_broke_is_reported_once_and_not_by_the_purge_too(caplog: pytest.LogCaptureFixture) -> None:
    async def find(family: Family, start: bytes, limit: int) -> Expired:
        raise StoreUnusable("the store is broken")

    async def delete(family: Family, keys: Sequence[bytes]) -> int:
        return 0

    purge = Purge([Family.LOG], find, delete)
    purge.loop.start()
    await asyncio.sleep(0)
    await purge.loop.close()
    assert purge.loop.failures == 1
    assert not caplog.records


async def test_a_damaged_family_does_not_keep_the_others_from_being_purged() -> None:
    walked: list[Family] = []

    async def find(family: Family, start: bytes, limit: int) -> Expired:
        walked.append(family)
        if family is Family.LOG:
            raise StoreDamaged("a file of it is torn")
        return Expired([], 0, None)

    async def delete(family: Family, keys: Sequence[bytes]) -> int:
        return 0

    purge = Purge([Family.LOG, Family.DEDUPE], find, delete)
    for _ in range(4):
        with suppress(StoreDamaged):
            await purge.step()
    assert walked == [Family.LOG, Family.DEDUPE] * 2
