"""The seeded simulation of world.py over several servers, between which shards move while everything goes wrong.

`MovingWorld(seed).run()` raises Violation when a promise is broken. The clients and the checks are those of world.py; a
request goes to the owner of its user by the map of some server, which may be old.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rowbox.cacheserver.node.moves import MoveLimits
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.mailbox.errors import RowboxError, UnknownClientMessageId
from tests.checking import assert_no_findings
from tests.moves.servers import Routed, Server, Servers
from tests.simulation.world import LATE_FAULTS, USERS, World
from tests.support.cluster import CRAMPED, SHARDS, UNLIMITED, Node
from tests.support.process import ConnectionLost

_T = TypeVar("_T")
MOST_SERVERS = 4


class MovingWorld(World):
    """One simulation."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, late=True)
        self.moved = 0

    @property
    def newest_node(self) -> Node:
        return self.routed  # type: ignore[return-value]  # it answers what clients ask

    async def _run(self) -> None:
        dice = self.dice
        limits = MoveLimits(move_s=dice.uniform(0.2, 2.0), handover_s=dice.uniform(0.05, 1.0), part_bytes=1_000)
        self.servers = Servers(dice.choice([CRAMPED, UNLIMITED, UNLIMITED, UNLIMITED]), limits)
        self.cluster = self.servers  # type: ignore[assignment]
        self.servers.beat_s = dice.choice([0.03, 0.3])
        network = self.servers.network
        network.dice, network.slowest_s = dice, dice.choice([0.001, 0.05])
        network.lost, network.doubled = dice.choice([0.0, 0.3]), dice.choice([0.0, 0.3])
        self.routed = Routed(self.servers, dice.choice)
        await self._start_servers(2)
        clients = [asyncio.create_task(self._client(user)) for user in USERS for _ in range(2)]
        clients += [asyncio.create_task(self._poller(user)) for user in USERS]
        trouble = asyncio.create_task(self._trouble())
        try:
            await asyncio.gather(*clients)
        finally:
            self.is_over = True
            for task in (trouble, *clients):
                task.cancel()
            await asyncio.gather(trouble, *clients, return_exceptions=True)
        await self._come_to_rest()
        await self._check_the_end()
        await self.servers.close()
        await assert_no_findings(self.servers.store, self.servers.settings, self.servers.clock.now_us())

    async def _start_servers(self, count: int = 1) -> list[Server]:
        started = await self.servers.start(count)
        for server in started:
            server.store.faults.roll(self.dice.getrandbits(32), LATE_FAULTS, read_chance=0.03)
            self.history.note(f"{server.name} starts")
        return started

    # ------------------------------------------------------------------ what goes wrong

    async def _trouble(self) -> None:
        kinds: list[Callable[[], Awaitable[None]]] = [self._ask_to_move] * 8
        kinds += [self._stall, self._stall_long, self._kill_one, self._pause_one, self._land, self._land]
        while True:
            await asyncio.sleep(self.dice.expovariate(10.0))
            await self.dice.choice(kinds)()

    async def _ask_to_move(self) -> None:
        living = self.servers.living
        if len(living) < MOST_SERVERS and self.dice.random() < 0.2:
            living += await self._start_servers()
        shards = range(SHARDS) if self.dice.random() < 0.5 else self.dice.sample(range(SHARDS), SHARDS // 2)
        target = self.dice.choice(living) if self.dice.random() < 0.9 else None
        self.history.note(f"{len(shards)} shards are to go to {target.name if target else 'nobody'}")
        await self.servers.ask_to_move(shards, target)

    async def _stall(self) -> None:
        server, point = self.dice.choice(self.servers.living), self.dice.choice(list(Point))
        server.store.hold(point)
        await asyncio.sleep(self.dice.uniform(0, 0.3))
        server.store.release(point)

    async def _stall_long(self) -> None:
        """The store is away for everybody, for longer than a move may take."""
        self.history.note("the store stalls")
        stalled, point = list(self.servers.by_name.values()), self.dice.choice(list(Point))
        for server in stalled:
            server.store.hold(point)
        await asyncio.sleep(self.dice.uniform(0.5, 4.0))
        for server in stalled:
            server.store.release(point)

    async def _kill_one(self) -> None:
        victim = self.dice.choice(self.servers.living)
        self.history.note(f"{victim.name} dies")
        await self.servers.kill(victim, writes_survive=self.dice.random() < 0.5)
        await self._replace(victim)

    async def _pause_one(self) -> None:
        """A server is suspended, replaced, and goes on later as if nothing had happened."""
        paused = self.dice.choice(self.servers.living)
        self.history.note(f"{paused.name} is paused")
        for point in Point:
            paused.store.hold(point)
        await self._replace(paused)
        await asyncio.sleep(self.dice.uniform(0, 1.0))
        self.history.note(f"{paused.name} wakes")
        for point in Point:
            paused.store.release(point)

    async def _replace(self, gone: Server) -> None:
        gone.lapse()
        await asyncio.sleep(self.dice.uniform(0, 0.5))
        if not self.servers.living:
            await self._start_servers()
        await self.servers.take_over(gone, self.servers.living)

    async def _land(self) -> None:
        store = self.servers.store
        if store.late_count:
            store.land_one(self.dice.randrange(store.late_count))

    # ------------------------------------------------------------------ what clients do

    async def _try(self, ask: Callable[[Node], Awaitable[_T]]) -> _T:
        while True:
            try:
                return await ask(self.newest_node)
            except RowboxError as error:
                if isinstance(error, UnknownClientMessageId):
                    raise
                if not error.retryable:
                    raise self.history.violated("P5", f"{type(error).__name__}: {error}") from error
                self.history.note(f"{error.code} ({type(error).__name__})")
            except ConnectionLost:
                pass
            await asyncio.sleep(self.dice.uniform(0.01, 0.2))

    # ------------------------------------------------------------------ the end

    async def _come_to_rest(self) -> None:
        """No more faults, and no more moves. Late writes land, before the last server starts or after it."""
        self.history.note("the end")
        for server in self.servers.by_name.values():
            server.store.faults.clear()
            for point in Point:
                server.store.release(point)
        self.moved = sum(server.moves.counters.moved_shards for server in self.servers.by_name.values())
        lands_before = self.dice.random() < 0.5
        if lands_before:
            self.servers.store.land()
        before = list(self.servers.by_name.values())
        (last,) = await self.servers.start()
        for server in before:
            await self.servers.kill(server)
            await self.servers.take_over(server, [last])
        await asyncio.sleep(1)
        self.servers.store.land()
        await asyncio.sleep(400)  # two scans for outboxes
        await last.owner.pipeline.idle()
        await last.owner.delivery.idle()
        assert last.owner.delivery.pending == 0
