"""A device without room, and one that fails while it writes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rocksdict import WriteBatch, WriteOptions

from rowbox.cacheserver.stores.files.disk import DiskGuard
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.errors import StoreFull, StoreUnavailable, StoreUnusable
from tests.integration.support.small_disk import SmallDisk

from .rocksdb_fixture import MIB, group, line, numbers, open_store, opened, writer

_DEVICE_BYTES = 32 * MIB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A small file system of its own."""
    with SmallDisk.mounted(tmp_path / "device", _DEVICE_BYTES) as mounted:
        yield mounted


async def test_without_room_a_write_is_refused_whole_until_there_is_room_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        free, now_s = 100 * MIB, 0.0
        store._guard = DiskGuard(tmp_path, 10 * MIB, lambda _: free, lambda: now_s)
        await store.mutate(group(0), 0)
        free, now_s = 9 * MIB, 1.0
        with pytest.raises(StoreFull, match="min_free_bytes asks for 10 MiB") as refusal:
            await store.mutate(group(1), 1)
        assert refusal.value.retry_after_ms
        with pytest.raises(StoreFull):
            await store.compare_and_set(b"0001/user00", Family.INDEX, b"c", None, b"1")
        assert await numbers(store) == [0]
        free, now_s = 11 * MIB, 2.0
        await store.mutate(group(2), 2)
        assert await numbers(store) == [0, 2]


@pytest.mark.integration
async def test_a_full_device_refuses_writes_and_reads_go_on(disk: SmallDisk) -> None:
    async with opened(disk.folder, min_free_bytes=8 * MIB) as store:
        await store.mutate(group(0), 0)
        with (disk.mount / "ballast").open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, _DEVICE_BYTES - 6 * MIB)
        store._guard = DiskGuard(disk.mount, 8 * MIB)  # a fresh one: its first look is now
        with pytest.raises(StoreFull):
            await store.mutate(group(1), 1)
        assert await numbers(store) == [0]
        (disk.mount / "ballast").unlink()
        store._guard = DiskGuard(disk.mount, 8 * MIB)
        await store.mutate(group(2), 2)
    async with opened(disk.folder) as store:
        assert await numbers(store) == [0, 2]


async def _fill(store: RocksStore, confirmed: list[int]) -> None:
    for number in range(_DEVICE_BYTES // MIB * 4):
        await store.mutate(group(number, value=os.urandom(60_000)), number)
        confirmed.append(number)


@pytest.mark.integration
async def test_a_device_that_fills_up_without_a_guard_loses_nothing(
    disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that meets it breaks the store. Where a flush does, writes wait for room, and not for ever."""
    monkeypatch.setattr("rowbox.cacheserver.stores.rocksdb.store.STALL_S", 0.2)
    broken: list[StoreUnusable] = []
    confirmed: list[int] = []
    store = open_store(disk.folder, on_broken=broken.append)
    with pytest.raises((StoreUnusable, StoreUnavailable), match=r"What was confirmed is safe|is full") as failure:
        await _fill(store, confirmed)
    assert broken == [failure.value] * isinstance(failure.value, StoreUnusable)
    await store.close()
    disk.grow(2 * _DEVICE_BYTES)
    async with opened(disk.folder) as again:
        assert (await numbers(again))[: len(confirmed)] == confirmed


@pytest.mark.integration
async def test_a_write_that_fails_ends_the_store_for_good(tmp_path: Path) -> None:
    with writer(tmp_path, "0", "1000", str(64 << 10)) as process:
        said = [line(process)]
        while not said[-1].startswith("failed"):
            said.append(line(process))
        confirmed = [int(word) for word in said if word.isdigit()]
        assert said[-2:] == ["on_broken store_unusable", "failed StoreUnusable"]
        assert line(process) == "StoreUnusable StoreUnusable StoreUnusable"
    assert len(confirmed) > 10
    async with opened(tmp_path) as store:
        found = await numbers(store)
    assert found[: len(confirmed)] == confirmed
    assert len(found) <= len(confirmed) + 1


async def test_a_write_that_rocksdb_holds_back_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stall refuses the write and uses up its batch (rocksdict): the second try must hold all of it."""
    async with opened(tmp_path) as store:
        is_written, tries = store._is_written, list[int]()

        def held_back_once(batch: WriteBatch, options: WriteOptions) -> bool:
            tries.append(batch.len())
            return len(tries) > 1 and is_written(batch, options)

        monkeypatch.setattr(store, "_is_written", held_back_once)
        await store.mutate(group(0), 0)
        assert tries == [12, 12]
        assert await numbers(store) == [0]


async def test_a_write_that_is_held_back_for_long_is_refused_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rowbox.cacheserver.stores.rocksdb.store.STALL_S", 0)
    async with opened(tmp_path) as store:
        with monkeypatch.context() as patched:
            patched.setattr(store, "_is_written", lambda *_: False)
            with pytest.raises(StoreUnavailable, match="is full or does not keep up"):
                await store.mutate(group(0), 0)
        await store.mutate(group(1), 1)
        assert await numbers(store) == [1]
