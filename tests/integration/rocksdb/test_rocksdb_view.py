"""A view beside the owner: the store as of its opening, whatever the owner does, and nothing of it disturbed."""

from pathlib import Path

import pytest

from rowbox.cacheserver.stores.rocksdb.view import open_reader
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.errors import StoreUnavailable, StoreUnusable

from .rocksdb_fixture import SHARDS, files, group, line, numbers, opened, writer


async def test_a_view_stands_still_while_the_owner_writes_flushes_and_compacts(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for number in range(3):
            await store.mutate(group(number), number)
        view = open_reader(tmp_path, {})
        for number in range(3, 40):
            await store.mutate(group(number), number)
        database = store._database
        for family in database.families.values():
            family.flush()
            family.compact_range(None, None)
        assert await numbers(view) == [0, 1, 2]
        assert [row for row, _ in await view.scan(range(1, 2), Family.INDEX, None, 10)] == [m.row for m in group(0)]
        assert view.shards == SHARDS
        await view.close()
        later = open_reader(tmp_path, {})
        assert await numbers(later) == list(range(40))
        await later.close()
        assert await numbers(store) == list(range(40))


async def test_a_view_leaves_no_trace_in_the_folder(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.mutate(group(0), 0)
        before = files(tmp_path)
        view = open_reader(tmp_path, {})
        await view.verify()
        assert (await view.stats())[2:5] == (-1, -1, -1)
        await view.close()
        assert files(tmp_path) == before


async def test_a_view_of_a_store_that_nobody_has_open(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.mutate(group(0), 0)
    view = open_reader(tmp_path, {})
    assert await numbers(view) == [0]
    await view.close()
    with pytest.raises(StoreUnavailable):
        await view.get_row(b"0001/user00", [Family.INDEX])


async def test_where_no_store_is_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="there is no store in"):
        open_reader(tmp_path / "nowhere", {})


@pytest.mark.integration
async def test_a_view_beside_another_process_sees_all_it_had_confirmed(tmp_path: Path) -> None:
    with writer(tmp_path) as process:
        assert line(process) == "ready"
        for _ in range(8):
            confirmed = [int(line(process)) for _ in range(40)][-1]
            view = open_reader(tmp_path, {})
            found = await numbers(view)
            assert found == list(range(len(found)))
            assert found[-1] >= confirmed
            await view.close()
        assert process.poll() is None
