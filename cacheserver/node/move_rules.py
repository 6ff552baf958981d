"""The swaps of the map by which an owner ends the moves of its shards, and when it may answer for them again.

    its shards are to go to another one       -> it closes them, hands over what it has in memory, and gives them away
    the move is given up, or takes too long   -> it takes them back: the map's next version, in which they stay
    it loses the race for the map's cell      -> it judges what stands now; a grant that does not stand is not its own

From sending a swap on the owner answers nothing for these shards until it has applied a newer map than the one that
the swap expects: until then the swap may execute, also long after its call has failed. Once a newer one stands it never
will. All functions are pure; tests/model searches them.
"""

from collections.abc import Mapping

from rowbox.cacheserver.shardmap.shard_map import ShardMap


def gives_away(
    standing: ShardMap, me: str, grants: Mapping[int, int], target: str, hand_over: str | None
) -> ShardMap | None:
    """The map in which `target` owns what was handed over to it under `hand_over`. `grants`: shard -> since.

    Only shards of which the grant and the move still stand. None: none is left.
    """
    shards = [shard for shard in _granted(standing, me, grants) if _target(standing, shard) == target]
    return standing.next().giving(shards, target, hand_over) if shards else None


def takes_back(standing: ShardMap, me: str, grants: Mapping[int, int]) -> ShardMap | None:
    """The map in which the shards stay with `me`. None: none of them is on the move any more."""
    shards = [shard for shard in _granted(standing, me, grants) if _target(standing, shard) is not None]
    return standing.next().sending(shards, None) if shards else None


def is_decided(sent_over: int, applied: ShardMap) -> bool:
    """Whether no swap that was sent over the map of version `sent_over` can execute any more."""
    return applied.version > sent_over


def _granted(standing: ShardMap, me: str, grants: Mapping[int, int]) -> list[int]:
    """The shards of which the grants still stand."""
    own = set(standing.shards_of(me))
    return [shard for shard, since in grants.items() if shard in own and standing.since[shard] == since]


def _target(standing: ShardMap, shard: int) -> str | None:
    target = standing.target_of(shard)
    return None if target is None else target.incarnation
