"""What goes wrong in a cluster, one thing after the other and two at a time, each healed after a while.

Each kind comes before any comes again, in a random order. Processes are hit one by one: what a fault has hit no other
one takes before it is well again. Cuts fall on any two. Operators move shards and drain servers meanwhile, of those
that are hit as well.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Final

from thriftpy2.thrift import TException

from rowbox.mailbox.errors import StoreOutcomeUnknown, StoreUnavailable
from tests.integration.cluster.support.fleet import Fleet, Machine
from tests.integration.cluster.support.network import Place
from tests.integration.hbase.regions import hosts
from tests.integration.support.hbase_server import QUICK_LEASE, SHARDS
from tests.support.hbase_cluster import HBaseCluster

HANDS: Final = 2
LEASE_S: Final = (int(QUICK_LEASE["ROWBOX_LEASE_TTL_MS"]) + int(QUICK_LEASE["ROWBOX_LEASE_MARGIN_MS"])) / 1000
_PAUSE_S: Final = 1.5
"""The longest time between two faults of a hand, and for which most of them last."""
_STOP_S: Final = 60.0
_MOST_MOVED: Final = 12
"""Shards of one move."""
_MOVES_S: Final = 10.0
"""How long a move is looked at."""
_PATIENCE_S: Final = 600.0
"""For a server that starts while other things go wrong, and for a verb that is run again: a store that is away comes
back sooner."""


class Chaos:
    """`run` it beside a load over the fleet."""

    def __init__(self, fleet: Fleet, random: Random, hbase: HBaseCluster, *, region_servers: bool = False) -> None:
        """`region_servers`: those are killed as well; writes then stand still for half a minute."""
        self.done: Counter[str] = Counter()
        """How often each fault was there."""
        self.moved_shards = 0
        """Those that came to where an operator sent them, and were elsewhere before."""
        self._fleet = fleet
        self._random = random
        self._hbase = hbase
        self._loop = asyncio.get_running_loop()
        self._hit: set[Machine] = set()
        self._cut: set[tuple[Place, Place]] = set()
        self._hbase_is_whole = asyncio.Lock()
        self._redis = asyncio.Lock()
        self._kinds: Mapping[str, Callable[[], Awaitable[None]]] = {
            "kill -9 of a cache server": lambda: self._kill(fleet.caches),
            "kill -9 of an API server": lambda: self._kill(fleet.apis),
            "a cache server paused past its lease": lambda: self._pause(fleet.caches, LEASE_S),
            "an API server paused": lambda: self._pause(fleet.apis, 0.0),
            "SIGTERM of a cache server": lambda: self._stop(fleet.caches),
            "SIGTERM of an API server": lambda: self._stop(fleet.apis),
            "one direction between two servers": self._one_direction,
            "both directions between two servers": self._both_directions,
            "both directions between a server and the store": lambda: self._both_directions_to(fleet.store),
            "one direction between a server and the store": lambda: self._one_direction_to(fleet.store),
            "both directions between a server and Redis": lambda: self._both_directions_to(fleet.redis.place),
            "kill -9 of Redis": self._kill_redis,
            "Redis paused": self._pause_redis,
            "a move of shards": self._move,
            "a cache server drained, and taken back": self._drain,
            "kill -9 of a gateway of HBase": self._kill_gateway,
        }
        if region_servers:
            self._kinds = {**self._kinds, "kill -9 of a region server": self._kill_region_server}
        self._deck = self._shuffled()

    async def run(self, seconds: float) -> None:
        """Begins no fault after that time, and returns when each is healed and each kind was there."""
        ends_s = self._loop.time() + seconds
        async with asyncio.TaskGroup() as hands:
            for _ in range(HANDS):
                hands.create_task(
                    self._hand(lambda: self._loop.time() < ends_s or not self._kinds.keys() <= self.done.keys())
                )
        await self._fleet.network.heal()
        await asyncio.to_thread(self._hbase.heal)

    async def _hand(self, goes_on: Callable[[], bool]) -> None:
        while goes_on():
            name = next(self._deck)
            await self._kinds[name]()
            self.done[name] += 1
            await self._a_while()

    def _shuffled(self) -> Iterator[str]:
        while True:
            yield from self._random.sample(sorted(self._kinds), len(self._kinds))

    async def _a_while(self, at_least_s: float = 0.0) -> None:
        await asyncio.sleep(at_least_s + self._random.uniform(0, _PAUSE_S))

    # ------------------------------------------------------------------ servers

    @asynccontextmanager
    async def _one_of(self, machines: Sequence[Machine]) -> AsyncIterator[Machine]:
        """One that is well, as soon as there is one; nobody else gets it meanwhile."""
        while not (well := [machine for machine in machines if machine not in self._hit]):
            await self._a_while()
        machine = self._random.choice(well)
        self._hit.add(machine)
        try:
            yield machine
        finally:
            self._hit.remove(machine)

    async def _kill(self, machines: Sequence[Machine]) -> None:
        async with self._one_of(machines) as machine:
            machine.server.kill()
            await machine.server.ended()
            await self._a_while()
            await machine.server.start(_PATIENCE_S)

    async def _stop(self, machines: Sequence[Machine]) -> None:
        async with self._one_of(machines) as machine:
            machine.server.terminate()
            assert await machine.server.ended(_STOP_S) == 0, machine.server.lines
            await machine.server.start(_PATIENCE_S)

    async def _pause(self, machines: Sequence[Machine], at_least_s: float) -> None:
        async with self._one_of(machines) as machine:
            machine.server.pause()
            await self._a_while(at_least_s)
            machine.server.resume()

    # ------------------------------------------------------------------ the network

    async def _one_direction(self) -> None:
        one, other = self._random.sample([machine.place for machine in self._fleet.machines], 2)
        await self._without((one, other))

    async def _both_directions(self) -> None:
        one, other = self._random.sample([machine.place for machine in self._fleet.machines], 2)
        await self._without((one, other), (other, one))

    async def _both_directions_to(self, other: Place) -> None:
        place = self._random.choice(self._fleet.machines).place
        await self._without((place, other), (other, place))

    async def _one_direction_to(self, other: Place) -> None:
        ends = self._random.choice(self._fleet.machines).place, other
        await self._without(ends if self._random.random() < 0.5 else ends[::-1])

    async def _without(self, *ways: tuple[Place, Place]) -> None:
        cut = [way for way in ways if way not in self._cut]
        self._cut.update(cut)
        for sender, receiver in cut:
            await self._fleet.network.cut(sender, receiver)
        await self._a_while(self._random.choice((0.0, LEASE_S)))
        for sender, receiver in cut:
            await self._fleet.network.join(sender, receiver)
        self._cut.difference_update(cut)

    # ------------------------------------------------------------------ what operators do

    async def _move(self) -> None:
        """Some shards go to one node. Not waited for without end: who gives or gets them may be hit meanwhile."""
        name = self._random.choice(self._fleet.caches).name
        shards = self._random.sample(range(SHARDS), self._random.randint(1, _MOST_MOVED))
        to_come = {shard for shard, owner in enumerate(await self._owners()) if owner != name}.intersection(shards)
        await self._done("shards", "move", *map(str, shards), "--to", name, "--yes")
        ends_s = self._loop.time() + _MOVES_S
        while to_come and self._loop.time() < ends_s:
            await self._a_while()
            owners = await self._owners()
            arrived = {shard for shard in to_come if owners[shard] == name}
            to_come -= arrived
            self.moved_shards += len(arrived)

    async def _drain(self) -> None:
        """Whether it owns nothing before it is taken back is not for us to say: it may be hit meanwhile."""
        name = self._random.choice(self._fleet.caches).name
        await self._done("nodes", "drain", name, "--yes", "--no-wait")
        await self._a_while(LEASE_S)
        await self._done("nodes", "undrain", name, "--yes")

    async def _owners(self) -> list[str | None]:
        """Who owns each shard, as soon as the store says it."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                try:
                    return await self._fleet.owners()
                except (StoreUnavailable, StoreOutcomeUnknown):
                    await self._a_while()

    async def _done(self, *verb: str) -> None:
        """Runs a verb until it is done: the store may be away, and the node as well."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                try:
                    done = await self._fleet.verb(*verb)
                except TimeoutError:
                    continue
                if done.code == 0:
                    return
                await self._a_while()

    # ------------------------------------------------------------------ what the servers use

    async def _kill_redis(self) -> None:
        async with self._redis:
            await self._fleet.redis.kill()
            await self._a_while()
            await self._fleet.redis.start()

    async def _pause_redis(self) -> None:
        async with self._redis:
            self._fleet.redis.pause()
            await self._a_while()
            self._fleet.redis.resume()

    async def _kill_gateway(self) -> None:
        async with self._hbase_is_whole:
            await self._kill_of_hbase(self._random.choice(("gateway-1", "gateway-2")))

    async def _kill_region_server(self) -> None:
        """One that has regions of the table: one that was started a moment ago has none yet."""
        async with self._hbase_is_whole:
            placed = await self._placed()
            await self._kill_of_hbase(self._hbase.name_at(self._random.choice(sorted(placed.values()))))

    async def _placed(self) -> Mapping[bytes, int]:
        """Where the regions are, once those are there that were on their way from the last one that was killed."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                try:
                    return await asyncio.to_thread(hosts, self._fleet.settings["ROWBOX_STORE_URL"])
                except (TException, OSError):
                    await self._a_while()

    async def _kill_of_hbase(self, name: str) -> None:
        await asyncio.to_thread(self._hbase.kill, name)
        await self._a_while()
        await asyncio.to_thread(self._hbase.heal)
