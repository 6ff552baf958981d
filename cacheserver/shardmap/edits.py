"""What operators can have changed in the map, as pure edits. Each raises BadRequest where it makes no sense."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from rowbox.cacheserver.shardmap.desk import Edit, Seen
from rowbox.cacheserver.shardmap.placement import place
from rowbox.cacheserver.shardmap.shard_map import NO_WISH, NOBODY, ListedNode, ShardMap, Wish
from rowbox.mailbox.errors import BadRequest

MOST_WEIGHT: Final = 1000
_SHARDS: Final = re.compile(r"(\d+)(?:-(\d+))?", re.ASCII)


def wished(node_id: str, **changes: object) -> Edit:
    """Fields of the wish about a node are replaced."""

    def edit(seen: Seen) -> ShardMap | None:
        require_node(seen.map, node_id)
        before = seen.map.wishes.get(node_id, NO_WISH)
        after: Wish = replace(before, **changes)
        return None if after == before else seen.map.next().wishing(node_id, after)

    return edit


def moved(shards: Sequence[int], node_id: str) -> Edit:
    """The shards' owners give them to a node, warm. A shard that is there already stays."""

    def edit(seen: Seen) -> ShardMap | None:
        target = require_living(seen, node_id)
        require_shards(seen.map, shards)
        ownerless = [shard for shard in shards if seen.map.owner_of(shard) is None]
        if ownerless:
            raise BadRequest(f"shard {ownerless[0]} has no owner who could give it away")
        after = seen.map.next().sending(shards, target.incarnation)
        return None if after.moving_to == seen.map.moving_to else after

    return edit


def pinned(shards: Collection[int], node_id: str | None) -> Edit:
    """The shards are pinned to a node; None: to none."""

    def edit(seen: Seen) -> ShardMap | None:
        require_shards(seen.map, shards)
        if node_id is not None:
            require_node(seen.map, node_id)
        after = seen.map.next().pinning(shards, node_id)
        return None if after.pins == seen.map.pins else after

    return edit


def moves_of_plan(shard_map: ShardMap) -> Sequence[str]:
    """What moves when this map stands, in sentences: from whom to whom, and how many shards.

    Takes seconds with hundreds of nodes and 65,536 shards.
    """
    moves: Counter[tuple[str, str]] = Counter()
    for owner, wanted in zip(shard_map.owners, place(shard_map), strict=True):
        if wanted not in (owner, NOBODY):
            moves["nobody" if owner == NOBODY else shard_map.nodes[owner].node_id, shard_map.nodes[wanted].node_id] += 1
    if not moves:
        return ["no shard moves"]
    return [
        f"{number:,} {'shard goes' if number == 1 else 'shards go'} from {one} to {other}"
        for (one, other), number in sorted(moves.items())
    ]


def require_node(shard_map: ShardMap, node_id: str) -> None:
    """BadRequest where neither a node of this id is listed nor a wish about one is known."""
    known = {node.node_id for node in shard_map.nodes} | shard_map.wishes.keys()
    if node_id not in known:
        raise BadRequest(f"no node {node_id} is in the map; there are {', '.join(sorted(known)) or 'none'}")


def require_living(seen: Seen, node_id: str) -> ListedNode:
    """The listed incarnation of a node. BadRequest where none is listed, or it has ended."""
    require_node(seen.map, node_id)
    node = seen.map.node_of_id(node_id)
    if node is None or seen.row.has_ended(node.incarnation):
        raise BadRequest(f"the node {node_id} does not run")
    return node


def require_shards(shard_map: ShardMap, shards: Iterable[int]) -> None:
    """BadRequest where a number is no shard of the store."""
    for shard in shards:
        if not 0 <= shard < shard_map.shards:
            raise BadRequest(f"there is no shard {shard}: they are 0 to {shard_map.shards - 1}")


def shards_named(texts: Iterable[str]) -> Sequence[int]:
    """Shards as an operator names them: `7`, `7-12`, `7,9,11-13`. Ascending, each once. BadRequest."""
    found: set[int] = set()
    for text in ",".join(texts).split(","):
        match = _SHARDS.fullmatch(text.strip())
        if match is None or len(text) > 20:
            raise BadRequest(f"{text or 'nothing'} names no shards: give numbers and ranges, as 7 or 7-12")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first >= 1 << 16:
            raise BadRequest(f"{text} is no range of shards")
        found.update(range(first, last + 1))
    return sorted(found)
