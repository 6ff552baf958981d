"""A table that is put back while servers run, or whose rows are newer than its map: seen without the verb."""

import asyncio
from typing import Any

import pytest

from rowbox.cacheserver.node.membership import COME_BACK_S
from rowbox.cacheserver.node.put_back import MAP_VERSIONS_LOST, WentBack, end_restore
from rowbox.cacheserver.port import FetchMessages, Page
from rowbox.cacheserver.shardmap.cluster_row import ClusterRow, MapRoot
from rowbox.cacheserver.shardmap.cluster_state import NodeCell
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.stores.history import history_of
from rowbox.cacheserver.stores.memory.cells import MemoryCells
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cacheserver.stores.port import Column, Put, RowMutation
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import FenceCell
from rowbox.mailbox.errors import StoreUnavailable
from rowbox.mailbox.fence import FenceEntry, make_epoch
from tests.cluster.servers import Server, owner_and_other, servers
from tests.cluster.world import LEASE, SHARDS
from tests.support.virtual_time import virtual_time

PATIENCE_S = (LEASE.ttl_ms + LEASE.margin_ms) / 1000
BEATS_S = 3 * LEASE.beat_ms / 1000
BACK_S = COME_BACK_S + BEATS_S
"""Within these, everybody who was replaced by a restore is back."""


def put_back(store: MemoryStore, copy: MemoryCells) -> None:
    """The same table, with what it held then: servers that run have it open."""
    store._cells._rows = copy.copy()._rows


async def fetch(server: Server, token: str | None = None) -> Page:
    return await server.node.fetch_messages(FetchMessages("ben", token=token))


@virtual_time
async def test_an_owner_under_which_the_store_is_put_back_ends_and_its_tokens_reset() -> None:
    async with servers() as all_of_them:
        first, _ = await owner_and_other(all_of_them)
        copy = all_of_them.store.snapshot()
        await asyncio.sleep(10.0)  # its own beats are all that goes on in the cluster's row
        await first.send("lost")
        token = (await fetch(first)).token
        put_back(all_of_them.store, copy)
        await asyncio.sleep(BEATS_S + PATIENCE_S)
        await first.owning()
        await first.send("instead")
        page = await fetch(first, token)
        assert (page.is_delta, page.reset_reason) == (False, "restored")
        assert [b'"instead"' in item for item in page.items] == [True, False]


@virtual_time
async def test_a_standby_that_sees_the_map_go_back_ends_the_restore_for_all() -> None:
    async with servers() as all_of_them:
        first, second = await owner_and_other(all_of_them)
        copy = all_of_them.store.snapshot()
        second.node.start()
        third = all_of_them.add("third")
        third.node.start()
        await asyncio.sleep(BEATS_S)
        await first.node.close()
        await asyncio.sleep(BEATS_S)
        before = await history_of(all_of_them.store)
        put_back(all_of_them.store, copy)
        await asyncio.sleep(BEATS_S + PATIENCE_S)
        assert await history_of(all_of_them.store) != before


@virtual_time
async def test_a_row_claimed_under_a_version_above_the_maps_begins_another_history_and_is_served() -> None:
    """A snapshot of HBase is not of one moment: a row may be newer than the map that is in it."""
    async with servers() as all_of_them:
        first, _ = await owner_and_other(all_of_them)
        token = (await fetch(first)).token
        before = await history_of(all_of_them.store)
        epoch = make_epoch(1000, 0)
        ahead = FenceCell(epoch, (FenceEntry(epoch, 0, 0),))
        put = Put(*codec.encode(ahead))
        await all_of_them.store.mutate([RowMutation(row_key("eve", SHARDS), [put])], all_of_them.clock.now_ms())
        await asyncio.gather(first.node.fetch_messages(FetchMessages("eve")), return_exceptions=True)
        await asyncio.sleep(BEATS_S)
        await first.owning()
        assert list((await first.node.fetch_messages(FetchMessages("eve"))).items) == []
        assert await history_of(all_of_them.store) != before
        assert (await fetch(first, token)).reset_reason == "restored"
        again = (await fetch(first)).token
        await asyncio.sleep(10.0)
        assert (await fetch(first, again)).is_delta, "it begins once"
        assert first.node.view.version > 1000


@virtual_time
async def test_after_the_verb_a_server_that_ran_on_answers_with_the_new_history() -> None:
    async with servers() as all_of_them:
        first, _ = await owner_and_other(all_of_them)
        token = (await fetch(first)).token
        await end_restore(all_of_them.store, now_us=all_of_them.clock.now_us)
        await asyncio.sleep(BEATS_S)
        await first.owning()
        assert (await fetch(first, token)).reset_reason == "restored"
        assert first.node.view.version > MAP_VERSIONS_LOST


@virtual_time
async def test_takeovers_stalls_and_stops_do_not_look_like_a_copy() -> None:
    async with servers() as all_of_them:
        first, second = await owner_and_other(all_of_them)
        before = await history_of(all_of_them.store)
        second.node.start()
        await asyncio.sleep(BEATS_S)
        await first.node.close()
        await second.owning()
        third = all_of_them.add("third")
        third.node.start()
        await asyncio.sleep(BEATS_S)
        await second.node.close()
        await third.owning()
        assert await history_of(all_of_them.store) == before


def row_of(map_version: int | None, beat: int | None) -> ClusterRow:
    named = None if map_version is None else MapRoot(map_version, "body", "digest")
    cells = {} if beat is None else {b"n": NodeCell("me", beat, "alive", "here")}
    return ClusterRow(named, cells, {})


def test_only_what_is_older_than_it_was_has_gone_back() -> None:
    seen = WentBack("me")
    looks = [
        (None, None),
        (1, None),
        (1, 1),
        (1, 1),
        (2, 2),
        (2, None),
        (2, 5),
        (2, 4),
        (3, 5),
        (2, 6),
        (None, 7),
        (1, 8),
    ]
    gone = [seen.saw(row_of(*look)) for look in looks]
    assert gone == [False] * 7 + [True, False, True, True, False]


@virtual_time
async def test_no_map_version_of_the_lost_time_is_given_again() -> None:
    """Its owners' late writes would count under it: a thousand changes of ownership were lost."""
    async with servers() as all_of_them:
        await owner_and_other(all_of_them)
        copy = all_of_them.store.snapshot()
        maps = MapStore(all_of_them.store, "somebody", all_of_them.clock.now_ms)
        await maps.change(lambda now: now.next(above=999))
        put_back(all_of_them.store, copy)
        await end_restore(all_of_them.store, now_us=all_of_them.clock.now_us)
        assert (await maps.read()).map.version > 1000


@virtual_time
async def test_nobody_answers_of_the_lost_time_when_others_begin_anew() -> None:
    """One learns of the restore at its next look, which may come late; then its lease says when it is over."""
    async with servers() as all_of_them:
        first, second = await owner_and_other(all_of_them)
        second.node.start()
        await second.listed()
        first.wire.is_slow = True
        await end_restore(all_of_them.store, now_us=all_of_them.clock.now_us)
        first.wire.is_cut = True  # it hears of nothing, and answers for as long as its lease holds
        begun_s = asyncio.get_running_loop().time()
        while second.node.owner is None:
            held = first.node.owner is not None and not first.node.unready_reasons()
            assert not (held and second.node._shards)
            await asyncio.sleep(0.1)
        assert asyncio.get_running_loop().time() - begun_s > PATIENCE_S
        first.wire.is_cut = first.wire.is_slow = False


@virtual_time
async def test_a_server_that_sees_a_restore_before_it_has_an_owner_makes_none_for_the_incarnation_that_ends() -> None:
    async with servers() as all_of_them:
        only = all_of_them.add("only")
        with pytest.MonkeyPatch.context() as patch:

            async def refused(*_: Any) -> list[Column]:
                raise StoreUnavailable("not here")

            patch.setattr(only.mail, "get_columns", refused)
            only.node.start()
            await asyncio.sleep(BEATS_S)
            copy = all_of_them.store.snapshot()
            await asyncio.sleep(BEATS_S)
            put_back(all_of_them.store, copy)
        async with asyncio.timeout(BACK_S + PATIENCE_S):
            await only.owning()
        assert only.node.takeovers == 1
        await only.send("one")
