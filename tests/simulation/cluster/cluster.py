"""The servers of a simulated cluster, and what they are: how many, how unequal, what they hear, by which clocks."""

import asyncio
from collections.abc import Iterator
from enum import Enum, auto
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from rowbox.cacheserver.shardmap.shard_map import ListedNode
from rowbox.cacheserver.stores.clock_memory import CellMemory
from rowbox.hbase_schema.families import ttl_ms
from rowbox.mailbox.clocks.clock_trust import by_word
from rowbox.mailbox.settings.config import LeaseSettings, Settings
from tests.simulation.cluster.hearsay import Hearsay
from tests.simulation.cluster.machine import MachinesLoop
from tests.simulation.cluster.network import Network
from tests.simulation.cluster.server import PORT, ApiServer, CacheServer, Server, SimulatedStore, Surroundings
from tests.simulation.cluster.tokens import Tokens
from tests.simulation.world import LATE_FAULTS, USERS
from tests.support.cluster import Node
from tests.support.process import install
from tests.support.virtual_time import WallClock

NAMES = "abcdefghijklmnopqrst"
FAULTS = {fault: chance / 2 for fault, chance in LATE_FAULTS.items()}
LEASE = LeaseSettings(ttl_ms=1500, margin_ms=200, beat_ms=500)
"""Everything that goes by it (how long a fault lasts, how long a client thinks) is shorter than in a real cluster as
well: a story of six seconds has three takeovers in it, and costs what six seconds cost."""
FEW_SHARDS, MANY_SHARDS = 8, 48
LARGE = (10, 10, 11, 12, 14, 17, 20)
ONE_IS_LARGE = 50
"""Of so many seeds: a cluster of 10 to 20 servers. Each has a link to each other one, and so it costs as much as 10 to
25 of the others."""
POLITE_ENDS = 0.1
"""Of the simulations: in the end their servers give their shards away, one after the other, until nobody takes them."""


class Hears(Enum):
    """What the servers hear of newer maps beside their links."""

    NOTHING = auto()
    HINTS = auto()
    LIES = auto()


class Traits(NamedTuple):
    """What a cluster is like."""

    servers: int
    shards: int
    are_unequal: bool
    """Whether they have weights and zones, and some stand by."""
    judges_clock: bool
    """Whether the machines' clocks are judged, as `rowbox serve` does; then one may be set by hours."""
    hears: Hears
    has_tokens: bool
    """Whether clients have tokens, which are revoked now and then."""

    @property
    def is_large(self) -> bool:
        return self.servers >= 10


def drawn(seed: int, dice: Random) -> Traits:
    """The traits of a seed's cluster."""
    is_large = seed % ONE_IS_LARGE == ONE_IS_LARGE - 1
    return Traits(
        servers=dice.choice(LARGE) if is_large else dice.choice([3, 3, 3, 4, 5]),
        shards=MANY_SHARDS if is_large else FEW_SHARDS,
        are_unequal=dice.random() < 0.3,
        judges_clock=dice.random() < 0.25,
        hears=dice.choice([Hears.NOTHING, Hears.NOTHING, Hears.HINTS, Hears.LIES]),
        has_tokens=dice.random() < 0.3,
    )


class SimulatedCluster(Surroundings):
    """The servers over one store. It has what the clients of a World ask of a cluster."""

    late = True

    def __init__(self, seed: int, settings: Settings, traits: Traits) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, MachinesLoop)
        install()
        self.dice = Random(seed)
        self.traits = traits
        self.judges_clock = traits.judges_clock
        self.settings = replace(settings, lease=LEASE)
        self.moves_at_once = self.dice.choice([1, 2, 4])
        self.clock = WallClock()
        self._clocks: dict[str, WallClock] = {}
        self._network = loop.network = Network(Random(self.dice.getrandbits(64)))
        self.store = SimulatedStore(traits.shards, ttl_ms(settings.store), late_writes=True, now_ms=self.clock.now_ms)
        self.servers: dict[str, Server] = {}
        """By name: the newest life of each."""
        self.hearsay = Hearsay(self, lies=traits.hears is Hears.LIES) if traits.hears is not Hears.NOTHING else None
        self.tokens = Tokens(self.clock.now_us, self.dice, USERS) if traits.has_tokens else None
        self._listed: dict[str, ListedNode] = {}
        self._words = 0
        self.is_faulty = True

    async def start_first(self) -> None:
        await asyncio.gather(*(self.start(name) for name in NAMES[: self.traits.servers]))
        if self.dice.random() < 0.5:
            await self.start("api", ApiServer)

    def listed_as(self, name: str) -> ListedNode:
        """What a server says of itself in all its lives. The first one may own mailboxes, whatever the others are."""
        plain = ListedNode("", name, f"{name}:{PORT}")
        if name not in self._listed and self.traits.are_unequal:
            is_standby = name != NAMES[0] and self.dice.random() < 0.2
            weight, zone = self.dice.choice([50, 100, 100, 300]), self.dice.choice(["", "north", "south"])
            self._listed[name] = replace(plain, weight=weight, zone=zone, standby=is_standby)
        return self._listed.get(name, plain)

    @property
    def network(self) -> Network:
        return self._network

    def clock_of(self, name: str) -> WallClock:
        return self._clocks.setdefault(name, WallClock())

    async def start(self, name: str, kind: type[Server] = CacheServer) -> Server:
        server = kind(self, name)
        if self.is_faulty:
            for path in server.paths:
                path.store.faults.roll(self.dice.getrandbits(32), FAULTS, read_chance=0.02)
        try:
            await server.begin()
        except asyncio.CancelledError:
            await server.kill(silently=False)
            raise
        self.servers[name] = server
        return server

    @property
    def nodes(self) -> list[Node]:
        return list(self.servers.values())

    @property
    def node(self) -> Node:
        return self.dice.choice(self.nodes)

    @property
    def cache_servers(self) -> list[CacheServer]:
        return [one for one in self.servers.values() if isinstance(one, CacheServer)]

    def stall(self, ends_s: float) -> None:
        for server in self.servers.values():
            for path in server.paths:
                path.stalled_until_s = max(path.stalled_until_s, ends_s)

    def believed_us(self) -> Iterator[int]:
        """The time by each server's clock that is judged, and not in doubt."""
        for server in self.cache_servers:
            if server.judged is not None and not server.judged.doubt:
                yield server.clock.now_us()

    async def set_clocks_right(self) -> None:
        """As an operator does, and says so over a way to the store that is whole.

        Steps too small for a doubt have come to more in a long story.
        """
        for clock in self._clocks.values():
            clock.set_right()
        self._words += 1
        memory, word = CellMemory(self.store), f"word {self._words}"
        stands = await memory.read()
        while stands is None or stands.word != word:
            stands = await memory.swap(stands, by_word(self.clock.now_us(), word))

    def owners(self) -> dict[int, str]:
        """Who answers for each shard."""
        return {shard: server.name for server in self.cache_servers for shard in server.answers_for()}

    async def close(self) -> None:
        """Ends all servers: some one after the other, as at SIGTERM, and mostly as if the power was cut."""
        is_polite = self.dice.random() < POLITE_ENDS
        for server in self.servers.values():
            if server.machine.is_alive:
                await (server.close() if is_polite else server.kill(silently=True))
