"""Where each shard should be: consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2016). Pure.

A ring of points gives each shard an order of the nodes. A node has room for 1.05 times its share, which goes by weight;
one that is standby, draining or of weight 0 has none. The rules, in the order in which they are applied:

pinned      A pinned shard is at its node, if that is listed and not draining.
ownerless   It goes to the first in its order that has room.
emptied     So does a shard whose owner may have none.
shed        What an owner has above its room goes, the farthest on the ring first, to the emptiest newcomer, whatever
            the order; where there is none, to the first in its order that has room.
newcomers   Who owns less than 0.95 of its part gets shards in whose order it stands before their owners, until it has
            its share. Its part is its share, or what it is the first for, where that is less: a node to which chance
            gave a small piece of the ring is no newcomer.

Nothing else leaves an owner that lives. So a node that joins takes its share and no shard moves between others, though
plain bounded loads would move up to 1% of them; and shards that somebody leaves behind move alone. Shares, rooms and
the threshold are compared as integers: every process finds the same.

Where all nodes are standby, draining or of weight 0, owners stay, and what has no owner is spread as if none of them
was: somebody has to serve it. (The plan makes one of the standbys an ordinary node before.) A shard on the move counts
for its target.
"""

from array import array
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from uhashring import HashRing

from rowbox.cacheserver.shardmap.shard_map import MOST_NODES, NOBODY, ListedNode, ShardMap

POINTS: Final = 512
"""On the ring, of a node of weight 100: with them a node's part of the ring is within 5% of its share, mostly."""
ROOM_PERCENT: Final = 105
NEWCOMER_PERCENT: Final = 95


def place(shard_map: ShardMap) -> tuple[int, ...]:
    """The wanted owner of each shard, as a place in `shard_map.nodes`. NOBODY everywhere iff nobody is listed.

    Takes seconds with hundreds of nodes and 65,536 shards: not to be called on the event loop.
    """
    if not shard_map.nodes:
        return shard_map.owners
    return _Placing(shard_map).wanted()


class _Ring(NamedTuple):
    """The points, ascending, as places in `ids`; and for each shard the number of the first point behind it."""

    points: "array[int]"
    starts: "array[int]"


@lru_cache(maxsize=4)
def _ring(weights: tuple[tuple[str, int], ...], shards: int) -> _Ring:
    """The ring of these node ids."""
    keys: list[int] = []
    places = array("L")
    for place, (node_id, weight) in enumerate(weights):
        points = _points_of(node_id, max(1, POINTS * weight // 100))
        keys += points
        places.extend([place] * len(points))
    order = sorted(range(len(keys)), key=keys.__getitem__)
    keys.sort()
    starts = (bisect(keys, key) % len(keys) for key in _shard_keys(shards))
    return _Ring(array("L", map(places.__getitem__, order)), array("L", starts))


@lru_cache(maxsize=MOST_NODES)
def _points_of(node_id: str, count: int) -> Sequence[int]:
    """Where the library puts a node on the ring, whoever else is there. Kept, because a join or a death in a cluster of
    500 would else hash 256,000 points anew, seconds in which shards are without an owner.
    """
    return [key for key, _ in HashRing(nodes={node_id: {"vnodes": count}}).get_points()]


@lru_cache(maxsize=2)
def _shard_keys(shards: int) -> Sequence[int]:
    key = HashRing().hashi
    return [key(f"{shard:04x}") for shard in range(shards)]


class _Placing:
    """One run of the rules. Nodes are numbered by their ids here, so that the ring can be kept over their restarts: of
    two incarnations of one node the later in the map counts.
    """

    def __init__(self, shard_map: ShardMap) -> None:
        by_id = {node.node_id: shard_map.as_wished(node) for node in shard_map.nodes}
        nodes = [by_id[node_id] for node_id in sorted(by_id)]
        self._nodes: Sequence[ListedNode] = nodes
        self._map = shard_map
        self._places = {node.node_id: place for place, node in enumerate(nodes)}
        own_places = [self._places[node.node_id] for node in shard_map.nodes] + [NOBODY]
        self._owners = [
            own_places[owner if to == NOBODY else to]
            for owner, to in zip(shard_map.owners, shard_map.moving_to, strict=True)
        ]
        weights = {node.node_id: node.weight for node in nodes}
        self._ring = _ring(tuple(weights.items()), shard_map.shards)
        self._loads = [0] * len(nodes)
        for owner in self._owners:
            if owner != NOBODY:
                self._loads[owner] += 1
        self._is_open = any(map(may_own, nodes))
        self._weigh([node.weight if may_own(node) else 0 for node in nodes])

    def wanted(self) -> tuple[int, ...]:
        pinned = self._pin()
        if self._is_open:
            free = [shard for shard in range(self._map.shards) if shard not in pinned]
            self._settle(shard for shard in free if self._owners[shard] == NOBODY)
            self._settle(shard for shard in free if not self._rooms[self._owners[shard]])
            newcomers = self._newcomers(free)
            self._shed(free, newcomers)
            self._feed(free, newcomers)
        else:
            self._weigh([max(1, node.weight) for node in self._nodes])
            self._settle(shard for shard, owner in enumerate(self._owners) if owner == NOBODY)
        places = {node.node_id: place for place, node in enumerate(self._map.nodes)}
        return tuple(places[self._nodes[owner].node_id] for owner in self._owners)

    def _weigh(self, weights: Sequence[int]) -> None:
        whole, shards = max(1, sum(weights)), self._map.shards
        self._shares = [shards * weight // whole for weight in weights]
        self._rooms = [-(-ROOM_PERCENT * shards * weight // (100 * whole)) for weight in weights]

    def _pin(self) -> set[int]:
        """Puts the pinned shards where they belong, and returns them."""
        pinned: set[int] = set()
        for shard, node_id in self._map.pins.items():
            to = self._places.get(node_id)
            if to is not None and not self._nodes[to].draining:
                pinned.add(shard)
                self._move(shard, to)
        return pinned

    def _settle(self, shards: Iterable[int]) -> None:
        """Each to the first in its order that has room. There is one: all rooms together are more than the shards."""
        for shard in shards:
            self._move(shard, self._first(shard, self._rooms))

    def _feed(self, shards: Iterable[int], newcomers: set[int]) -> None:
        """Gives each shard that a newcomer stands first for to it. Who has its share then is no newcomer any more."""
        for shard in shards if newcomers else ():
            if self._owners[shard] not in newcomers:
                to = next((place for place in self._before_owner(shard) if place in newcomers), None)
                if to is not None:
                    self._move(shard, to)
                    self._drop_if_full(newcomers, to)

    def _shed(self, free: Iterable[int], newcomers: set[int]) -> None:
        """Takes from each owner what it has above its room."""
        over = {place: list[int]() for place in range(len(self._loads)) if self._has_too_much(place)}
        for shard in free if over else ():
            if self._owners[shard] in over:
                over[self._owners[shard]].append(shard)
        for owner, shards in over.items():
            shards.sort(key=lambda shard: (-sum(1 for _ in self._before_owner(shard)), shard))
            for shard in shards[: self._loads[owner] - self._rooms[owner]]:
                to = min(newcomers, key=self._fullness) if newcomers else self._first(shard, self._rooms)
                self._move(shard, to)
                self._drop_if_full(newcomers, to)

    def _drop_if_full(self, newcomers: set[int], place: int) -> None:
        if self._loads[place] >= self._shares[place]:
            newcomers.discard(place)

    def _newcomers(self, free: Iterable[int]) -> set[int]:
        points, starts = self._ring
        first_for = Counter(points[starts[shard]] for shard in free)
        parts = (min(share, first_for[place]) for place, share in enumerate(self._shares))
        return {place for place, part in enumerate(parts) if 100 * self._loads[place] < NEWCOMER_PERCENT * part}

    def _before_owner(self, shard: int) -> Iterator[int]:
        """The nodes that stand before the shard's owner in its order, some of them more than once."""
        points, at, owner = self._ring.points, self._ring.starts[shard], self._owners[shard]
        while (place := points[at]) != owner:
            yield place
            at = (at + 1) % len(points)

    def _first(self, shard: int, limits: Sequence[int]) -> int:
        """The first in the shard's order that has less than its limit: there is one."""
        points, loads, at = self._ring.points, self._loads, self._ring.starts[shard]
        while loads[place := points[at]] >= limits[place]:
            at = (at + 1) % len(points)
        return place

    def _has_too_much(self, place: int) -> bool:
        return self._loads[place] > self._rooms[place]

    def _fullness(self, place: int) -> tuple[int, int]:
        return self._loads[place] * 1_000_000 // self._shares[place], place

    def _move(self, shard: int, to: int) -> None:
        owner = self._owners[shard]
        if owner != NOBODY:
            self._loads[owner] -= 1
        self._loads[to] += 1
        self._owners[shard] = to


def may_own(node: ListedNode) -> bool:
    """Whether a node, as operators wish it, has a share of the shards."""
    return node.weight > 0 and not node.standby and not node.draining
