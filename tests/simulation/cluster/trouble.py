"""What goes wrong in a simulated cluster, a few kinds of it in each seed, and what its operators do meanwhile."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from random import Random
from typing import Any

from rowbox.cacheserver.clocks import StoreClock
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.shardmap.shard_map import NO_WISH, ShardMap, Wish
from rowbox.mailbox.errors import RowboxError
from tests.simulation.cluster.cluster import NAMES, SimulatedCluster
from tests.simulation.cluster.server import Server
from tests.simulation.history import History
from tests.simulation.world import HOUR_S, USERS
from tests.support.process import ConnectionLost


class Trouble:
    """Of one simulation, until `last_for` returns."""

    def __init__(
        self, cluster: SimulatedCluster, history: History, dice: Random, *, is_busy: bool, cuts_long: bool = False
    ) -> None:
        """`is_busy`: shards move all the time. `cuts_long`: all the while one server has no links with the others."""
        self._cluster = cluster
        self._history = history
        self._dice = dice
        self._is_busy = is_busy
        self._cuts_long = cuts_long
        self._pending: dict[asyncio.Task[None], None] = {}
        self.clocks_off: dict[str, float] = {}
        """By how much the clocks are off that were set wrong, by server."""

    async def last_for(self, seconds: float, clients: Sequence["asyncio.Task[None]"]) -> None:
        """Things go wrong for so long, or until no client is left who could notice."""
        trouble = asyncio.create_task(self._go_on())
        served = asyncio.gather(*clients)
        ends: list[asyncio.Future[Any]] = [trouble, served]
        await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        served.add_done_callback(lambda done: done.cancelled() or done.exception())
        for task in (trouble, *self._pending):
            task.cancel()
        for result in await asyncio.gather(trouble, *self._pending, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    def _note(self, text: str) -> None:
        self._history.note(f"{asyncio.get_running_loop().time():.3f} {text}")

    async def _go_on(self) -> None:
        kinds: list[tuple[Callable[[], Coroutine[None, None, None]], int]] = [
            (self._land, 4),
            (self._stall, 2),
            (self._die, 3),
            (self._suspend, 3),
            (self._stop, 2),
            (self._restart_all, 1),
            (self._cut, 3),
            (self._cut_from_store, 2),
            (self._reset, 3),
            (self._slow, 1),
            (self._join, 2),
            (self._move, 4),
            (self._drain, 1),
            (self._pin, 2),
            (self._step_clock_of_one, 1),
            (self._silence_shards, 2),
            (self._weigh, 2 if self._cluster.traits.are_unequal else 0),
            (self._revoke, 4 if self._cluster.tokens is not None else 0),
            (self._set_clock_of_one, 2 if self._cluster.judges_clock else 0),
        ]
        kinds = [(kind, weight) for kind, weight in kinds if weight]
        kinds = self._dice.sample(kinds, self._dice.randint(2, 6))
        if self._is_busy:
            kinds = [(self._move, 30), (self._land, 4), *kinds[:2]]
        if self._cuts_long:
            calm = {self._land, self._move, self._pin, self._drain, self._slow, self._reset, self._step_clock_of_one}
            kinds = [(kind, weight) for kind, weight in kinds if kind in calm] or [(self._land, 4)]
            self._pending[asyncio.create_task(self._cut_off_one())] = None
        while True:
            await asyncio.sleep(self._dice.expovariate(10.0 if self._is_busy else 3.0))
            (kind,) = self._dice.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])
            task = asyncio.create_task(kind())
            self._pending[task] = None
            task.add_done_callback(self._pending.pop)

    def _one(self) -> Server | None:
        there = [server for server in self._cluster.servers.values() if server.is_there]
        return self._dice.choice(there) if there else None

    async def _stall(self) -> None:
        """The store answers nobody for a while; some calls are given up, and may have been executed."""
        seconds = self._dice.choice([0.1, 0.7, 1.8, 3.0])
        self._note(f"the store stalls for {seconds} s")
        self._cluster.stall(asyncio.get_running_loop().time() + seconds)

    async def _die(self) -> None:
        if (server := self._one()) is not None:
            await self._kill_one(server)
            await asyncio.sleep(self._dice.choice([0.0, 0.2, 1.0, 3.0]))
            await self.start_again(server)

    async def _kill_one(self, server: Server) -> None:
        self._note(f"{server.name} dies")
        server.is_closed = True
        await server.kill(silently=self._dice.random() < 0.5)

    async def start_again(self, server: Server) -> None:
        if self._cluster.servers[server.name] is server:
            self._note(f"{server.name} starts")
            await self._cluster.start(server.name, type(server))

    async def _suspend(self) -> None:
        if (server := self._one()) is not None:
            seconds = self._dice.choice([0.1, 0.8, 2.0, 3.5])
            self._note(f"{server.name} is suspended for {seconds} s")
            server.machine.suspend()
            await asyncio.sleep(seconds)
            if server.machine.is_alive:
                self._note(f"{server.name} wakes")
                server.machine.wake()

    async def _stop(self) -> None:
        if (server := self._one()) is not None:
            await self._stop_one(server)
            await self.start_again(server)

    async def _stop_one(self, server: Server) -> None:
        self._note(f"{server.name} is stopped")
        server.is_closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(4.0):
                await server.close()
        if server.machine.is_alive:
            await server.kill(silently=False)
        self._note(f"{server.name} has ended")

    async def _restart_all(self) -> None:
        servers = [server for server in self._cluster.servers.values() if server.is_there]
        self._note("everybody restarts")
        one = self._kill_one if self._dice.random() < 0.5 else self._stop_one
        await asyncio.gather(*(one(server) for server in servers))
        for server in servers:
            await asyncio.sleep(self._dice.choice([0.0, 0.1, 0.8]))
            await self.start_again(server)

    async def cut_the_power(self) -> None:
        """Everybody dies at once, and all start again."""
        self._note("the power is cut")
        servers = list(self._cluster.servers.values())
        await asyncio.gather(*(server.kill(silently=True) for server in servers))
        for server in servers:
            await self.start_again(server)

    def _two(self) -> tuple[str, str] | None:
        names = list(self._cluster.servers)
        return tuple(self._dice.sample(names, 2)) if len(names) > 1 else None  # type: ignore[return-value]

    async def _cut(self) -> None:
        if (pair := self._two()) is not None:
            ways = [pair] if self._dice.random() < 0.5 else [pair, pair[::-1]]
            self._note(f"cut: {ways}")
            for way in ways:
                self._cluster.network.cut(*way)
            await asyncio.sleep(self._dice.choice([0.2, 1.2, 2.5]))
            for way in ways:
                self._cluster.network.heal(*way)

    async def _cut_off_one(self) -> None:
        """Both ways, or one way, from all the others that there are, until all heals. It may own shards by then.

        Its way to the store has no faults then: a look that fails has it count anew.
        """
        await asyncio.sleep(self._dice.uniform(1.5, 4.0))
        if (one := self._one()) is None:
            return
        others = [name for name in self._cluster.servers if name != one.name]
        ways = self._dice.choice([(True, True), (True, False), (False, True)])
        self._note(f"{one.name} is cut off from {others}, {ways}")
        for path in one.paths:
            path.store.faults.clear()
        for other in others:
            for way, is_cut in zip([(one.name, other), (other, one.name)], ways, strict=True):
                if is_cut:
                    self._cluster.network.cut(*way)

    async def _cut_from_store(self) -> None:
        if (server := self._one()) is not None:
            paths = self._dice.choice([server.paths, server.paths[:1], server.paths[1:]])
            seconds = self._dice.choice([0.2, 1.2, 2.5])
            self._note(f"{server.name} is cut off from {len(paths)} of the store for {seconds} s")
            for path in paths:
                path.is_cut = True
            await asyncio.sleep(seconds)
            for path in paths:
                path.is_cut = False

    async def _reset(self) -> None:
        self._note("a connection breaks")
        self._cluster.network.reset_one()

    async def _slow(self) -> None:
        if (server := self._one()) is not None:
            self._cluster.network.slow.add(server.name)
            await asyncio.sleep(self._dice.uniform(0.2, 2.0))
            self._cluster.network.slow.discard(server.name)

    async def _join(self) -> None:
        free = [name for name in NAMES[:6] if name not in self._cluster.servers]
        if free:
            self._note(f"{free[0]} joins")
            await self._cluster.start(free[0])

    async def _change_map(self, what: str, edit: Callable[[ShardMap], ShardMap | None]) -> None:
        """As an operator's command does."""
        server = self._one()
        if server is None:
            return
        self._note(what)
        name = f"operator-{self._dice.getrandbits(32):08x}"
        maps = MapStore(server.cells, name, StoreClock(self._cluster.clock.now_us).next_ms)
        with suppress(RowboxError):
            await maps.change(edit)

    async def _move(self) -> None:
        """Some shards of one server are to go to another one."""
        dice = Random(self._dice.getrandbits(32))

        def edit(standing: ShardMap) -> ShardMap | None:
            if len(standing.nodes) < 2:
                return None
            source, target = dice.sample([node.incarnation for node in standing.nodes], 2)
            shards = [shard for shard in standing.shards_of(source) if dice.random() < 0.6]
            return standing.next().sending(shards, target) if shards else None

        await self._change_map("a move", edit)

    async def _drain(self) -> None:
        name = self._dice.choice(list(self._cluster.servers))
        await self._change_map(f"{name} is drained", lambda now: now.next().wishing(name, Wish(draining=True)))
        await asyncio.sleep(self._dice.uniform(0.5, 3.0))
        await self._change_map(f"{name} is not drained any more", lambda now: now.next().wishing(name, NO_WISH))

    async def _pin(self) -> None:
        shard, name = (
            self._dice.randrange(self._cluster.traits.shards),
            self._dice.choice([None, *self._cluster.servers]),
        )
        await self._change_map(f"shard {shard} is pinned to {name}", lambda now: now.next().pinning([shard], name))

    async def _weigh(self) -> None:
        """An operator has a server take more or less than it says, or stand by."""
        name, weight = self._dice.choice(list(self._cluster.servers)), self._dice.choice([0, 50, 100, 300])
        wish = Wish(weight=weight) if self._dice.random() < 0.6 else Wish(standby=self._dice.random() < 0.5)
        await self._change_map(f"{name} is to be {wish}", lambda now: now.next().wishing(name, wish))

    async def _silence_shards(self) -> None:
        """A region server stalls: nobody reads or writes the rows of some shards, and all others as ever."""
        shards, seconds = self._cluster.traits.shards, self._dice.choice([0.3, 1.0, 2.5])
        first = self._dice.randrange(shards)
        silent = range(first, min(shards, first + self._dice.randint(1, max(1, shards // 3))))
        self._note(f"the shards {silent} are silent for {seconds} s")
        self._cluster.silence(silent, asyncio.get_running_loop().time() + seconds)

    async def _revoke(self) -> None:
        """All tokens of a user end; whoever asks for it may not be told that they have."""
        tokens, server, user = self._cluster.tokens, self._one(), self._dice.choice(USERS)
        if tokens is None or server is None:
            return
        self._note(f"the tokens of {user} are revoked by {server.name}")
        with suppress(RowboxError, ConnectionLost):
            await tokens.revoke(user, server.revoke_user)
            self._note(f"the tokens of {user} were revoked")

    async def _set_clock_of_one(self) -> None:
        """By so much that it is not believed, if anybody else can tell."""
        server = self._one()
        if server is None or server.name in self.clocks_off:
            return
        seconds = self._dice.choice([30.0, -30.0, HOUR_S, -HOUR_S])
        self._note(f"the clock of {server.name} is set by {seconds} s")
        self._history.set_clock(self._cluster.clock.now_us() + int(seconds * 1e6), is_far=True)
        self.clocks_off[server.name] = seconds
        server.clock.jump(seconds)
        await asyncio.sleep(self._dice.uniform(0.5, 4.0))
        self.set_right(server.name)

    def set_right(self, name: str) -> None:
        """Undoes what _set_clock_of_one did, if it did."""
        seconds = self.clocks_off.pop(name, 0.0)
        if seconds:
            self._note(f"the clock of {name} is set right")
            self._cluster.clock_of(name).jump(-seconds)

    async def _step_clock_of_one(self) -> None:
        """By less than what puts a clock in doubt."""
        if (server := self._one()) is not None:
            server.clock.jump(self._dice.uniform(-2, 2))

    async def _land(self) -> None:
        store = self._cluster.store
        if store.late_count:
            store.land_one(self._dice.randrange(store.late_count))
        if self._dice.random() < 0.2:
            store.compact()
