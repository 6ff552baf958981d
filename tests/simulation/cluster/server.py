"""The processes of a simulated cluster: what cli/serving puts together, over the network and the store of the
simulation. A server owns mailboxes and answers the API; an API server owns none.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from random import Random
from typing import Any, TypeVar

from rowbox.cacheserver.clocks import BareTime, StoreClock
from rowbox.cacheserver.node.node import Node, Stores
from rowbox.cacheserver.node.trusted_time import TrustedTime
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.ownership import Grant, Ownership
from rowbox.cacheserver.port import Changes, Following, MarkReadResult, Notify, Page, SendResult
from rowbox.cacheserver.routing.hints import Tell
from rowbox.cacheserver.routing.map_watch import MapWatch
from rowbox.cacheserver.routing.targets import Local
from rowbox.cacheserver.rpc.endpoint import TcpEndpoint
from rowbox.cacheserver.shardmap.cluster_state import NodeCell
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.shardmap.plan import plan
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.cacheserver.stores.clock_memory import CellMemory
from rowbox.cacheserver.stores.memory.faults import Op
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cacheserver.stores.port import Store
from rowbox.cli.serving.cluster.among_others import contacts_of
from rowbox.cli.serving.cluster.hand_overs import hand_over_calls, makes_moves
from rowbox.cli.serving.cluster.peer_side import PeerSide
from rowbox.cli.serving.cluster.routing import Routing
from rowbox.mailbox.errors import HandoverInProgress, RowboxError, StoreUnavailable, StoreUnusable
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import Settings
from tests.cluster.world import Wire
from tests.simulation.cluster.hearsay import Hearsay
from tests.simulation.cluster.machine import Machine
from tests.simulation.cluster.network import Network
from tests.simulation.cluster.tokens import Tokens
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
    judges_clock: bool
    servers: "dict[str, Server]"
    hearsay: Hearsay | None
    tokens: Tokens | None
    silent_shards = range(0)
    silent_until_s = 0.0

    def silence(self, shards: range, ends_s: float) -> None:
        """Nobody reads or writes rows of these shards before that time."""
        self.silent_shards, self.silent_until_s = shards, ends_s

    def listed_as(self, name: str) -> ListedNode:
        raise NotImplementedError

    def clock_of(self, name: str) -> WallClock:
        raise NotImplementedError

    @property
    def network(self) -> "Network":
        raise NotImplementedError


class SimulatedStore(MemoryStore):
    """A store whose calls take no time and no step of the loop: the way to it takes both.

    So a scan is atomic, which the store of tests/simulation/world.py does not grant.
    """

    async def _begin_read(self, row: bytes | None = None) -> None:
        del row
        if self.faults.take(Op.READ) is not None:
            raise StoreUnavailable("a fault that the seed asked for")

    async def _hear(self, row: bytes) -> None:
        """No range is ever silent."""

    async def _finish(self, write: Coroutine[object, object, _T]) -> _T:
        return await write

    async def _write(self, op: Op, rows: Sequence[bytes], steps: Sequence[Callable[[], object]]) -> list[object]:
        del rows
        fault = self.faults.take(op)
        answers = self._execute(op, fault, steps)
        self._fail(fault)
        return answers


class StorePath(Wire):
    """A machine's way to the store. What is on it is out of the machine's hands.

    A call is two timers, for the way there and back, and one for its deadline: most of what a simulated server does is
    to ask the store.
    """

    def __init__(self, world: "Surroundings", dice: Random, deadline_s: float) -> None:
        store, self._world = world.store.beside(), world
        super().__init__(store, dice, (0.0005, 0.004))
        self.deadline_s = deadline_s
        self.store = store
        self._loop = asyncio.get_running_loop()
        self._outside = contextvars.Context()
        self._under_way: dict[asyncio.Future[Any], asyncio.TimerHandle] = {}
        """In the order of the calls: what has not come to the store."""

    async def _call(
        self, call: Callable[[], Awaitable[_T]], error: type[RowboxError], rows: Iterable[bytes] = ()
    ) -> _T:
        if self.is_cut:
            await asyncio.sleep(self.deadline_s)
            raise StoreUnavailable("cut off")
        return await self._answered(call, error, self._silent_until_s(rows))

    def _silent_until_s(self, rows: Iterable[bytes]) -> float:
        self.silent_shards = self._world.silent_shards
        return self._world.silent_until_s if self.silent_shards and any(map(self._is_silent, rows)) else 0.0

    async def _answered(self, call: Callable[[], Awaitable[_T]], error: type[RowboxError], not_before_s: float) -> _T:
        loop, answer = self._loop, self._loop.create_future()
        arrives_s = max(loop.time(), self.stalled_until_s, not_before_s) + self._latency_s()
        self._under_way[answer] = loop.call_at(arrives_s, self._arrive, call, answer, context=self._outside)
        ends = loop.call_later(self.deadline_s, _give_up, answer, error)
        try:
            result: _T = await answer
        finally:
            ends.cancel()
        return result

    def _arrive(self, call: Callable[[], Awaitable[_T]], answer: "asyncio.Future[_T]") -> None:
        """The store does it, whether anybody waits for it still or not."""
        del self._under_way[answer]
        result: Any = None
        error: RowboxError | None = None
        try:
            result = _done_at_once(call())
        except RowboxError as failed:
            error = failed
        self._loop.call_later(self._latency_s(), _answer, answer, result, error, context=self._outside)

    async def outlast(self) -> None:
        """Waits until what is asked now is answered, or given up."""
        if self._under_way:
            await asyncio.wait(tuple(self._under_way))

    def lose(self, dice: Random) -> None:
        """The machine is gone: some of what is under way does not arrive."""
        for answer, arrival in tuple(self._under_way.items()):
            if dice.random() < 0.5:
                arrival.cancel()
                del self._under_way[answer]


def _done_at_once(call: Awaitable[_T]) -> _T:
    """What a call of a SimulatedStore comes to: it never waits."""
    steps = call.__await__()
    try:
        while True:
            assert next(steps) is None, "a call of the store waits"
    except StopIteration as done:
        result: _T = done.value
        return result


def _answer(answer: "asyncio.Future[Any]", result: Any, error: RowboxError | None) -> None:
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(result)


def _give_up(answer: "asyncio.Future[object]", error: type[RowboxError]) -> None:
    if not answer.done():
        answer.set_exception(error("given up"))


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

    def heard(self, version: int) -> None:
        """By the Redis."""
        self.routing.hints.heard(version)

    @property
    def told(self) -> Sequence[Tell]:
        """By which ways it tells others of newer maps, beside its links."""
        return [] if self.world.hearsay is None else [self.world.hearsay.tell]

    # ------------------------------------------------------------------ what clients ask, with tokens or without

    async def send(
        self, sender: str, recipient: str, content: str, client_message_id: str, bearer: Bearer | None = None
    ) -> SendResult:
        return await self._asked(sender, partial(super().send, sender, recipient, content, client_message_id), bearer)

    async def mark_read(
        self, user: str, conversation: bytes, message: bytes, bearer: Bearer | None = None
    ) -> MarkReadResult:
        return await self._asked(user, partial(super().mark_read, user, conversation, message), bearer)

    async def messages(
        self, user: str, conversation: bytes | None = None, *, token: str | int | None = None, **how: Any
    ) -> Page:
        fetch = super().messages
        return await self._asked(user, lambda bearer: fetch(user, conversation, token=token, bearer=bearer, **how))

    async def conversations(self, user: str, *, token: str | int | None = None, **how: Any) -> Page:
        fetch = super().conversations
        return await self._asked(user, lambda bearer: fetch(user, token=token, bearer=bearer, **how))

    async def changes(self, user: str, *, token: str | int | None = None, **how: Any) -> Changes:
        fetch = super().changes
        return await self._asked(user, lambda bearer: fetch(user, token=token, bearer=bearer, **how))

    async def follow(self, user: str, notify: Notify, bearer: Bearer | None = None) -> Following:
        return await self._asked(user, partial(super().follow, user, notify), bearer)

    async def status(self, user: str, client_message_id: str, bearer: Bearer | None = None) -> SendResult:
        return await self._asked(user, partial(super().status, user, client_message_id), bearer)

    async def _asked(
        self, user: str, ask: Callable[[Bearer | None], Awaitable[_T]], bearer: Bearer | None = None
    ) -> _T:
        if self.world.tokens is None:
            return await ask(bearer)
        return await self.world.tokens.use(user, ask)

    # ------------------------------------------------------------------ its end

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
    judged: TrustedTime | None = None

    async def _begin(self) -> None:
        settings, clock = self.world.settings, self.clock
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        trusted = TrustedTime(wall_us=clock.now_us, boot_s=loop.time, saves=lambda: self.node.keeps_time)
        self.judged = judged = trusted if self.world.judges_clock else None
        time = BareTime(clock.now_us) if judged is None else judged
        store_clock = StoreClock(time.now_us)

        async def open_stores() -> Stores:
            if judged is not None:
                await judged.begin(CellMemory(self.cells))
                judged.loop.start()
            return Stores(self.mail, self.cells)

        def make_owner(store: Store, ownership: Ownership) -> Owner:
            elsewhere = self.routing.deliveries
            return Owner(store, settings, ownership=ownership, time=time, clock=store_clock, elsewhere=elsewhere)

        async def planned(standing: ShardMap, cells: Sequence[NodeCell]) -> ShardMap | None:
            return plan(standing, cells, moves_at_once=self.world.moves_at_once)

        rate = self.dice.uniform(0.98, 1.02)
        self.node = Node(
            open_stores,
            make_owner,
            settings.lease,
            self.world.listed_as(self.name),
            self.name,
            self.broken.append,
            plan=planned,
            make_moves=makes_moves(settings.cluster, lambda: self.routing.targets),
            leave_s=LEAVE_S,
            time=judged,
            contacts=lambda: contacts_of(self.routing, self.peer_side),
            now_s=lambda: began_s + rate * (loop.time() - began_s),
            now_us=clock.now_us,
        )
        incarnation = lambda: self.node.incarnation  # noqa: E731
        self.peer_side = PeerSide(settings, SECRET, self.node.view, incarnation, self.node, hand_over_calls(self.node))
        self.node.on_incarnation, self.node.tell_beat = self.peer_side.become, self.peer_side.tell_beat
        self.routing = Routing(
            settings.cluster,
            SECRET,
            self.node.view,
            incarnation,
            local=Local(incarnation, self.node, self.node.standing),
            told=[self.peer_side.tell, *self.told],
            heard_beat=self.node.heard_beat,
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
