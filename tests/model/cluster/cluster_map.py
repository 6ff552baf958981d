"""The map of the cluster's model: a value that can be compared, the map that ships, and plans to swap in.

The protocol has to be right whatever is planned. So most plans here are none that ship: they differ from one another.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from rowbox.cacheserver.node.judgement import PlanInput
from rowbox.cacheserver.shardmap.plan import plan
from rowbox.cacheserver.shardmap.shard_map import NOBODY, ListedNode, ShardMap

NONE = ""
MOVES_AT_ONCE = 1


class Map(NamedTuple):
    """A version of the map; 0: there is none. `owners` and `moving_to`: an incarnation for each shard, or NONE."""

    version: int
    listed: tuple[str, ...]
    owners: tuple[str, ...]
    since: tuple[int, ...]
    moving_to: tuple[str, ...]

    def held_by(self, incarnation: str) -> dict[int, int]:
        """The shards that it owns, each with its `since`."""
        return {
            shard: since
            for shard, (owner, since) in enumerate(zip(self.owners, self.since, strict=True))
            if owner == incarnation
        }


def no_map(shards: int) -> Map:
    return Map(0, (), (NONE,) * shards, (0,) * shards, (NONE,) * shards)


def listed_node(incarnation: str) -> ListedNode:
    """What an incarnation says of itself: its node is its first letter."""
    return ListedNode(incarnation, incarnation[0])


@lru_cache(maxsize=1 << 16)
def shipped_map(value: Map) -> ShardMap:
    """The map as it ships."""
    places = {incarnation: place for place, incarnation in enumerate(value.listed)} | {NONE: NOBODY}
    return ShardMap(
        value.version,
        1,
        tuple(map(listed_node, value.listed)),
        {},
        {},
        tuple(places[owner] for owner in value.owners),
        value.since,
        tuple(places[target] for target in value.moving_to),
        {},
    )


def model_map(shipped: ShardMap) -> Map:
    """The inverse of `shipped_map`."""
    names = [node.incarnation for node in shipped.nodes] + [NONE]  # NOBODY is the last place
    return Map(
        shipped.version,
        tuple(names[:-1]),
        tuple(names[owner] for owner in shipped.owners),
        shipped.since,
        tuple(names[target] for target in shipped.moving_to),
    )


def plans(given: PlanInput, count: int) -> Iterator[ShardMap]:
    """`count` plans: each gives what the ended own to whoever has least, one after the other, and begins elsewhere.

    0: the plan that ships.
    """
    if not count:
        yield from filter(None, (plan(given.map, given.cells, MOVES_AT_ONCE),))
        return
    living = sorted(cell.incarnation for cell in given.cells if not cell.has_ended)
    joining = [listed_node(name) for name in living if given.map.node(name) is None]
    ended = [node.incarnation for node in given.map.nodes if node.incarnation not in living]
    after = given.map.next().listing(joining).unlisting(ended)
    if not (joining or ended or after.ownerless):
        return
    for number in range(count):
        ordered = living[number:] + living[:number]
        planned = after
        for shard in after.ownerless:
            owned = {name: len(planned.shards_of(name)) for name in ordered}
            planned = planned.giving([shard], min(ordered, key=owned.__getitem__))
        yield planned
