"""A store of a Rowbox that knew no shards: its cluster's row, with the owner of everything, and its mailboxes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, ClusterCells, MapCell, NodeCell, own_place
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.hbase_schema.families import ttl_ms
from rowbox.mailbox.fence import map_version_of
from tests.checking import assert_no_findings
from tests.cluster.servers import Server
from tests.cluster.world import LEASE
from tests.golden.old_stores import OldStore, answer_again, is_refused, old_store
from tests.support.cluster import UNLIMITED
from tests.support.virtual_time import WallClock, virtual_time

PATIENCE_S = (LEASE.ttl_ms + LEASE.margin_ms) / 1000
OWNER = NodeCell("0f1e2d3c4b5a69788796a5b4c3d2e1f0", 7, "alive", "host, process 12")


@asynccontextmanager
async def upgraded(old: OldStore, owner: NodeCell) -> AsyncIterator[tuple[Server, ClusterCells]]:
    """A server of today over that store, whose last owner's cell is `owner`."""
    clock = WallClock()
    clock.jump((old.now_us - clock.now_us()) / 1_000_000)
    store = MemoryStore(old.shards, ttl_ms(UNLIMITED.store), late_writes=True, now_ms=clock.now_ms)
    await old.write_to(store)
    cells = ClusterCells(store)
    await cells.swap(await cells.read(), own_place(owner.incarnation), owner)
    named = MapCell(old.map_version, owner.incarnation, owner.address)
    await cells.swap(await cells.read(), MAP_PLACE, named)
    server = Server("new", store, clock)
    server.node.start()
    yield server, cells
    await server.node.close()
    await assert_no_findings(store, UNLIMITED, clock.now_us())


async def assert_answers_as_then(server: Server, old: OldStore) -> None:
    assert server.node.owner is not None
    for answer in old.answers:
        assert await answer_again(server.node.owner, answer) == answer
    for bearer in old.bearers:
        assert await is_refused(server.node.owner, bearer) == bearer["is_refused"], bearer


@pytest.mark.parametrize("name", ["cluster", "cluster-2"])
@virtual_time
async def test_a_store_whose_old_owner_stopped_is_owned_at_once_and_answers_as_it_did(name: str) -> None:
    old = old_store(name)
    async with upgraded(old, replace(OWNER, status="stopped")) as (server, _):
        async with asyncio.timeout(1.0):
            await server.owning()
        await assert_answers_as_then(server, old)
        membership = server.node._membership
        assert membership is not None
        assert map_version_of(membership.ownership.grant_of(0).epoch) == old.map_version + 1
        await server.send("hello")


@virtual_time
async def test_an_old_owner_that_lives_is_waited_for_and_named() -> None:
    old = old_store("cluster-2")
    async with upgraded(old, OWNER) as (server, cells):
        for beat in range(30):
            state = await cells.read()
            if isinstance(state.map, MapCell):
                place = own_place(OWNER.incarnation)
                await cells.swap(state, place, replace(OWNER, beat=8 + beat))
            await asyncio.sleep(1.0)
        assert server.node.owner is None
        (why,) = server.node.unready_reasons()
        assert why == "the server at host, process 12, an older Rowbox, owns the mailboxes: it has to be stopped first"
        state = await cells.read()
        await cells.swap(state, own_place(OWNER.incarnation), replace(OWNER, beat=99, status="stopped"))
        async with asyncio.timeout(2.0):
            await server.owning()
        await assert_answers_as_then(server, old)


@virtual_time
async def test_an_old_owner_that_died_is_declared_dead() -> None:
    old = old_store("cluster-2")
    async with upgraded(old, OWNER) as (server, _):
        await asyncio.sleep(PATIENCE_S - 1.0)
        assert server.node.owner is None
        async with asyncio.timeout(3.0):
            await server.owning()
        await assert_answers_as_then(server, old)
