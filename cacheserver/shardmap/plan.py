"""The next version of the map, by what the cells of the nodes say. Pure: every process plans the same of the same.

members     (`changed_members`) Who has ended is unlisted, who has come is listed, and what has no owner gets one at
            once, all in one version. Where a whole node is gone, a standby that owns nothing takes all it had.
moves       (`rebalanced`) Shards that should be elsewhere (placement.py) are set on the move, a few at a time. Not
            while any shard is without an owner, and not where a listed node does not know these rules.

features    What all who are listed have announced is switched on; who does not know what is on is not listed.

A node that joins while another incarnation of it is listed and lives waits: two would share one place on the ring. A
standby that took over is an ordinary node from then on, until operators wish otherwise: its shards are not taken from
it because the dead one comes back.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from rowbox.cacheserver.shardmap.cluster_state import NodeCell
from rowbox.cacheserver.shardmap.placement import may_own, place
from rowbox.cacheserver.shardmap.shard_map import NOBODY, ListedNode, ShardMap

PLAN: Final = 1
"""The version of these rules and of placement.py's. Nodes with different rules would undo each other's moves."""
MOST_MOVERS: Final = 8
"""Owners that give shards away at one time: each closes what it gives for as long as it waits to swap the map, and they
wait for each other."""


def plan(standing: ShardMap, cells: Iterable[NodeCell], moves_at_once: int) -> ShardMap | None:
    """The map that should stand next; None: nothing is to change. Parameters as below."""
    return changed_members(standing, cells) or rebalanced(standing, moves_at_once)


def changed_members(standing: ShardMap, cells: Iterable[NodeCell]) -> ShardMap | None:
    """The members as `cells` show them, with an owner for every shard. Cheap where nothing has changed.

    `cells`: those of the whole row, because who is listed and has no cell has ended. An unlisted one that says that it
    is alive is listed: who has yet to prove that it lives is to be left out.
    """
    by_incarnation = {cell.incarnation: cell for cell in cells}
    ended = {node.incarnation for node in standing.nodes if _has_ended(by_incarnation.get(node.incarnation))}
    living = [node for node in standing.nodes if node.incarnation not in ended]
    renewed = [_renewed(node, by_incarnation[node.incarnation]) for node in living]
    joining = _joining(by_incarnation.values(), {node.node_id for node in living}, standing)
    after = standing.next().listing([*renewed, *joining])
    after = _with_standbys(after, ended).unlisting(ended)
    after = _with_owners(_with_somebody(after)).switching_on()
    return None if msgspec.structs.replace(after, version=standing.version) == standing else after


def rebalanced(standing: ShardMap, moves_at_once: int) -> ShardMap | None:
    """The same owners with more shards on the move, `moves_at_once` in all. Depends on nothing but the map.

    None: there is nothing to move, or no room for more moves, and asking again of this map gives None again. Takes
    seconds with hundreds of nodes and 65,536 shards.
    """
    left = moves_at_once - len(standing.moving)
    movers = {standing.owners[shard] for shard in standing.moving}
    if left <= 0 or standing.ownerless or standing.plan != PLAN:
        return None
    wanted = _wanted_moves(standing)
    others = sorted(wanted.keys() - movers, key=lambda owner: (-len(wanted[owner]), owner))
    chosen = [*sorted(movers & wanted.keys()), *others[: max(0, MOST_MOVERS - len(movers))]]
    after = standing.next()
    for waiting, owner in zip(range(len(chosen), 0, -1), chosen, strict=True):
        moves = wanted[owner][: -(-left // waiting)]
        left -= len(moves)
        for target, shards in _by_target(moves).items():
            after = after.sending(shards, standing.nodes[target].incarnation)
    return after if after.moving != standing.moving else None


def _has_ended(cell: NodeCell | None) -> bool:
    return cell is None or cell.has_ended


def _renewed(node: ListedNode, cell: NodeCell) -> ListedNode:
    """What the map lists of a node, as its cell says it now. Whether it is standby is decided when it is listed."""
    return msgspec.structs.replace(
        node,
        peer=cell.peer,
        url=cell.url,
        weight=cell.weight,
        zone=cell.zone,
        draining=cell.status == "draining" or cell.reaches_peers is False,  # whom others cannot ask is given nothing
        plan=cell.plan,
        features=cell.features,
    )


def _joining(cells: Iterable[NodeCell], taken: set[str], standing: ShardMap) -> list[ListedNode]:
    joining: dict[str, ListedNode] = {}
    for cell in sorted(cells, key=lambda cell: cell.incarnation):
        can_serve = cell.reaches_mail and cell.reaches_peers is not False
        can_serve &= set(standing.features) <= set(cell.features)
        is_ready = cell.status == "alive" and can_serve and cell.node_id not in taken | {""}
        if is_ready and standing.node(cell.incarnation) is None and cell.node_id not in joining:
            node = ListedNode(cell.incarnation, cell.node_id, standby=cell.standby)
            joining[cell.node_id] = _renewed(node, cell)
    return list(joining.values())


def _with_standbys(after: ShardMap, ended: Collection[str]) -> ShardMap:
    """Gives all that an ended node had to a standby, as long as there are any: of its zone, if one is.

    Not where the node itself is back already, and not what is pinned to another node that is listed.
    """
    back = {node.node_id for node in after.nodes if node.incarnation not in ended}
    for gone in (node for node in after.nodes if node.incarnation in ended and node.node_id not in back):
        spare = _spare(after, ended)
        shards = [shard for shard in after.shards_of(gone.incarnation) if after.pins.get(shard) not in back]
        if spare and shards:
            chosen = min(spare, key=lambda node: (node.zone != gone.zone, node.node_id))
            after = _as_ordinary(after, chosen).giving(shards, chosen.incarnation)
    return after


def _with_somebody(after: ShardMap) -> ShardMap:
    """Where all are standbys and a shard has no owner, one of them is ordinary from now on: it takes what there is."""
    spare = _spare(after, ())
    if not after.ownerless or not spare or any(map(may_own, map(after.as_wished, after.nodes))):
        return after
    return _as_ordinary(after, min(spare, key=lambda node: node.node_id))


def _spare(shard_map: ShardMap, ended: Collection[str]) -> list[ListedNode]:
    """The standbys that can take over. One whom the others cannot call, although they call each other, is none."""
    living = [node for node in shard_map.nodes if node.incarnation not in ended]
    is_called = any(node.peer for node in living)
    return [node for node in living if _is_spare(shard_map, node) and (node.peer or not is_called)]


def _is_spare(shard_map: ShardMap, node: ListedNode) -> bool:
    wished = shard_map.as_wished(node)
    return wished.standby and not wished.draining and not shard_map.shards_of(node.incarnation)


def _as_ordinary(shard_map: ShardMap, node: ListedNode) -> ShardMap:
    """The standby as a node like others: also where operators had made it one, whose wish is fulfilled by this."""
    wish = shard_map.wishes.get(node.node_id)
    if wish is not None and wish.standby:
        shard_map = shard_map.wishing(node.node_id, msgspec.structs.replace(wish, standby=None))
    return shard_map.listing([msgspec.structs.replace(node, standby=False)])


def _with_owners(after: ShardMap) -> ShardMap:
    """Gives what has no owner to those who should have it. Nothing else is touched."""
    if not after.ownerless or not after.nodes:
        return after
    wanted = place(after)
    for target, shards in _by_target([(wanted[shard], shard) for shard in after.ownerless]).items():
        after = after.giving(shards, after.nodes[target].incarnation)
    return after


def _wanted_moves(standing: ShardMap) -> Mapping[int, Sequence[tuple[int, int]]]:
    """By owner the shards that should be elsewhere and are not yet on the move, as (target, shard), ascending."""
    wanted: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    columns = zip(place(standing), standing.owners, standing.moving_to, strict=True)
    for shard, (target, owner, to) in enumerate(columns):
        if target != owner and to == NOBODY:
            wanted[owner].append((target, shard))
    return {owner: sorted(moves) for owner, moves in wanted.items()}


def _by_target(moves: Iterable[tuple[int, int]]) -> Mapping[int, Sequence[int]]:
    found: defaultdict[int, list[int]] = defaultdict(list)
    for target, shard in moves:
        found[target].append(shard)
    return found
