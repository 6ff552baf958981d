"""The map of a cluster: which incarnation owns each shard, who is listed, and what operators wish. Values, no I/O.

A `ShardMap` never changes. Its edits give another one, which stands once the cluster's row names it:

    after = standing.next().giving(shards, incarnation)

`next` draws the version under which all edits behind it count. The rules that every map keeps:

listed      Every owner and every target of a move is listed. Unlisting somebody leaves its shards without an owner.
since       The version that gave a shard to its owner. A grant is (shard, since, incarnation), so an edit that does not
            name a shard leaves its `since`, and with it every row of the shard, alone.
moving_to   Only a shard that has an owner moves, and never to that owner. Giving the shard away ends the move.
hand_overs  The id of what the old owner handed over, by the version that ended the move: one mover for a version.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from typing import Final

import msgspec

NOBODY: Final = -1
"""The place, in `owners` and `moving_to`, of no node."""
RESTORE: Final = "restore "
"""How those are named that are listed after a restore and never lived."""
MOST_HAND_OVERS: Final = 256
"""The newest that a map keeps. A missing id costs a cold load and nothing else."""
MOST_NODES: Final = 4096


class ListedNode(msgspec.Struct, frozen=True, array_like=True):
    """One incarnation as the map lists it. The order of the fields is the format on disk: a new one comes last.

    `peer`: the address for peers, "" none; `url`: the one for clients. `weight`: percent of an ordinary node's share.
    `plan`: the highest version of the planner's rules that it follows. `features`: what it has announced that it knows.
    What operators wish stands apart (`Wish`).
    """

    incarnation: str
    node_id: str
    peer: str = ""
    url: str = ""
    weight: int = 100
    zone: str = ""
    standby: bool = False
    draining: bool = False
    plan: int = 1
    features: tuple[str, ...] = ()

    @property
    def never_lived(self) -> bool:
        """Whether it stands for nobody, as after a restore (put_back.py): no node id of a server has a space."""
        return self.node_id.startswith(RESTORE)


class Wish(msgspec.Struct, frozen=True, array_like=True):
    """What operators wish of a node, by its id, in all its lives. None: what the node says of itself counts.

    The order of the fields is the format on disk.
    """

    weight: int | None = None
    standby: bool | None = None
    draining: bool = False


NO_WISH: Final = Wish()


class ShardMap(msgspec.Struct, frozen=True, dict=True):
    """One version of the map. `nodes` ascend by incarnation; the three columns have a place for each shard.

    `owners` and `moving_to` hold places in `nodes`, or NOBODY. `pins`: shard -> node id. The mappings are not to be
    changed by anybody. `features`: what is switched on, ascending; what is stays so (features.py).
    """

    version: int
    plan: int
    nodes: tuple[ListedNode, ...]
    wishes: Mapping[str, Wish]
    pins: Mapping[int, str]
    owners: tuple[int, ...]
    since: tuple[int, ...]
    moving_to: tuple[int, ...]
    hand_overs: Mapping[int, str]
    features: tuple[str, ...] = ()

    # Asking

    @property
    def shards(self) -> int:
        """How many shards there are: 0 to `shards` - 1."""
        return len(self.owners)

    def owner_of(self, shard: int) -> ListedNode | None:
        """Who owns the shard; None: nobody does."""
        return self._node_at(self.owners[shard])

    def target_of(self, shard: int) -> ListedNode | None:
        """To whom the shard's owner is to give it; None: it stays."""
        return self._node_at(self.moving_to[shard])

    def hand_over_of(self, shard: int) -> str | None:
        """The id under which the owner was handed the shard's mailboxes; None: it got the shard without any."""
        return self.hand_overs.get(self.since[shard])

    def node(self, incarnation: str) -> ListedNode | None:
        """The listed incarnation; None: it is not listed."""
        return self._node_at(self._places.get(incarnation, NOBODY))

    def node_of_id(self, node_id: str) -> ListedNode | None:
        """The listed incarnation of a node; None: none is listed."""
        return self._node_at(self._places_by_id.get(node_id, NOBODY))

    def shards_of(self, incarnation: str) -> tuple[int, ...]:
        """The shards that it owns, ascending, those on the move included."""
        place = self._places.get(incarnation)
        return () if place is None else self._owned.get(place, ())

    @property
    def ownerless(self) -> tuple[int, ...]:
        """The shards without an owner, ascending."""
        return self._owned.get(NOBODY, ())

    @cached_property
    def moving(self) -> tuple[int, ...]:
        """The shards on the move, ascending."""
        return tuple(shard for shard, place in enumerate(self.moving_to) if place != NOBODY)

    def leaving(self, incarnation: str) -> Mapping[str, tuple[int, ...]]:
        """What it has to give away: the shards, ascending, by the incarnation that is to get them."""
        return self._moves_by(incarnation, self.owners, self.moving_to)

    def arriving(self, incarnation: str) -> Mapping[str, tuple[int, ...]]:
        """What it is to be given: the shards, ascending, by the incarnation that owns them."""
        return self._moves_by(incarnation, self.moving_to, self.owners)

    @property
    def movers(self) -> tuple[str, ...]:
        """The incarnations that have something to give away, ascending."""
        return tuple(self.nodes[place].incarnation for place in sorted({self.owners[shard] for shard in self.moving}))

    def as_wished(self, node: ListedNode) -> ListedNode:
        """The node with what operators wish of it in the place of what it says of itself."""
        wish = self.wishes.get(node.node_id, NO_WISH)
        return msgspec.structs.replace(
            node,
            weight=node.weight if wish.weight is None else wish.weight,
            standby=node.standby if wish.standby is None else wish.standby,
            draining=node.draining or wish.draining,
        )

    # Editing: each gives a new map, and leaves the version as it is

    def next(self, above: int = 0) -> "ShardMap":
        """The same map under a new version: one higher, and higher than `above`."""
        return self._with(version=max(self.version, above) + 1)

    def listing(self, nodes: Iterable[ListedNode]) -> "ShardMap":
        """With these listed, each in the place of what stood of its incarnation."""
        listed = {node.incarnation: node for node in self.nodes} | {node.incarnation: node for node in nodes}
        if len(listed) > MOST_NODES:
            raise ValueError(f"a map lists {MOST_NODES} nodes at most")
        return self._listing_only(listed)

    def unlisting(self, incarnations: Collection[str]) -> "ShardMap":
        """Without these. What they own has no owner then; what was on the move from them or to them stays."""
        return self._listing_only(
            {node.incarnation: node for node in self.nodes if node.incarnation not in incarnations}
        )

    def switching_on(self) -> "ShardMap":
        """With what all who are listed know switched on; without anybody listed, as it is."""
        if not self.nodes:
            return self
        known = set.intersection(*(set(node.features) for node in self.nodes))
        return self._with(features=tuple(sorted(known.union(self.features))))

    def giving(self, shards: Iterable[int], incarnation: str, hand_over: str | None = None) -> "ShardMap":
        """With the shards given to a listed one, since this version. `hand_over`: the id of what it was handed."""
        to, owners, since, moving_to = (
            self._place(incarnation),
            list(self.owners),
            list(self.since),
            list(self.moving_to),
        )
        for shard in shards:
            owners[shard], since[shard], moving_to[shard] = to, self.version, NOBODY
        if hand_over is not None and self.hand_overs.get(self.version, hand_over) != hand_over:
            raise ValueError("one version ends the moves of one mover only")
        named = self.hand_overs if hand_over is None else {**self.hand_overs, self.version: hand_over}
        return self._with(
            owners=tuple(owners), since=tuple(since), moving_to=tuple(moving_to), hand_overs=_kept(named, since)
        )

    def giving_anew(self, shards: Iterable[int]) -> "ShardMap":
        """With the shards at their owners since this version, so that each of their rows is claimed anew."""
        since = list(self.since)
        for shard in shards:
            since[shard] = self.version
        return self._with(since=tuple(since), hand_overs=_kept(self.hand_overs, since))

    def sending(self, shards: Iterable[int], incarnation: str | None) -> "ShardMap":
        """With the shards on the move to a listed one; None: they stay where they are.

        One that is its owner's already stays, too. ValueError for a shard without an owner.
        """
        to, moving_to = NOBODY if incarnation is None else self._place(incarnation), list(self.moving_to)
        for shard in shards:
            if self.owners[shard] == NOBODY:
                raise ValueError(f"nobody can give shard {shard} away, because it has no owner")
            moving_to[shard] = NOBODY if self.owners[shard] == to else to
        return self._with(moving_to=tuple(moving_to))

    def wishing(self, node_id: str, wish: Wish) -> "ShardMap":
        """With this wish in the place of what was wished of the node; NO_WISH: nothing is."""
        others = {one: other for one, other in self.wishes.items() if one != node_id}
        return self._with(wishes=others if wish == NO_WISH else {**others, node_id: wish})

    def pinning(self, shards: Collection[int], node_id: str | None) -> "ShardMap":
        """With the shards pinned to a node; None: to none. A pin to a node that is not listed waits for it."""
        if not all(0 <= shard < self.shards for shard in shards):
            raise ValueError(f"the shards are 0 to {self.shards - 1}")
        others = {shard: pinned for shard, pinned in self.pins.items() if shard not in shards}
        return self._with(pins=others if node_id is None else {**others, **dict.fromkeys(shards, node_id)})

    # Below

    def _node_at(self, place: int) -> ListedNode | None:
        return None if place == NOBODY else self.nodes[place]

    def _place(self, incarnation: str) -> int:
        if incarnation not in self._places:
            raise ValueError(f"{incarnation} is not listed")
        return self._places[incarnation]

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {node.incarnation: place for place, node in enumerate(self.nodes)}

    @cached_property
    def _places_by_id(self) -> Mapping[str, int]:
        return {node.node_id: place for place, node in enumerate(self.nodes)}

    @cached_property
    def _owned(self) -> Mapping[int, tuple[int, ...]]:
        return _grouped(range(self.shards), self.owners.__getitem__)

    def _moves_by(self, incarnation: str, of: tuple[int, ...], by: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
        place = self._places.get(incarnation)
        found = _grouped((shard for shard in self.moving if of[shard] == place), by.__getitem__)
        return {self.nodes[other].incarnation: shards for other, shards in found.items()}

    def _listing_only(self, listed: Mapping[str, ListedNode]) -> "ShardMap":
        nodes = tuple(listed[incarnation] for incarnation in sorted(listed))
        plan = min((node.plan for node in nodes), default=self.plan)
        if listed.keys() == self._places.keys():
            return self._with(plan=plan, nodes=nodes)
        places = {node.incarnation: place for place, node in enumerate(nodes)}
        moved = {place: places.get(node.incarnation, NOBODY) for place, node in enumerate(self.nodes)} | {
            NOBODY: NOBODY
        }
        owners = tuple(map(moved.__getitem__, self.owners))
        to = map(moved.__getitem__, self.moving_to)
        return self._with(
            plan=plan,
            nodes=nodes,
            owners=owners,
            moving_to=tuple(NOBODY if owner == NOBODY else target for owner, target in zip(owners, to, strict=True)),
        )

    def _with(self, **changes: object) -> "ShardMap":
        return msgspec.structs.replace(self, **changes)


def empty_map(shards: int, version: int = 0) -> ShardMap:
    """The map in which nobody is listed and nothing has an owner: what the first edit of a cluster begins with."""
    nobody = (NOBODY,) * shards
    return ShardMap(version, 1, (), {}, {}, nobody, (0,) * shards, nobody, {})


def _grouped(shards: Iterable[int], key: Callable[[int], int]) -> Mapping[int, tuple[int, ...]]:
    found: defaultdict[int, list[int]] = defaultdict(list)
    for shard in shards:
        found[key(shard)].append(shard)
    return {group: tuple(members) for group, members in found.items()}


def _kept(hand_overs: Mapping[int, str], since: Iterable[int]) -> Mapping[int, str]:
    """The newest ids that some shard still names by its `since`."""
    if not hand_overs:
        return hand_overs
    named = hand_overs.keys() & set(since)
    return {version: hand_overs[version] for version in sorted(named)[-MOST_HAND_OVERS:]}
