"""Opening a folder that should not be opened: a clear error with the way out, and the data left as it was."""

from pathlib import Path

import pytest
from rocksdict import Options

from rowbox.hbase_schema import families
from rowbox.mailbox.errors import StoreDamaged, StoreLocked, StoreUnusable, StoreVersionMismatch

from .rocksdb_fixture import MIB, SHARDS, files, group, line, numbers, open_store, opened, writer


async def _made(folder: Path, commits: int = 3) -> None:
    async with opened(folder) as store:
        for number in range(commits):
            await store.mutate(group(number), number)


async def test_a_closed_store_opens_again_with_everything_in_it(tmp_path: Path) -> None:
    await _made(tmp_path / "new" / "store")
    async with opened(tmp_path / "new" / "store") as store:
        assert await numbers(store) == [0, 1, 2]


async def test_an_orderly_end_leaves_nothing_in_the_write_ahead_log(tmp_path: Path) -> None:
    await _made(tmp_path)
    assert set(files(tmp_path, "*.log").values()) == {b""}


@pytest.mark.integration
async def test_a_second_process_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    with writer(tmp_path, "0", "3") as process:
        assert [line(process) for _ in range(4)] == ["ready", "0", "1", "2"]
        before = files(tmp_path)
        with pytest.raises(StoreLocked, match=f"process {process.pid}: stop that first"):
            open_store(tmp_path)
        assert files(tmp_path) == before
        process.kill()
        process.wait()
    async with opened(tmp_path) as store:
        assert await numbers(store) == [0, 1, 2]


async def test_a_second_open_in_the_same_process_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(StoreLocked):
            open_store(tmp_path)


async def test_another_number_of_shards_is_refused_naming_both(tmp_path: Path) -> None:
    await _made(tmp_path)
    with pytest.raises(StoreVersionMismatch, match=r"made with 64 shards, the settings say 128: set shards = 64"):
        open_store(tmp_path, shards=128)
    async with opened(tmp_path) as store:
        assert store.shards == SHARDS
        assert await numbers(store) == [0, 1, 2]


async def test_another_schema_version_is_refused_naming_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await _made(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("rowbox.cacheserver.stores.rocksdb.database.SCHEMA_VERSION", families.SCHEMA_VERSION + 1)
        with pytest.raises(StoreVersionMismatch, match="has schema version 1, this Rowbox has 2: run the Rowbox"):
            open_store(tmp_path)
    async with opened(tmp_path) as store:
        assert await numbers(store) == [0, 1, 2]


async def test_a_later_versions_further_family_is_a_version_mismatch_and_no_damage(tmp_path: Path) -> None:
    await _made(tmp_path)
    store = open_store(tmp_path)
    rocks = store._database.rocks
    rocks.create_column_family("p", Options(raw_mode=True)).close()
    rocks.put(b"schema_version", b"2")
    await store.close()
    with pytest.raises(StoreVersionMismatch, match="has schema version 2"):
        open_store(tmp_path)


async def test_a_folder_of_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"sea")
    with pytest.raises(StoreDamaged, match="CURRENT"):
        open_store(tmp_path)
    assert (tmp_path / "holiday.jpg").read_bytes() == b"sea"


async def test_a_making_that_was_killed_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "rowbox.unfinished").touch()
    (tmp_path / "MANIFEST-000001").write_bytes(b"half")
    await _made(tmp_path)
    assert not (tmp_path / "rowbox.unfinished").exists()


async def test_a_path_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnusable, match="no store can be opened in"):
        open_store(tmp_path / "file" / "store")


async def test_memory_is_bounded_and_counted(tmp_path: Path) -> None:
    """32 MiB through 4 MiB of memtables, then read back through 4 MiB of cache."""
    async with opened(tmp_path) as store:
        highest = 0
        for number in range(512):
            await store.mutate(group(number, rows=1, value=b"%04d" % number * 5_500), number)
            highest = max(highest, (await store.stats()).memtable_bytes)
        assert MIB < highest < 10 * MIB
        for number in range(0, 512, 3):
            assert len(await store.get_range(b"0001/user00", families.Family.MESSAGES, b"%08d" % number, b"9", 2)) >= 1
        figures = await store.stats()
        assert 0 < figures.block_cache_bytes <= 5 * MIB
        assert figures.disk_bytes > MIB
        assert figures.syncs >= 512


async def test_the_owner_keeps_a_bounded_number_of_files_open(tmp_path: Path) -> None:
    """With all of them open, a store that grows ends one day for want of a descriptor."""
    store = open_store(tmp_path, max_open_files=64, memtable_bytes=MIB)
    try:
        for number in range(30):
            await store.mutate(group(number), number)
        assert await numbers(store) == list(range(30))
    finally:
        await store.close()
    assert "Options.max_open_files: 64\n" in (tmp_path / "LOG").read_text()
