"""The same simulation over two owners that share the shards, while shards move: by plan, by takeover, there and back.

Clients ask whichever owner comes to their mind, as a router would that knows an old map. An owner that does not have
the shard says so; where it answers, the answer has to be right.
"""

import asyncio

from tests.owner.shards.sharing import Sharing, shard
from tests.simulation.history import History
from tests.simulation.world import LATE_FAULTS, USERS, World
from tests.support.cluster import CRAMPED, SHARDS, UNLIMITED, Node

CONCERNED = sorted({shard(user) for user in USERS})
"""The shards in which anything is."""


class SharingWorld(World):
    """One simulation, of nodes that share the shards of a store with late writes."""

    cluster: Sharing

    def __init__(self, seed: int) -> None:
        super().__init__(seed, late=True)
        self.history = History(USERS)

    def _make_cluster(self) -> Sharing:
        return Sharing(settings=self.dice.choice([CRAMPED, UNLIMITED]))

    async def _start_first(self) -> None:
        first, _ = await self._join(), await self._join()
        self.cluster.give(first, range(SHARDS))

    async def _join(self) -> Node:
        node = await self.cluster.join()
        node.store.faults.roll(self.dice.getrandbits(32), LATE_FAULTS, read_chance=0.03)
        self.history.note(f"node {self.cluster.map_version} joins")
        return node

    def _alive(self) -> list[Node]:
        """The nodes that the map may name."""
        nodes = [node for node in self.cluster.nodes if node.process.is_alive]
        return [node for node in nodes if node.ownership is not None and node.ownership.is_held]

    def _some_shards(self, node: Node) -> list[int]:
        owned = [number for number in CONCERNED if number in self.cluster.owned_by(node)]
        return [number for number in owned if self.dice.random() < 0.6]

    # ------------------------------------------------------------------ what goes wrong

    async def _trouble(self) -> None:
        kinds = [self._move, self._move, self._move, self._there_and_back, self._land, self._stall, self._take_over]
        while True:
            await asyncio.sleep(self.dice.expovariate(6.0))
            await self.dice.choice(kinds)()

    async def _stall(self) -> None:
        node = self.dice.choice(self._alive())
        point = self.dice.choice(list(node.store.gates))
        node.store.hold(point)
        await asyncio.sleep(self.dice.uniform(0, 0.3))
        node.store.release(point)

    async def _move(self) -> None:
        """Closed first, or torn away at once; given up half way, or given to the other; with a while of nobody."""
        source, target = self.dice.sample(self._alive(), 2)
        shards = self._some_shards(source)
        if not shards:
            return
        closing = None
        if self.dice.random() < 0.7:
            self.history.note(f"closes {shards}")
            closing = asyncio.create_task(source.process.call(source.owner.close_shards(shards)))
            await asyncio.wait([closing], timeout=self.dice.choice([0.0, 0.05, 1.0]))
        if self.dice.random() < 0.3:
            self.history.note(f"keeps {shards}")
            source.owner.reopen(shards)
        else:
            self.history.note(f"moves {shards}")
            self.cluster.name(target, shards)
            nodes = [source, target]
            if self.dice.random() < 0.5:
                await asyncio.sleep(0)
            for node in nodes:  # never the target first: its shards are taken from whoever knows that they are gone
                self.cluster.take_in(node)
                if self.dice.random() < 0.3:
                    await asyncio.sleep(self.dice.uniform(0, 0.1))
        if closing is not None:
            await asyncio.wait([closing])

    async def _there_and_back(self) -> None:
        """Away and back, so fast that nobody who is at work notices by the map."""
        source, target = self.dice.sample(self._alive(), 2)
        shards = self._some_shards(source)
        self.history.note(f"moves {shards} there and back")
        self.cluster.give(target, shards)
        for _ in range(self.dice.choice([0, 1, 5, 50])):
            await asyncio.sleep(0)
        if target.process.is_alive:
            self.cluster.give(source, shards)

    async def _take_over(self) -> None:
        """A node dies, or is suspended for long; the other gets all that it had, and a new one joins."""
        if self.dice.random() < 0.6:
            return
        victim, other = self.dice.sample(self._alive(), 2)
        shards = list(self.cluster.owned_by(victim))
        if self.dice.random() < 0.5:
            self.history.note("kill")
            await self.cluster.kill(victim, writes_survive=self.dice.random() < 0.5)
            self.cluster.give(other, shards)
            await self._join()
            return
        self.history.note("pause")
        victim.pause()
        self.cluster.give(other, shards)
        await self._join()
        await asyncio.sleep(self.dice.uniform(0, 1.0))
        self.history.note("wake")
        victim.wake()

    def _asked(self) -> Node:
        return self.dice.choice(self._alive())

    # ------------------------------------------------------------------ the end

    async def _last_node(self) -> Node:
        """One that owns everything, after all others are gone."""
        for node in self.cluster.nodes:
            if node.process.is_alive:
                await self.cluster.kill(node)
        node = await self.cluster.join()
        self.cluster.give(node, range(SHARDS))
        return node
