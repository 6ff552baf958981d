"""A cluster as an operator sees it: who owns how much, what moves, and what is wrong. Pure; `rowbox cluster` shows it.

It is made of what the store holds: the map, and the nodes' cells. Whether a node lives shows only by its beats, so
whoever wants to know looks twice, and says how long ago each node's cell was last seen to change.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import combinations
from typing import Any, Final, NamedTuple

from rowbox.cacheserver.shardmap.cluster_state import NodeCell, NodeLoad
from rowbox.cacheserver.shardmap.shard_map import NO_WISH, ListedNode, ShardMap
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.clocks.clock_trust import duration

MOST_APART_US: Final = 10 * US_PER_S
"""Clocks of nodes that differ by more than this are said to be wrong (docs/operations.md, "Clocks")."""
SILENT: Final = "silent"
LONG_MOVE_S: Final = 60
"""A move takes a second or two. One that has gone on for so long is said to be stuck."""
NEVER: Final = -1.0


class Pulse(NamedTuple):
    """How a node's cell looks to who looks again and again: seen at all for `known_s`, unchanged for `quiet_s`.

    `quiet_s` is NEVER where it was seen once only.
    """

    quiet_s: float
    known_s: float = 0.0


UNKNOWN_PULSE: Final = Pulse(NEVER)


class NodeView(NamedTuple):
    """One node. `state`: what it is, in a word or two. `share`: shards that it should own by its weight.

    `quiet_s`: see Pulse. `load`: what it did, as of its last beat; None: it owns nothing, or does not say.
    """

    node_id: str
    incarnation: str
    state: str
    address: str
    peer: str
    zone: str
    weight: int
    shards: int
    share: float
    leaving: int
    arriving: int
    reaches_mail: bool
    quiet_s: float
    is_standby: bool
    is_draining: bool
    load: NodeLoad | None = None
    reaches_peers: bool = True


class Overview(NamedTuple):
    """The whole cluster. `wrong`: a sentence for each thing that an operator should look into; () where all is well.

    `noted`: a sentence for each thing that he should know of, and may have wanted: who died and has not come back, and
    who is drained.
    """

    version: int
    shards: int
    nodes: Sequence[NodeView]
    moving: int
    ownerless: int
    pinned: int
    wrong: Sequence[str]
    noted: Sequence[str] = ()


def overview_of(
    shard_map: ShardMap, cells: Iterable[NodeCell], pulses: Mapping[str, Pulse], patience_s: float
) -> Overview:
    """The cluster as of one look. `pulses` by incarnation; who is quiet for `patience_s` should have been replaced."""
    by_name = {cell.incarnation: cell for cell in cells}
    living = [cell for cell in by_name.values() if not cell.has_ended]
    unlisted = [_as_listed(cell) for cell in living if shard_map.node(cell.incarnation) is None]
    nodes = [
        _view(shard_map, node, by_name.get(node.incarnation), _quiet_s(pulses, node), patience_s)
        for node in (*shard_map.nodes, *unlisted)
        if not node.never_lived
    ]
    dead = [*_dead_for_good(by_name.values(), {node.node_id for node in nodes})]
    departed = [_view(shard_map, _as_listed(cell), cell, NEVER, patience_s) for cell in dead]
    return Overview(
        shard_map.version,
        shard_map.shards,
        sorted([*nodes, *departed], key=lambda view: (view.node_id, view.incarnation)),
        len(shard_map.moving),
        len(shard_map.ownerless),
        len(shard_map.pins),
        [
            *_wrong_with_nodes(nodes),
            *_wrong_with_ids(living, pulses),
            *_wrong_with_map(shard_map),
            *_wrong_with_clocks(living),
        ],
        [*map(_died, dead), *_drained(nodes)],
    )


def as_fields(overview: Overview) -> dict[str, Any]:
    """The overview as the fields of a JSON object."""
    return {
        "version": overview.version,
        "shards": overview.shards,
        "moving": overview.moving,
        "ownerless": overview.ownerless,
        "pinned": overview.pinned,
        "wrong": list(overview.wrong),
        "noted": list(overview.noted),
        "nodes": [node_fields(node) for node in overview.nodes],
    }


def node_fields(node: NodeView) -> dict[str, Any]:
    """One node as the fields of a JSON object."""
    load = node.load
    return {
        "nodeId": node.node_id,
        "incarnation": node.incarnation,
        "state": node.state,
        "address": node.address,
        "peer": node.peer,
        "zone": node.zone,
        "weight": node.weight,
        "shards": node.shards,
        "share": round(node.share, 1),
        "leaving": node.leaving,
        "arriving": node.arriving,
        "reachesMail": node.reaches_mail,
        "quietSeconds": None if node.quiet_s == NEVER else round(node.quiet_s, 1),
        "standby": node.is_standby,
        "draining": node.is_draining,
        "load": None
        if load is None
        else {
            "sendsPerSecond": load.sends_per_s,
            "fetchesPerSecond": load.fetches_per_s,
            "mailboxes": load.mailboxes,
            "commitP99Ms": load.commit_p99_ms,
        },
        "reachesPeers": node.reaches_peers,
    }


def changes_between(before: ShardMap, after: ShardMap) -> Sequence[str]:
    """What a map changed, in sentences, for who watches: who came and went, what changed hands, what moves."""
    if after.version == before.version:
        return ()
    was, is_now = ({node.incarnation: node for node in one.nodes if not node.never_lived} for one in (before, after))
    said = ["the store was put back from a copy"] if _waits_after_a_restore(after) else []
    said += [f"{_name(was[name])} is listed no more" for name in was if name not in is_now]
    said += [f"{_name(is_now[name])} is listed" for name in is_now if name not in was]
    hands: Counter[tuple[str, str]] = Counter()
    begun: Counter[tuple[str, str]] = Counter()
    stay = 0
    for shard in range(min(before.shards, after.shards)):
        owner, owned = before.owner_of(shard), after.owner_of(shard)
        if owner != owned:
            hands[_name(owner), _name(owned)] += 1
        target, targeted = before.target_of(shard), after.target_of(shard)
        if targeted is not None and targeted != target:
            begun[_name(owned), _name(targeted)] += 1
        stay += target is not None and targeted is None and owner == owned
    said += [f"{_count(number)} from {one} to {other}" for (one, other), number in sorted(hands.items())]
    said += [f"{_count(number)} on the move from {one} to {other}" for (one, other), number in sorted(begun.items())]
    said += [f"{_count(stay)} {'stays' if stay == 1 else 'stay'} after all"] if stay else []
    pinned = Counter(
        after.pins.get(shard, "")
        for shard in before.pins.keys() | after.pins.keys()
        if before.pins.get(shard) != after.pins.get(shard)
    )
    said += [
        f"{_count(number)} pinned to {node_id}" if node_id else f"{_count(number)} pinned no more"
        for node_id, number in sorted(pinned.items())
    ]
    for node_id in sorted(before.wishes.keys() | after.wishes.keys()):
        if before.wishes.get(node_id) != after.wishes.get(node_id):
            said.append(f"{node_id}: {_wish_in_words(after, node_id)}")
    return tuple(said) or ("nothing that is shown",)


def _quiet_s(pulses: Mapping[str, Pulse], node: ListedNode) -> float:
    return pulses.get(node.incarnation, UNKNOWN_PULSE).quiet_s


def _view(
    shard_map: ShardMap, listed: ListedNode, cell: NodeCell | None, quiet_s: float, patience_s: float
) -> NodeView:
    node = shard_map.as_wished(listed)
    is_listed = shard_map.node(node.incarnation) is not None
    whole = sum(max(other.weight, 0) for other in map(shard_map.as_wished, shard_map.nodes) if _has_room(other))
    share = shard_map.shards * node.weight / whole if is_listed and _has_room(node) and whole else 0.0
    return NodeView(
        node.node_id,
        node.incarnation,
        _state(node, cell, is_listed=is_listed, is_silent=quiet_s >= patience_s),
        "" if cell is None else cell.address,
        node.peer,
        node.zone,
        node.weight,
        len(shard_map.shards_of(node.incarnation)),
        share,
        sum(map(len, shard_map.leaving(node.incarnation).values())),
        sum(map(len, shard_map.arriving(node.incarnation).values())),
        cell is not None and cell.reaches_mail,
        quiet_s,
        node.standby,
        node.draining,
        None if cell is None or cell.has_ended else cell.load,
        cell is None or cell.reaches_peers is not False,
    )


def _has_room(node: ListedNode) -> bool:
    return not node.standby and not node.draining


def _state(node: ListedNode, cell: NodeCell | None, *, is_listed: bool, is_silent: bool) -> str:
    if cell is None:
        return "gone"
    if cell.has_ended:
        return cell.status
    if is_silent:
        return SILENT
    if not is_listed:
        return "of an older version" if not cell.node_id else "joining"
    if cell.reaches_peers is False:
        return "cut off"
    if node.draining or cell.status == "draining":
        return "draining"
    return "standby" if node.standby else cell.status


def _as_listed(cell: NodeCell) -> ListedNode:
    return ListedNode(
        cell.incarnation,
        cell.node_id,
        cell.peer,
        cell.url,
        cell.weight,
        cell.zone,
        cell.standby,
        plan=cell.plan,
        features=cell.features,
    )


def _dead_for_good(cells: Iterable[NodeCell], there: Collection[str]) -> Iterable[NodeCell]:
    """Of each node that was declared dead and is not there again under another incarnation, the last one's cell.

    A cell stays until another server takes its place, so some of them are forgotten sooner than others.
    """
    last: dict[str, NodeCell] = {}
    for cell in cells:
        if cell.status == "dead" and cell.node_id and cell.node_id not in there:
            known = last.setdefault(cell.node_id, cell)
            last[cell.node_id] = max(known, cell, key=lambda one: one.clock_us)
    return [last[node_id] for node_id in sorted(last)]


def _died(cell: NodeCell) -> str:
    when = ""
    if cell.clock_us:
        when = f", by its clock {datetime.fromtimestamp(cell.clock_us / US_PER_S, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"{cell.node_id} died{when}, and has not come back: others have its shards ({cell.address})"


def _drained(nodes: Iterable[NodeView]) -> Iterable[str]:
    for node in nodes:
        if node.is_draining and not node.shards and not node.arriving:
            yield f"{node.node_id} is drained, and owns nothing until `rowbox nodes undrain {node.node_id}`"


def _wrong_with_nodes(nodes: Iterable[NodeView]) -> Iterable[str]:
    for node in nodes:
        if node.state in ("gone", "stopped", "dead"):
            yield f"{node.node_id} has ended ({node.state}) and is listed still, with {_count(node.shards)}"
        elif node.state == SILENT:
            yield f"{node.node_id} has not beaten for {node.quiet_s:.0f} s, and owns {_count(node.shards)}"
        elif not node.reaches_mail:
            yield f"{node.node_id} does not reach the mail"
        elif not node.reaches_peers:
            owns = f", and owns {_count(node.shards)}" if node.shards else ""
            yield f"{node.node_id} has no links with most of the other servers{owns}"
        if node.load is not None and node.leaving and node.load.oldest_move_s >= LONG_MOVE_S:
            age = f"{node.load.oldest_move_s:.0f} s"
            yield f"{node.node_id} has had shards on the move for {age} and cannot give them away: its log says why"


def _wrong_with_ids(living: Sequence[NodeCell], pulses: Mapping[str, Pulse]) -> Iterable[str]:
    """Two servers with one node id. One that was restarted is not two: the cell of before beats no more."""
    by_id: dict[str, list[NodeCell]] = {}
    for cell in living:
        if cell.node_id:
            by_id.setdefault(cell.node_id, []).append(cell)
    for node_id, cells in sorted(by_id.items()):
        twice = next((pair for pair in combinations(cells, 2) if _beat_side_by_side(*pair, pulses)), None)
        if twice is not None:
            where = " and ".join(sorted(cell.address or cell.incarnation for cell in twice))
            yield f"two servers say that they are {node_id} ({where}): give one of them another cluster.node_id"


def _beat_side_by_side(one: NodeCell, other: NodeCell, pulses: Mapping[str, Pulse]) -> bool:
    """Whether each was seen to beat after the other one was there."""
    first, second = (pulses.get(cell.incarnation, UNKNOWN_PULSE) for cell in (one, other))
    return 0 <= first.quiet_s < second.known_s and 0 <= second.quiet_s < first.known_s


def _waits_after_a_restore(shard_map: ShardMap) -> bool:
    return any(node.never_lived for node in shard_map.nodes)


def _wrong_with_map(shard_map: ShardMap) -> Iterable[str]:
    if _waits_after_a_restore(shard_map):
        yield "the store was put back from a copy: the servers that run own its mailboxes within ten seconds"
    if shard_map.ownerless:
        yield f"{_count(len(shard_map.ownerless))} without an owner: these users are answered 503"
    away = Counter(node_id for node_id in shard_map.pins.values() if shard_map.node_of_id(node_id) is None)
    for node_id, number in sorted(away.items()):
        yield f"{_count(number)} pinned to {node_id}, which is not there"


def _wrong_with_clocks(cells: Sequence[NodeCell]) -> Iterable[str]:
    told = sorted((cell.clock_us, cell.node_id or cell.address) for cell in cells if cell.clock_us)
    if told and told[-1][0] - told[0][0] > MOST_APART_US:
        apart = duration(told[-1][0] - told[0][0])
        yield f"the clocks of {told[0][1]} and {told[-1][1]} are about {apart} apart, or one of them beats no more"


def _wish_in_words(shard_map: ShardMap, node_id: str) -> str:
    wish = shard_map.wishes.get(node_id, NO_WISH)
    words = [
        *(["drain"] if wish.draining else []),
        *([f"weight {wish.weight}"] if wish.weight is not None else []),
        *([f"standby {'on' if wish.standby else 'off'}"] if wish.standby is not None else []),
    ]
    return ", ".join(words) or "no wish any more"


def _name(node: ListedNode | None) -> str:
    return "nobody" if node is None else node.node_id


def _count(number: int) -> str:
    return f"{number:,} shard" if number == 1 else f"{number:,} shards"
