"""Servers that share the shards of one store and move them to one another, in virtual time.

A server is a process with an Owner, its grants, its Moves and a store handle of its own. It learns of the map as a
member of a cluster does: it reads what stands now and then, and applies it. Who is dead, who is listed and what is to
move is for the test to say (`Servers`), which changes the map as the cluster's stewards would.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from random import Random
from typing import Any, TypeVar

from msgspec.structs import replace

from rowbox.cacheserver.clocks import StoreClock
from rowbox.cacheserver.node.moves import MoveLimits, Moves, Tenure
from rowbox.cacheserver.node.tenure import EpochOwnership
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import MarkReadResult, Page, SendResult
from rowbox.cacheserver.rows.stash import HandOver
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap, empty_map
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.hbase_schema.families import ttl_ms
from rowbox.mailbox.errors import NotTheOwner, RowboxError, StoreUnavailable
from rowbox.mailbox.groups.requests import GroupAnswer, GroupRequest
from rowbox.mailbox.ids import shard_of
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.receipts import Receipt
from rowbox.mailbox.settings.config import Settings
from tests.support.cluster import SHARDS, UNLIMITED, Node, delivered, told
from tests.support.process import ConnectionLost, Process, install
from tests.support.virtual_time import WallClock

_T = TypeVar("_T")
BEAT_S = 0.3


async def until(is_so: Callable[[], bool], seconds: float = 5.0, step_s: float = 0.01) -> None:
    """Returns when it is so. AssertionError where it is not within so many seconds."""
    for _ in range(int(seconds / step_s) if step_s else 10_000):
        if is_so():
            return
        await asyncio.sleep(step_s)
    raise AssertionError("it does not come to that")


class Network:
    """How what servers send to one another fares. At first it comes, at once."""

    def __init__(self) -> None:
        self.dice: Random | None = None
        self.lost = self.doubled = 0.0
        """The chances that a hand-over is lost (its sender may be told that it was, and it came), or comes again."""
        self.slowest_s = 0.0
        self.comes = asyncio.Event()
        """Set: what is sent comes; else it is on its way until it is set."""
        self.comes.set()
        self.sent: list[tuple[str, HandOver]] = []
        self._late: set[asyncio.Task[None]] = set()

    async def send(self, target: "Server", sender: str, part: HandOver, version: int, timeout_s: float) -> int:
        self.sent.append((target.name, part))
        roll = self.dice.random() if self.dice is not None else 1.0
        await self._takes_its_time()
        await self.comes.wait()
        if roll < self.lost / 2 or not target.process.is_alive:
            raise StoreUnavailable("it did not come there")
        answer = await target.process.call(target.moves.take_in(part, sender, version, timeout_s))
        await self._takes_its_time()
        if roll < self.lost:
            raise StoreUnavailable("its answer was lost")
        if roll > 1.0 - self.doubled and self.dice is not None:
            task = asyncio.create_task(self._again(target, sender, part, self.dice.uniform(0, 3.0)))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        return answer

    async def idle(self) -> None:
        """Returns when nothing is on its way."""
        await asyncio.gather(*self._late)

    async def _again(self, target: "Server", sender: str, part: HandOver, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        if target.process.is_alive:
            await target.process.call(target.moves.take_in(part, sender, 0, 1.0))

    async def _takes_its_time(self) -> None:
        await asyncio.sleep(self.dice.uniform(0, self.slowest_s) if self.dice is not None else 0)


class Server:
    """One process of the cluster."""

    def __init__(self, servers: "Servers", name: str, limits: MoveLimits) -> None:
        self.name = name
        self.url = f"https://{name}.example.com"
        self.process = Process()
        self.store = servers.store.beside()
        self.view = MapView()
        self.ownership = EpochOwnership(0, name, ())
        self.clock = StoreClock(servers.clock.now_us)
        self.maps = MapStore(self.store, name, self.clock.next_ms)
        self.owner: Owner
        self.moves: Moves
        self.node: Node
        self._servers = servers
        self._limits = limits

    async def start(self) -> None:
        """Begins to take part. It owns nothing."""
        servers = self._servers
        self.owner = Owner(
            self.store,
            replace(servers.settings, server=replace(servers.settings.server, public_url=self.url)),
            ownership=self.ownership,
            now_us=servers.clock.now_us,
            clock=self.clock,
            elsewhere=self,
        )
        tenure = Tenure(self.name, lambda: self.owner, self.ownership, self.maps, self.learn, self.view)
        self.moves = Moves(tenure, SHARDS, self._send, self._limits)
        self.node = Node(self.store, self.owner, self.process, self.ownership)
        await self.owner.start()
        self.moves.loop.start()

    def learn(self, standing: ShardMap) -> None:
        """Applies a map that stands, as a node does."""
        before = self.view.newest
        if standing.version <= self.view.version:
            return
        owned = {shard: standing.since[shard] for shard in standing.shards_of(self.name)}
        changed = self.ownership.apply(standing.version, owned)
        self.view.show(standing)
        self.moves.applied(before, standing)
        handed = self.moves.stash(changed.gained, standing)
        self.owner.give_away(changed.lost)
        self.owner.take(changed.gained, handed)

    async def read(self) -> None:
        """Reads the map, and applies what stands. Nothing happens where it cannot be read."""
        try:
            standing = (await self.maps.read()).map
        except RowboxError:
            return
        if self.ownership.is_held:
            self.learn(standing)

    async def beat(self) -> None:
        """Reads the map again and again."""
        while True:
            await self.read()
            await asyncio.sleep(self._servers.beat_s)

    async def close(self) -> None:
        """Stops in order. What it owns it owns until somebody says otherwise."""
        await self.moves.close()
        await self.owner.close()

    def lapse(self) -> None:
        """Its lease is over, or it has died: it answers for nothing any more."""
        self.ownership.revoke()

    async def _send(self, target: ListedNode, part: HandOver, version: int, timeout_s: float) -> int:
        servers = self._servers
        return await servers.network.send(servers.by_name[target.incarnation], self.name, part, version, timeout_s)

    def deliver(self, user_id: str, messages: Sequence[Message]) -> "asyncio.Future[int]":
        """See Elsewhere."""
        return asyncio.ensure_future(self._deliver(user_id, messages))

    def take_receipts(self, user_id: str, receipts: Sequence[Receipt]) -> "asyncio.Future[int]":
        """See Elsewhere."""
        return asyncio.ensure_future(self._take_receipts(user_id, receipts))

    async def ask_group(self, name: str, asked: GroupRequest) -> GroupAnswer:
        """See Elsewhere."""
        server = self._servers.named_by(self.view, name)
        return await server.process.call(server.owner.ask_group(asked))

    async def profile_of(self, user_id: str) -> Profile | None:
        """See Elsewhere."""
        server = self._servers.named_by(self.view, user_id)
        return await server.process.call(server.owner.profile_of(user_id))

    async def shows_presence(self, watcher_id: str, users: Sequence[str]) -> Sequence[bool | None]:
        """See Elsewhere: these tests ask of no presence."""
        return [None for _ in users]

    async def _deliver(self, user_id: str, messages: Sequence[Message]) -> int:
        server = self._servers.named_by(self.view, user_id)
        return await server.process.call(delivered(server.owner, user_id, messages))

    async def _take_receipts(self, user_id: str, receipts: Sequence[Receipt]) -> int:
        server = self._servers.named_by(self.view, user_id)
        return await server.process.call(told(server.owner, user_id, receipts))


class Servers:
    """All of them, and what the cluster says of them. Made and used inside one running loop."""

    def __init__(self, settings: Settings = UNLIMITED, limits: MoveLimits | None = None) -> None:
        install()
        self.settings = settings
        self.limits = limits if limits is not None else MoveLimits()
        self.beat_s = BEAT_S
        self.clock = WallClock()
        self.store = MemoryStore(SHARDS, ttl_ms(settings.store), late_writes=True, now_ms=self.clock.now_ms)
        self.network = Network()
        self.by_name: dict[str, Server] = {}
        self.steward = MapStore(self.store, "steward", StoreClock(self.clock.now_us).next_ms)
        self._beats: list[asyncio.Task[None]] = []

    @property
    def living(self) -> list[Server]:
        return [server for server in self.by_name.values() if server.process.is_alive and server.ownership.is_held]

    def named_by(self, view: MapView, user_id: str) -> Server:
        """Who owns a user by a map. NotTheOwner where that names nobody who lives."""
        owner = view.newest.owner_of(shard_of(user_id, SHARDS)) if view.newest is not None else None
        if owner is None or not self.by_name[owner.incarnation].process.is_alive:
            raise NotTheOwner("nobody owns this user")
        return self.by_name[owner.incarnation]

    async def standing(self) -> ShardMap:
        """What the map says now."""
        return (await self.steward.read()).map

    async def change(self, edit: Callable[[ShardMap], ShardMap | None]) -> ShardMap:
        """Changes the map, as a steward does."""
        return await self.steward.change(edit)

    async def start(self, count: int = 1, *, beats: bool = True) -> list[Server]:
        """Starts servers, and lists them. What nobody owns is theirs, in turn."""
        started = []
        for _ in range(count):
            server = Server(self, f"s{len(self.by_name) + 1}", self.limits)
            self.by_name[server.name] = server
            await server.process.call(server.start())
            started.append(server)
        names = [server.name for server in started]

        def edit(standing: ShardMap) -> ShardMap:
            edited = (standing if standing.version else empty_map(SHARDS)).next()
            edited = edited.listing([ListedNode(name, node_id=name, peer=name) for name in names])
            for place, name in enumerate(names):
                edited = edited.giving(edited.ownerless[:: max(1, len(names) - place)], name)
            return edited

        await self.change(edit)
        await asyncio.gather(*(server.process.call(server.read()) for server in started))
        if beats:
            for server in started:
                self._beats.append(asyncio.ensure_future(self._beat_of(server)))
        return started

    async def _beat_of(self, server: Server) -> None:
        with suppress(ConnectionLost):
            await server.process.call(server.beat())

    async def ask_to_move(self, shards: Collection[int], target: Server | None) -> ShardMap:
        """Has the map say that shards are to move to a server; None: that they stay."""

        def edit(standing: ShardMap) -> ShardMap | None:
            name = None if target is None else target.name
            owned = [shard for shard in shards if standing.owner_of(shard) is not None]
            if name is not None:
                if standing.node(name) is None:
                    return None
                owned = [shard for shard in owned if shard not in standing.shards_of(name)]
            return standing.next().sending(owned, name)

        return await self.change(edit)

    async def take_over(self, dead: Server, to: Sequence[Server]) -> None:
        """Somebody is dead, or its lease is over: what it has is others' now."""
        dead.lapse()

        def edit(standing: ShardMap) -> ShardMap | None:
            if standing.node(dead.name) is None:
                return None
            edited = standing.next().unlisting([dead.name])
            for place, server in enumerate(to):
                edited = edited.giving(edited.ownerless[:: len(to) - place], server.name)
            return edited

        await self.change(edit)

    async def kill(self, server: Server, *, writes_survive: bool = False) -> None:
        """A process dies."""
        server.lapse()
        await server.process.kill(spared=server.store._in_flight if writes_survive else ())
        for point in Point:
            server.store.release(point)

    async def close(self) -> None:
        """Stops all that still run."""
        await self.network.idle()
        for server in self.by_name.values():
            if server.process.is_alive:
                for point in Point:
                    server.store.release(point)
                await server.process.call(server.close())
                await server.process.kill()
        await asyncio.gather(*self._beats, return_exceptions=True)


class Routed:
    """What clients ask: each request goes to the owner of its user, by the map of a server that is asked.

    NotTheOwner where that map is old.
    """

    def __init__(self, servers: Servers, choose: Callable[[list[Server]], Server] = lambda living: living[0]) -> None:
        self._servers = servers
        self._choose = choose

    async def send(self, sender: str, recipient: str, content: str, client_message_id: str) -> SendResult:
        return await self._ask(sender, lambda node: node.send(sender, recipient, content, client_message_id))

    async def mark_read(self, user: str, conversation: bytes, message: bytes) -> MarkReadResult:
        return await self._ask(user, lambda node: node.mark_read(user, conversation, message))

    async def messages(self, user: str, conversation: bytes | None = None, **how: Any) -> Page:
        return await self._ask(user, lambda node: node.messages(user, conversation, **how))

    async def conversations(self, user: str, **how: Any) -> Page:
        return await self._ask(user, lambda node: node.conversations(user, **how))

    async def status(self, user: str, client_message_id: str) -> SendResult:
        return await self._ask(user, lambda node: node.status(user, client_message_id))

    def _ask(self, user: str, ask: Callable[[Node], Awaitable[_T]]) -> Coroutine[Any, Any, _T]:
        return self._asked(user, ask)

    async def _asked(self, user: str, ask: Callable[[Node], Awaitable[_T]]) -> _T:
        living = self._servers.living
        if not living:
            raise NotTheOwner("nobody lives")
        return await ask(self._servers.named_by(self._choose(living).view, user).node)
