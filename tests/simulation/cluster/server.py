"""The processes of a simulated cluster: what cli/serving puts together, over the network and the store of the
simulation. A server owns mailboxes and answers the API; an API server owns none.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Iterable, Sequence
from random import Random
from typing import TypeVar

from rowbox.cacheserver.clocks import BareTime, StoreClock
from rowbox.cacheserver.node.node import Node, Stores
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.ownership import Grant, Ownership
from rowbox.cacheserver.routing.map_watch import MapWatch
from rowbox.cacheserver.routing.targets import Local
from rowbox.cacheserver.rpc.endpoint import TcpEndpoint
from rowbox.cacheserver.shardmap.cluster_state import NodeCell
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.shardmap.plan import plan
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cacheserver.stores.port import Store
from rowbox.cli.serving.cluster.hand_overs import hand_over_calls, makes_moves
from rowbox.cli.serving.cluster.peer_side import PeerSide
from rowbox.cli.serving.cluster.routing import Routing
from rowbox.mailbox.errors import HandoverInProgress, RowboxError, StoreUnavailable, StoreUnusable
from rowbox.mailbox.settings.config import Settings
from tests.cluster.world import Wire
from tests.simulation.cluster.machine import Machine
from tests.simulation.cluster.network import Network
from tests.support.cluster import Node as Door
from tests.support.virtual_time import WallClock

LEAVE_S = 2.0
"""A server that is stopped gives its mailboxes away for so long."""
SECRET = b"the secret of the simulated cluster, 32 bytes"
PORT = 7400
MAIL_DEADLINE_S = 1.2
CELLS_DEADLINE_S = 0.5
_T = TypeVar("_T")


class Surroundings:
    """What a server is put into."""

    dice: Random
    store: MemoryStore
    settings: Settings
    moves_at_once: int
    failures = 0
    """Calls of the store that failed."""

    def clock_of(self, name: str) -> WallClock:
        raise NotImplementedError

    @property
    def network(self) -> "Network":
        raise NotImplementedError


class StorePath(Wire):
    """A machine's way to the store. What is on it is out of the machine's hands."""

    def __init__(self, world: "Surroundings", dice: Random, deadline_s: float) -> None:
        store, self._world = world.store.beside(), world
        super().__init__(store, dice, (0.0005, 0.004))
        self.deadline_s = deadline_s
        self.store = store
        self._outside = contextvars.Context()
        self._under_way: set[asyncio.Task[object]] = set()

    async def _call(
        self, call: Callable[[], Awaitable[_T]], error: type[RowboxError], rows: Iterable[bytes] = ()
    ) -> _T:
        try:
            return await self._answered(call, error)
        except RowboxError:
            self._world.failures += 1
            raise

    async def _answered(self, call: Callable[[], Awaitable[_T]], error: type[RowboxError]) -> _T:
        if self.is_cut:
            await asyncio.sleep(self.deadline_s)
            raise StoreUnavailable("cut off")
        task = asyncio.get_running_loop().create_task(self._execute(call), context=self._outside)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(self.deadline_s):
                return await asyncio.shield(task)
        except TimeoutError:
            raise error("given up") from None

    async def _execute(self, call: Callable[[], Awaitable[_T]]) -> _T:
        stalls_s = max(0.0, self.stalled_until_s - asyncio.get_running_loop().time())
        await asyncio.sleep(stalls_s + self._latency_s())
        result = await call()
        await asyncio.sleep(self._latency_s())
        return result

    def _ended(self, task: "asyncio.Task[object]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()

    def lose(self, dice: Random) -> None:
        """The machine is gone: some of what is under way does not arrive."""
        for task in tuple(self._under_way):
            if dice.random() < 0.5:
                task.cancel()


class Server(Door):
    """A machine of the cluster, in one of its lives. `router` answers the API."""

    def __init__(self, world: "Surroundings", name: str) -> None:
        self.name = name
        self.machine = Machine(name)
        self.dice = Random(world.dice.getrandbits(64))
        self.world = world
        self.clock = world.clock_of(name)
        self.mail = StorePath(world, self.dice, MAIL_DEADLINE_S)
        self.cells = StorePath(world, self.dice, CELLS_DEADLINE_S)
        self.is_closed = False
        self.broken: list[StoreUnusable] = []
        self.routing: Routing

    @property
    def paths(self) -> Sequence[StorePath]:
        return (self.mail, self.cells)

    async def begin(self) -> None:
        """Starts the process."""
        await self.machine.call(self._begin())
        super().__init__(self.mail.store, self.routing.router, self.machine, None)  # type: ignore[arg-type]

    async def _begin(self) -> None:
        raise NotImplementedError

    async def _end(self) -> None:
        raise NotImplementedError

    @property
    def is_there(self) -> bool:
        """Whether it runs and has not been told to end."""
        return self.machine.runs and not self.is_closed

    async def close(self) -> None:
        """Ends as at SIGTERM."""
        self.is_closed = True
        await self.machine.call(self._end())
        await self.kill(silently=False)

    async def kill(self, *, silently: bool) -> None:
        """The process dies, or its host."""
        self.world.network.machine_died(self.machine, silently=silently)
        for path in self.paths:
            path.lose(self.dice)
        await self.machine.die()


class CacheServer(Server):
    """Role all: owns mailboxes, answers its peers and the API."""

    node: Node
    peer_side: PeerSide

    async def _begin(self) -> None:
        settings, clock = self.world.settings, self.clock
        store_clock, time = StoreClock(clock.now_us), BareTime(clock.now_us)
        began_s = asyncio.get_running_loop().time()

        async def open_stores() -> Stores:
            return Stores(self.mail, self.cells)

        def make_owner(store: Store, ownership: Ownership) -> Owner:
            deliver = self.routing.deliveries.deliver
            return Owner(store, settings, ownership=ownership, time=time, clock=store_clock, deliver_elsewhere=deliver)

        async def planned(standing: ShardMap, cells: Sequence[NodeCell]) -> ShardMap | None:
            return plan(standing, cells, moves_at_once=self.world.moves_at_once)

        rate = self.dice.uniform(0.98, 1.02)
        loop = asyncio.get_running_loop()
        self.node = Node(
            open_stores,
            make_owner,
            settings.lease,
            ListedNode("", self.name, f"{self.name}:{PORT}"),
            self.name,
            self.broken.append,
            plan=planned,
            make_moves=makes_moves(settings.cluster, lambda: self.routing.targets),
            leave_s=LEAVE_S,
            now_s=lambda: began_s + rate * (loop.time() - began_s),
            now_us=clock.now_us,
        )
        incarnation = lambda: self.node.incarnation  # noqa: E731
        self.peer_side = PeerSide(settings, SECRET, self.node.view, incarnation, self.node, hand_over_calls(self.node))
        self.routing = Routing(
            settings.cluster,
            SECRET,
            self.node.view,
            incarnation,
            local=Local(incarnation, self.node, self.node.standing),
            told=[self.peer_side.tell],
        )
        await self.peer_side.listen(TcpEndpoint(self.name, PORT))
        self.routing.start()
        self.node.start()

    async def _end(self) -> None:
        await self.node.close()
        await self.peer_side.close()
        await self.routing.close()

    def answers_for(self) -> list[int]:
        """The shards for which it would answer now, if it were asked."""
        owner = self.node.owner
        if owner is None or not self.machine.runs:
            return []
        ownership = owner._ownership
        return [shard for shard in ownership.shards if _holds(ownership.grant_of(shard), ownership)]


def _holds(grant: Grant, ownership: Ownership) -> bool:
    try:
        ownership.check()
        grant.check()
    except HandoverInProgress:
        return False
    return True


class ApiServer(Server):
    """Role api: reads the map from the store, and forwards every request."""

    watch: MapWatch

    async def _begin(self) -> None:
        settings, view = self.world.settings, MapView()
        maps = MapStore(self.cells, self.name, StoreClock(self.clock.now_us).next_ms)
        self.watch = MapWatch(maps, view, settings.lease.beat_ms / 1000)
        life = f"api-{self.name}-{self.dice.getrandbits(32):08x}"
        self.routing = Routing(settings.cluster, SECRET, view, lambda: life)
        self.watch.loop.start()
        self.routing.start()

    async def _end(self) -> None:
        await self.watch.loop.close()
        await self.routing.close()
