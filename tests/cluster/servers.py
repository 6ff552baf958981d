"""Whole servers over one memory store: each a Node, with a way to the mailboxes and one to the cluster's row."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from rowbox.cacheserver.clocks import StoreClock
from rowbox.cacheserver.node.moves import MoveCounters, Moves, Tenure
from rowbox.cacheserver.node.node import Node, Stores
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.ownership import Ownership
from rowbox.cacheserver.port import FetchMessages, Send
from rowbox.cacheserver.rows.stash import HandOver
from rowbox.cacheserver.shardmap.shard_map import ListedNode
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cacheserver.stores.port import Store
from rowbox.hbase_schema.families import ttl_ms
from rowbox.mailbox.errors import LinkLost, StoreUnavailable, StoreUnusable
from tests.checking import assert_no_findings
from tests.cluster.world import LEASE, SHARDS, Wire, planned
from tests.support.cluster import UNLIMITED
from tests.support.virtual_time import WallClock

MAIL_DEADLINE_S = 5.0
LONGEST_S = 60.0


async def _unreached(to: ListedNode, _part: HandOver, _version: int, _timeout_s: float) -> int:
    """There are no links among these servers."""
    raise LinkLost(f"there is no link to {to.node_id}")


class Server:
    """A Node and its own way to the store that all share."""

    def __init__(self, name: str, store: MemoryStore, clock: WallClock, leave_s: float = 0.0) -> None:
        self.name = name
        self.wire = Wire(store, Random(name))
        """Its way to the cluster's row; `mail` is the one to the mailboxes."""
        self.mail = Wire(store, Random(name + "'s mail"))
        self.mail.deadline_s = MAIL_DEADLINE_S
        self.store_clock = StoreClock(clock.now_us)
        self.broken: list[StoreUnusable] = []
        self.openings: list[StoreUnavailable | StoreUnusable] = []
        """What opening the store meets, in turn; after that it succeeds."""
        self._clock = clock
        loop = asyncio.get_running_loop()
        self.moved: list[MoveCounters] = []
        """Where the moves of each incarnation are counted."""
        self.node = Node(
            self._open,
            self._owner,
            LEASE,
            ListedNode("", name, peer=name),
            name,
            self.broken.append,
            plan=planned,
            make_moves=self._moves,
            leave_s=leave_s,
            now_s=loop.time,
            now_us=clock.now_us,
        )

    def _moves(self, tenure: Tenure, shards: int, counters: MoveCounters) -> Moves:
        self.moved.append(counters)
        return Moves(tenure, shards, _unreached, counters=counters)

    async def _open(self) -> Stores:
        if self.openings:
            raise self.openings.pop(0)
        return Stores(self.mail, self.wire)

    def _owner(self, store: Store, ownership: Ownership) -> Owner:
        return Owner(store, UNLIMITED, ownership=ownership, now_us=self._clock.now_us, clock=self.store_clock)

    def cut_off(self, *, is_cut: bool = True) -> None:
        """From the store altogether."""
        self.wire.is_cut = self.mail.is_cut = is_cut

    async def owning(self) -> None:
        """Returns when it owns mailboxes; fails after a while, because virtual time has no other end."""
        async with asyncio.timeout(LONGEST_S):
            await self.node.owning()

    async def listed(self) -> None:
        """Returns when it is a part of the cluster."""
        async with asyncio.timeout(LONGEST_S):
            await self.node.listed()

    async def send(self, text: str) -> None:
        await self.node.send(Send("ann", "ben", text, text))

    async def texts(self, user_id: str = "ben") -> list[bytes]:
        page = await self.node.fetch_messages(FetchMessages(user_id))
        return list(page.items)


class Servers:
    """Over one store, checked by the invariant checker in the end."""

    def __init__(self) -> None:
        self.clock = WallClock()
        self.store = MemoryStore(SHARDS, ttl_ms(UNLIMITED.store), late_writes=True, now_ms=self.clock.now_ms)
        self._all: list[Server] = []

    def add(self, name: str, leave_s: float = 0.0) -> Server:
        """`leave_s`: for how long its stop waits for others to take its shards by moves, which fail here."""
        server = Server(name, self.store, self.clock, leave_s)
        self._all.append(server)
        return server

    async def close(self) -> None:
        for server in self._all:
            await server.node.close()
        await assert_no_findings(self.store, UNLIMITED, self.clock.now_us())


@asynccontextmanager
async def servers() -> AsyncIterator[Servers]:
    made = Servers()
    yield made
    await made.close()


async def owner_and_other(all_of_them: Servers) -> tuple[Server, Server]:
    """One that owns the mailboxes and has taken a message, and one that is not started."""
    first, second = all_of_them.add("first"), all_of_them.add("second")
    first.node.start()
    await first.owning()
    await first.send("one")
    return first, second
