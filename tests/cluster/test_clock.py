"""Servers of a cluster whose clocks are wrong: the mailboxes go to one whose clock is right."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rowbox.cacheserver.clock_memory import CellMemory
from rowbox.cacheserver.clocks import StoreClock
from rowbox.cacheserver.node import Node, Stores
from rowbox.cacheserver.owner import Owner
from rowbox.cacheserver.ownership import Ownership
from rowbox.cacheserver.store import Store
from rowbox.cacheserver.stores.memory import MemoryStore
from rowbox.cacheserver.trusted_time import TrustedTime
from rowbox.hbase_schema.families import ttl_ms
from rowbox.mailbox.errors import ClockInDoubt
from tests.checking import assert_no_findings
from tests.cluster.servers import Server
from tests.cluster.world import LEASE, SHARDS
from tests.support.cluster import UNLIMITED
from tests.support.virtual_time import WallClock, virtual_time

YEAR_S = 365 * 86_400.0


class ClockedServer(Server):
    """On a machine of its own, whose clock can be set."""

    def __init__(self, name: str, store: MemoryStore) -> None:
        self.clock = WallClock()
        super().__init__(name, store, self.clock)
        loop = asyncio.get_running_loop()
        self.time = TrustedTime(wall_us=self.clock.now_us, boot_s=loop.time, saves=lambda: self.node.owner is not None)
        self.store_clock = StoreClock(self.time.now_us)
        self.node = Node(self._open, self._owner, LEASE, name, self.broken.append, time=self.time, now_s=loop.time)

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
async def two_servers() -> AsyncIterator[tuple[ClockedServer, ClockedServer]]:
    """The first owns, and has taken a message."""
    right = WallClock()
    store = MemoryStore(SHARDS, ttl_ms(UNLIMITED.store), late_writes=True, now_ms=right.now_ms)
    first, second = ClockedServer("first", store), ClockedServer("second", store)
    first.node.start()
    await first.node.owning()
    await first.send("one")
    yield first, second
    for server in (first, second):
        await server.close()
    await assert_no_findings(store, UNLIMITED, right.now_us())


@virtual_time
async def test_an_owner_whose_clock_is_set_leaves_the_mailboxes_to_a_server_that_is_right() -> None:
    async with two_servers() as (first, second):
        second.node.start()
        await asyncio.sleep(5)
        first.clock.jump(YEAR_S)
        await second.node.owning()
        await second.send("two")
        assert len(await second.texts()) == 2
        assert not second.node.unready_reasons()
        assert any("set forward by 365 d" in reason for reason in first.node.unready_reasons())


@virtual_time
async def test_a_standby_that_starts_years_behind_does_not_confirm_what_would_be_gone() -> None:
    async with two_servers() as (first, second):
        await asyncio.sleep(5)
        second.clock.jump(-3 * YEAR_S)
        second.node.start()
        await asyncio.sleep(5)
        first.cut_off()
        await second.node.owning()  # there is nobody else
        with pytest.raises(ClockInDoubt):
            await second.send("two")
        assert any("behind the latest time" in reason for reason in second.node.unready_reasons())
        second.clock.jump(3 * YEAR_S)
        await asyncio.sleep(2)
        await second.send("two")
        assert len(await second.texts()) == 2
        first.cut_off(is_cut=False)
