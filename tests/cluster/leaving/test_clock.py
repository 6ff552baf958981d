"""Servers of a cluster whose clocks are wrong: the mailboxes go to one whose clock is right."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rowbox.cacheserver.clocks import StoreClock
from rowbox.cacheserver.node.node import Node, Stores
from rowbox.cacheserver.node.trusted_time import TrustedTime
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.ownership import Ownership
from rowbox.cacheserver.shardmap.shard_map import ListedNode
from rowbox.cacheserver.stores.clock_memory import CellMemory
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cacheserver.stores.port import Store
from rowbox.hbase_schema.families import ttl_ms
from rowbox.mailbox.clocks.clock_trust import by_word
from rowbox.mailbox.errors import ClockInDoubt, HandoverInProgress
from tests.checking import assert_no_findings
from tests.cluster.servers import Server
from tests.cluster.world import LEASE, SHARDS, planned
from tests.support.cluster import UNLIMITED
from tests.support.virtual_time import WallClock, virtual_time

YEAR_S = 365 * 86_400.0


class ClockedServer(Server):
    """On a machine of its own, whose clock can be set."""

    def __init__(self, name: str, store: MemoryStore) -> None:
        self.clock = WallClock()
        super().__init__(name, store, self.clock)
        loop = asyncio.get_running_loop()
        self.time = TrustedTime(wall_us=self.clock.now_us, boot_s=loop.time, saves=lambda: self.node.keeps_time)
        self.store_clock = StoreClock(self.time.now_us)
        self.node = Node(
            self._open,
            self._owner,
            LEASE,
            ListedNode("", name),
            name,
            self.broken.append,
            plan=planned,
            time=self.time,
            now_s=loop.time,
            now_us=self.clock.now_us,
        )

    async def _open(self) -> Stores:
        stores = await super()._open()
        await self.time.begin(CellMemory(stores.cells))
        self.time.loop.start()
        return stores

    def _owner(self, store: Store, ownership: Ownership) -> Owner:
        return Owner(store, UNLIMITED, ownership=ownership, time=self.time, clock=self.store_clock)

    async def close(self) -> None:
        await self.time.close()
        await self.node.close()


@asynccontextmanager
async def clocked_servers(*names: str) -> AsyncIterator[list[ClockedServer]]:
    """The first owns, and has taken a message."""
    right = WallClock()
    store = MemoryStore(SHARDS, ttl_ms(UNLIMITED.store), late_writes=True, now_ms=right.now_ms)
    servers = [ClockedServer(name, store) for name in names]
    servers[0].node.start()
    await servers[0].owning()
    await servers[0].send("one")
    yield servers
    for server in servers:
        await server.close()
    await assert_no_findings(store, UNLIMITED, right.now_us())


@asynccontextmanager
async def two_servers() -> AsyncIterator[tuple[ClockedServer, ClockedServer]]:
    async with clocked_servers("first", "second") as (first, second):
        yield first, second


def difference_s(server: ClockedServer) -> float:
    """As its metrics say."""
    name = "rowbox_clock_peer_difference_seconds"
    return next(value for sample, *_, value in server.node.samples() if sample == name)


def shards_of(server: ClockedServer) -> tuple[int, ...]:
    """What it owns, by the map that it goes by."""
    newest = server.node.view.newest
    return () if newest is None else newest.shards_of(server.node.incarnation)


async def says_yes(server: ClockedServer) -> None:
    """`rowbox clock accept` on that server's machine."""
    memory = CellMemory(server.wire)
    await memory.swap(await memory.read(), by_word(server.clock.now_us(), "yes"))


@virtual_time
async def test_an_owner_whose_clock_is_set_leaves_the_mailboxes_to_a_server_that_is_right() -> None:
    async with two_servers() as (first, second):
        second.node.start()
        await asyncio.sleep(5)
        first.clock.jump(YEAR_S)
        await second.owning()
        await second.send("two")
        assert len(await second.texts()) == 2
        assert not second.node.unready_reasons()
        assert any("set forward by 365 d" in reason for reason in first.node.unready_reasons())


@virtual_time
async def test_a_server_that_starts_years_behind_does_not_confirm_what_would_be_gone() -> None:
    async with two_servers() as (first, second):
        await asyncio.sleep(5)
        second.clock.jump(-3 * YEAR_S)
        second.node.start()
        await asyncio.sleep(5)
        first.cut_off()
        await asyncio.sleep(20)
        with pytest.raises(HandoverInProgress):  # although there is nobody else
            await second.send("two")
        assert any("behind the latest time" in reason for reason in second.node.unready_reasons())
        second.clock.jump(3 * YEAR_S)
        await second.owning()
        await second.send("two")
        assert len(await second.texts()) == 2
        first.cut_off(is_cut=False)


@virtual_time
async def test_a_server_that_is_an_hour_ahead_of_a_living_owner_does_not_confirm_by_that_clock() -> None:
    async with two_servers() as (first, second):
        second.clock.jump(3600)
        second.node.start()
        await asyncio.sleep(10)
        assert any(
            "59 min 59 s ahead of those of the other servers" in reason for reason in second.node.unready_reasons()
        )
        assert difference_s(second) == pytest.approx(3600, abs=2)

        assert not first.node.unready_reasons()  # or nobody would answer
        assert any("behind the other servers'" in warning for warning in first.node.warnings())
        assert difference_s(first) == pytest.approx(-3600, abs=2)
        await first.send("two")

        first.cut_off()
        await asyncio.sleep(20)
        with pytest.raises(HandoverInProgress):  # although there is nobody else
            await second.send("three")
        second.clock.jump(-3600)
        await second.owning()
        await second.send("three")
        first.cut_off(is_cut=False)
        await asyncio.sleep(10)
        assert difference_s(first) == difference_s(second) == 0


@virtual_time
async def test_the_last_owner_whose_clock_is_not_believed_stays_and_confirms_nothing() -> None:
    async with two_servers() as (first, _):
        first.clock.jump(3600)
        await asyncio.sleep(20)
        with pytest.raises(ClockInDoubt):
            await first.send("two")
        first.clock.jump(-3600)
        await asyncio.sleep(2)
        await first.send("two")
        assert first.node.takeovers == 1


@virtual_time
async def test_a_standby_whose_clock_is_set_right_is_believed_at_once_and_takes_over() -> None:
    async with two_servers() as (first, second):
        second.clock.jump(40)
        second.node.start()
        await asyncio.sleep(10)
        assert second.time.doubt
        second.clock.jump(-40)
        await asyncio.sleep(2)
        assert not second.time.doubt
        first.cut_off()
        await second.owning()
        await second.send("two")
        first.cut_off(is_cut=False)


@virtual_time
async def test_an_owner_that_is_off_from_two_that_agree_leaves_the_mailboxes_to_them() -> None:
    async with clocked_servers("first", "second", "third") as servers:
        first, *others = servers
        for server in others:
            server.clock.jump(40)
            server.node.start()
        await asyncio.sleep(15)
        assert any("39 s behind those of the other servers" in reason for reason in first.node.unready_reasons())
        assert first.node.owner is None
        assert sum(len(shards_of(server)) for server in others) == SHARDS


@virtual_time
async def test_an_operators_word_ends_what_a_server_that_is_gone_has_said() -> None:
    async with two_servers() as (first, second):
        second.clock.jump(3600)
        second.node.start()
        await asyncio.sleep(10)
        await first.close()
        await asyncio.sleep(120)
        with pytest.raises(HandoverInProgress):
            await second.send("two")
        await says_yes(second)
        await second.owning()
        await second.send("two")


@virtual_time
async def test_an_owner_whose_clock_is_set_right_leaves_the_mailboxes_to_the_one_that_spoke_against_it() -> None:
    async with two_servers() as (first, second):
        second.clock.jump(3600)
        second.node.start()
        await asyncio.sleep(10)
        assert second.time.doubt
        first.clock.jump(3600)  # the owner was the wrong one: its step is in doubt, and it takes back what it said
        await second.owning()
        await second.send("two")


@virtual_time
async def test_servers_whose_clocks_are_nine_seconds_apart_are_ready_over_a_slow_store() -> None:
    async with two_servers() as (first, second):
        second.clock.jump(-9)
        second.node.start()
        first.wire.be_within(0.1, 0.3)
        second.wire.be_within(0.1, 0.3)
        for _ in range(60):
            await asyncio.sleep(1)
            assert not first.node.unready_reasons()
            assert not second.time.doubt
            assert difference_s(first) == difference_s(second) == 0


@virtual_time
async def test_two_standbys_whose_clocks_were_set_do_not_outvote_the_owner() -> None:
    async with clocked_servers("first", "second", "third") as (first, *others):
        for server in others:
            server.node.start()
        await asyncio.sleep(10)
        for server in others:
            server.clock.jump(YEAR_S)
        await asyncio.sleep(10)
        assert all("set forward by 365 d" in server.time.doubt for server in others)
        assert not first.node.unready_reasons()
        await first.send("two")


@virtual_time
async def test_a_clock_that_was_set_stays_in_doubt_when_the_one_that_spoke_against_it_is_set_as_well() -> None:
    async with two_servers() as (first, second):
        second.node.start()
        await asyncio.sleep(10)
        second.clock.jump(3600)
        await asyncio.sleep(10)
        first.clock.jump(-3600)
        await asyncio.sleep(10)
        assert "set forward by 1 h" in second.time.doubt
        assert "set back by 1 h" in first.time.doubt
