"""Whole servers over one memory store: each a Node, with a way to the mailboxes and one to the cluster's row."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import Random

from rowbox.cacheserver.clocks import StoreClock
from rowbox.cacheserver.features import KNOWN
from rowbox.cacheserver.node.judgement import Contacts
from rowbox.cacheserver.node.moves import MoveCounters, Moves, Tenure
from rowbox.cacheserver.node.node import Node, Stores
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.ownership import Ownership
from rowbox.cacheserver.port import FetchMessages, Send
from rowbox.cacheserver.push.services.services import PushServices
from rowbox.cacheserver.rows.stash import HandOver
from rowbox.cacheserver.shardmap.cluster_state import NodeCell
from rowbox.cacheserver.shardmap.plan import plan
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap
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


class Links:
    """Which servers have links: each calls those whom its map lists, but over a way that is cut."""

    def __init__(self) -> None:
        self.servers: list[Server] = []
        self.cut: set[tuple[str, str]] = set()
        """Who cannot call whom, by name."""
        self.moves_at_once = 0
        """How many shards the plan has on their way at a time, which go where a link goes."""

    def part(self, *groups: str) -> None:
        """From now on servers of different groups have no links. A server's name is one letter."""
        self.cut = {(one, other) for a in groups for b in groups if a != b for one in a for other in b}

    def contacts_of(self, server: "Server") -> Contacts:
        """With whom a server has links now."""
        others = [other for other in self.servers if other is not server]
        calls = [other.node.incarnation for other in others if self._calls(server, other)]
        return Contacts(calls, [other.node.incarnation for other in others if self._calls(other, server)])

    async def planned(self, standing: ShardMap, cells: Sequence[NodeCell]) -> ShardMap | None:
        """The next map."""
        return plan(standing, cells, self.moves_at_once)

    async def hand_over(self, by: "Server", to: ListedNode, _part: HandOver, _version: int, _timeout_s: float) -> int:
        """As SendHandOver: the target answers, and takes nothing."""
        if not any(self._calls(by, other) for other in self.servers if other.node.incarnation == to.incarnation):
            raise LinkLost(f"there is no link to {to.node_id}")
        return 0

    def _calls(self, one: "Server", other: "Server") -> bool:
        newest = one.node.view.newest
        is_known = newest is not None and newest.node(other.node.incarnation) is not None
        return is_known and (one.name, other.name) not in self.cut


class Server:
    """A Node and its own way to the store that all share. `links`: what links it has with other servers, if any."""

    def __init__(
        self,
        name: str,
        store: MemoryStore,
        clock: WallClock,
        leave_s: float = 0.0,
        links: Links | None = None,
        features: tuple[str, ...] = KNOWN,
    ) -> None:
        self.name = name
        self._links = links
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
            ListedNode("", name, peer=name, features=features),
            name,
            self.broken.append,
            plan=planned if links is None else links.planned,
            make_moves=self._moves,
            leave_s=leave_s,
            contacts=lambda: None if links is None else links.contacts_of(self),
            now_s=loop.time,
            now_us=clock.now_us,
        )

    def _moves(self, tenure: Tenure, shards: int, counters: MoveCounters) -> Moves:
        self.moved.append(counters)
        send = _unreached if self._links is None else partial(self._links.hand_over, self)
        return Moves(tenure, shards, send, counters=counters)

    async def _open(self) -> Stores:
        if self.openings:
            raise self.openings.pop(0)
        return Stores(self.mail, self.wire)

    def _owner(self, store: Store, ownership: Ownership) -> Owner:
        push = PushServices(UNLIMITED.push, None)  # which calls nobody: no device here has a target
        now_us, clock = self._clock.now_us, self.store_clock
        return Owner(store, UNLIMITED, ownership=ownership, now_us=now_us, clock=clock, push=push)

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

    def add(
        self, name: str, links: Links | None = None, leave_s: float = 0.0, features: tuple[str, ...] = KNOWN
    ) -> Server:
        """`leave_s`: for how long its stop waits for others to take its shards by moves, which fail here. `features`:
        what it knows of what is switched on once all know it.
        """
        server = Server(name, self.store, self.clock, leave_s, links, features)
        self._all.append(server)
        if links is not None:
            links.servers.append(server)
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
