"""What an incarnation is, and what it does next, judged by one look at the cluster's row: pure functions.

    its own cell has ended, or a newer map lists it no more     -> REPLACED, for ever
    it is listed, reaches no mail, and a lively other one does  -> REPLACED: it ends, says so, and comes back as another
    it owns shards, and has no links with most other servers,
    while a lively other one has                                -> REPLACED, in the same way (docs/adr/0057)
    it has no cell                                              -> joins
    somebody's cell was seen unchanged for too long             -> declares it dead, by a swap on that unchanged cell
    it owns shards whose `since` is too low for their rows      -> raises it, by a new map
    it is a steward                                             -> plans: lists joiners, gives away what the ended own

The stewards are the three lowest ranks of those that are listed and have not ended. They read the whole row and watch
everybody; everybody else reads its own cell, theirs and the map's, and watches them alone. So what a beat costs does
not grow with the cluster, and whoever owns a shard has somebody who notices its end (docs/adr/0050).

Whoever makes a swap reads again and judges again (membership.py): a swap may have lost its race, landed late, or been
somebody else's, so nothing that was read before it may be used after it. Two servers that waited for the same owner
once went on with the map in hand after the swap that ended the owner: both owned under one epoch.

The exhaustive search of tests/model runs these same functions.
"""

from collections.abc import Collection, Iterable, Mapping
from enum import Enum, auto
from functools import lru_cache
from hashlib import blake2b
from heapq import nsmallest
from typing import Final, NamedTuple

from msgspec.structs import replace

from rowbox.cacheserver.shardmap.cluster_row import ClusterRow, MapRoot
from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, MapCell, NodeCell, NodeLoad, own_place
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap

STEWARDS: Final = 3
PROPOSE_AFTER_S: Final = 0.2
"""How much longer each rank waits than the one below it before it changes the map."""


class Role(Enum):
    """What an incarnation is, as of what it read last: no part of the cluster yet, a part of it, or never again."""

    UNLISTED = auto()
    LISTED = auto()
    REPLACED = auto()


class FirstPlace(NamedTuple):
    """Where an incarnation tries to put its first cell, and what `stood` there (None: nothing) when it began to try.

    While `stood` still stands there, the swap may yet execute, however long ago it was sent. So the incarnation tries
    another place only once something else stands in this one: it never has two cells.
    """

    place: bytes
    stood: NodeCell | None


class Look(NamedTuple):
    """What one read of the cluster's row has found, of one moment.

    `map`: the body that the map's cell of this read names; an empty one where none stands yet, or one of a Rowbox with
    one owner. `is_whole`: whether every cell was read. Else an absent one means nothing.
    """

    row: ClusterRow
    map: ShardMap
    is_whole: bool = True


class Contacts(NamedTuple):
    """With whom a server has links now, by incarnation: whom it can call, and who can call it."""

    calls: Collection[str]
    called_by: Collection[str]


class Member(NamedTuple):
    """What an incarnation knows beside what stands in the store."""

    node: ListedNode
    """What it says of itself."""
    address: str
    next_beat: int
    """The number of the beat that the incarnation would write now. It rises with each swap of its own cell."""
    applied: ShardMap | None = None
    """The newest map that it has applied: what it owns, it owns by this one. Their versions only rise."""
    needed_above: Mapping[int, int] = {}
    """Of shards that it owns: the map version above which their `since` has to be, because somebody else has claimed a
    row under that version."""
    has_joined: bool = False
    """Whether the incarnation's cell was seen in the store."""
    was_listed: bool = False
    """Whether a map that it has applied listed it."""
    has_renewed: bool = False
    """Whether the incarnation has sent its renewal of this beat."""
    is_ending: bool = False
    """Whether the incarnation answers nothing any more and has only to say so in the store."""
    lease_is_held: bool = False
    has_waited: bool = False
    """Whether everybody who is listed was seen ended for as long as the others get to come back."""
    reaches_mail: bool = True
    may_leave: bool = True
    """Whether it has not reached the mail for so long that others, were it everybody's trouble, would say so, too."""
    contacts: Contacts | None = None
    """None: it has no links with other servers, and needs none."""
    reaches_peers: bool = True
    """Whether it has been in touch with the other servers (`is_in_touch`) within the last beats."""
    may_leave_peers: bool = False
    """Whether it has not been for so long that others, were it everybody's trouble, would say so, too."""
    clock_us: int = 0
    """The time that the next beat tells the other servers, in microseconds since 1970; 0: it tells none."""
    load: NodeLoad | None = None
    """What it does, which the next beat tells people."""
    silent: Collection[str] = ()
    """Incarnations whose cells were seen unchanged, without a gap in the looking, for ttl + margin."""
    lively: Collection[str] = ()
    """Incarnations whose cells were seen to change a moment ago."""
    first_place: FirstPlace | None = None
    stewards: int = STEWARDS
    """How many stewards there are; everybody has to think of the same number."""

    @property
    def name(self) -> str:
        """Its incarnation."""
        return self.node.incarnation


class Swap(NamedTuple):
    """A compare-and-set: `cell` is put at `place` if what stood there in the judged look still stands there."""

    place: bytes
    cell: NodeCell


class TakenIn(NamedTuple):
    """What an incarnation knows after a look.

    It ends where it is REPLACED, else applies the map, and then counts its lease anew, in this order: a renewal means
    nothing before the map that was read with it is applied.
    """

    role: Role
    has_joined: bool
    renewed_beat: int = 0
    """The beat whose swap is known to have executed: the lease counts from before it was begun. 0: none is."""
    applies: bool = False
    """Whether the map of the look is to be applied: it is newer than what was."""


class Renewal(NamedTuple):
    """What an incarnation has to remember of a swap of its own cell before it sends the swap."""

    beat: int
    first_place: FirstPlace


class PlanInput(NamedTuple):
    """What a steward plans from. `cells`: of the listed, and of those that are to be, without what each beat changes.

    Equal `key`s have the same plan. Rank 0 proposes its plan at once, each further one `PROPOSE_AFTER_S` later, if the
    same key still stands then.
    """

    map: ShardMap
    cells: tuple[NodeCell, ...]
    rank: int

    @property
    def key(self) -> tuple[int, tuple[NodeCell, ...]]:
        """What the plan is a function of."""
        return self.map.version, self.cells


# Who is what


def role_of(look: Look, me: Member) -> Role:
    """The role of `me` as of `look`. An incarnation that was REPLACED once stays so, whatever stands later."""
    if me.is_ending or (me.has_joined and has_ended(look, me.name)):
        return Role.REPLACED
    newest = look.map if _is_newer(look, me) else me.applied
    if newest is None or newest.node(me.name) is None:
        return Role.REPLACED if me.was_listed else Role.UNLISTED
    abdicates = me.may_leave and not me.reaches_mail and _others_that_reach_mail(look, me) & set(me.lively)
    return Role.REPLACED if abdicates or _is_cut_off(look, me, newest) else Role.LISTED


def has_ended(look: Look, incarnation: str) -> bool:
    """Whether an incarnation has stopped or was declared dead: for ever, and it never renews its lease again.

    One without a cell has ended too: another one took its place. Nobody is listed before its cell stands.
    """
    cell = look.row.cell_of(incarnation)
    return look.is_whole if cell is None else cell.has_ended


def stewards(look: Look, count: int = STEWARDS) -> tuple[str, ...]:
    """The incarnations that watch everybody and plan, by rank."""
    return _lowest(count, (node.incarnation for node in look.map.nodes if not has_ended(look, node.incarnation)))


def is_in_touch(look: Look, me: Member) -> bool:
    """Whether `me` has links both ways with half of the other servers at least. Who is not listed is called by nobody.

    Of all servers that are parted in groups, at most one group is in touch: one of more than half of them.
    """
    contacts = me.contacts
    if contacts is None:
        return True
    others = [
        node.incarnation
        for node in look.map.nodes
        if node.incarnation != me.name and node.peer and not has_ended(look, node.incarnation)
    ]
    is_listed = look.map.node(me.name) is not None
    touched = [name for name in others if name in contacts.calls and (name in contacts.called_by or not is_listed)]
    return 2 * len(touched) >= len(others)


def take_in(look: Look, me: Member) -> TakenIn:
    """What `me` knows after `look`. The beat in its cell there counts: its newest swap may have failed."""
    own = look.row.cell_of(me.name)
    me = me._replace(has_joined=me.has_joined or own is not None)
    now_is = role_of(look, me)
    if now_is is Role.REPLACED:
        return TakenIn(now_is, me.has_joined)
    return TakenIn(now_is, me.has_joined, own.beat if own is not None else 0, _is_newer(look, me))


def places_to_read(look: Look, me: Member) -> frozenset[bytes] | None:
    """The places that a look of `me` has to have; None: the whole row. A partial look without them is not to be judged.

    The whole row is for those who judge everybody: the stewards; where one of them has ended, everybody, because the
    next ranks are to know it; and whoever is not listed, because nobody watches over it.
    """
    own = look.row.place_of(me.name)
    if own is None or look.map.node(me.name) is None:
        return None
    lowest = _lowest(me.stewards, (node.incarnation for node in look.map.nodes))
    places = [look.row.place_of(incarnation) for incarnation in lowest if not _is_known_ended(look, incarnation)]
    known = [place for place in places if place is not None]
    return None if me.name in lowest or len(known) < len(lowest) else frozenset([MAP_PLACE, own, *known])


# Cells


def renewal(look: Look, me: Member, swap: Swap) -> Renewal | None:
    """What `me` has to remember of a swap judged by `look`; None where the swap does not renew its own cell."""
    cell = swap.cell
    if cell.incarnation != me.name or cell.has_ended:
        return None
    return Renewal(cell.beat, FirstPlace(swap.place, look.row.cells.get(swap.place)))


def next_swap(look: Look, me: Member) -> Swap | None:
    """The swap of a node's cell that `me` makes next, as of `look`; None: it makes none before its next beat."""
    own, place = look.row.cell_of(me.name), look.row.place_of(me.name)
    is_replaced = role_of(look, me) is Role.REPLACED
    if own is None or place is None:
        return None if is_replaced else _join(look.row, me)
    if is_replaced:
        return None if own.has_ended else Swap(place, replace(own, status="stopped"))
    return _bury(look.row, me) if me.has_renewed else Swap(place, _cell(me))


def _cell(me: Member) -> NodeCell:
    node = me.node
    return NodeCell(
        node.incarnation,
        me.next_beat,
        "draining" if node.draining else "alive",
        me.address,
        me.reaches_mail,
        me.clock_us,
        node_id=node.node_id,
        peer=node.peer,
        url=node.url,
        weight=node.weight,
        zone=node.zone,
        standby=node.standby,
        plan=node.plan,
        load=me.load,
        reaches_peers=me.reaches_peers,
        features=node.features,
    )


def _join(row: ClusterRow, me: Member) -> Swap | None:
    first_place = me.first_place
    if first_place is not None and row.cells.get(first_place.place) == first_place.stood:
        return None if me.has_renewed else Swap(first_place.place, _cell(me))
    ended = sorted(place for place, cell in row.cells.items() if cell.has_ended)
    return Swap(ended[0] if ended else own_place(me.name), _cell(me))


def _bury(row: ClusterRow, me: Member) -> Swap | None:
    """Declares a silent one dead. Whoever cannot renew its own lease must not judge others by their silence.

    Each begins elsewhere, so that many who bury many do not all swap the same cell.
    """
    silent = [place for place, cell in row.cells.items() if cell.incarnation in me.silent and not cell.has_ended]
    if not silent or not me.lease_is_held:
        return None
    place = min(silent, key=lambda place: _rank(me.name + row.cells[place].incarnation))
    return Swap(place, replace(row.cells[place], status="dead"))


# The map


def raised(look: Look, me: Member) -> ShardMap | None:
    """The map that `me` swaps in because rows of its shards were claimed under too high a version; None: it need not.

    After a restore the map may be older than its rows (docs/how-to/backup-and-restore.md).
    """
    if role_of(look, me) is not Role.LISTED:
        return None
    since, needed = look.map.since, me.needed_above
    low = [shard for shard in look.map.shards_of(me.name) if shard in needed and since[shard] <= needed[shard]]
    return look.map.next(max(needed[shard] for shard in low)).giving_anew(low) if low else None


def plan_input(look: Look, me: Member) -> PlanInput | None:
    """What `me` is to plan from as a steward; None where it is none, as of `look`.

    Where all who are listed have ended, all who are back are stewards alike, once enough are back: the first one is
    not to take everything.
    """
    own = look.row.cell_of(me.name)
    if not (look.is_whole and me.lease_is_held) or own is None or own.has_ended or _is_owned_by_one(look):
        return None
    if role_of(look, me) is Role.REPLACED:
        return None
    joiners, ranked = _joiners(look, me), stewards(look, me.stewards)
    if not ranked and (me.has_waited or _enough_are_back(look.map, joiners)):
        ranked = _lowest(me.stewards, (cell.incarnation for cell in joiners))
    if me.name not in ranked:
        return None
    listed = [cell for cell in look.row.cells.values() if look.map.node(cell.incarnation) is not None]
    cells = sorted((*listed, *joiners), key=lambda cell: cell.incarnation)
    return PlanInput(look.map, tuple(cell.lasting for cell in cells), ranked.index(me.name))


def carried_over(planned: ShardMap, now: PlanInput) -> ShardMap | None:
    """A plan that lost its race, without planning anew: who has ended is unlisted, and the shards that have no owner
    now go where the plan has them, if that one lives. None: nothing of it is to be done any more.

    A plan may take longer than a map stands. This takes no time, so that whoever ends moves, one version after the
    other, keeps nobody's shards from being given to the living.
    """
    living = {cell.incarnation for cell in now.cells if not cell.has_ended}
    ended = [node.incarnation for node in now.map.nodes if node.incarnation not in living]
    at_home = {node.node_id for node in now.map.nodes if node.incarnation in living}
    to_come = living - {node.incarnation for node in now.map.nodes}
    joining = [node for node in planned.nodes if node.incarnation in to_come and node.node_id not in at_home]
    after = now.map.next().listing(joining).unlisting(ended)
    given: dict[str, list[int]] = {}
    for shard in after.ownerless:
        target = planned.owner_of(shard)
        if target is not None and after.node(target.incarnation) is not None:
            given.setdefault(target.incarnation, []).append(shard)
    for incarnation, shards in given.items():
        after = after.giving(shards, incarnation)
    return after if joining or ended or given else None


def _joiners(look: Look, me: Member) -> list[NodeCell]:
    """The cells of those who are to be listed. A cell that says alive may be of one who crashed: it has to change.

    One without a node id is of a Rowbox that knew no shards.
    """
    return [
        cell
        for cell in look.row.cells.values()
        if not cell.has_ended
        and cell.reaches_mail
        and cell.reaches_peers is not False
        and cell.node_id
        and look.map.node(cell.incarnation) is None
        and (cell.incarnation == me.name or cell.incarnation in me.lively)
    ]


def _enough_are_back(standing: ShardMap, joiners: Iterable[NodeCell]) -> bool:
    """Whether half of the nodes that are listed, in an earlier life, are there again."""
    listed = {node.node_id for node in standing.nodes}
    return 2 * len(listed & {cell.node_id for cell in joiners}) >= len(listed)


# Below


def _is_newer(look: Look, me: Member) -> bool:
    """A look may be late: an older map than the applied one says nothing any more."""
    return isinstance(look.row.map, MapRoot) and (me.applied is None or look.map.version > me.applied.version)


def _is_known_ended(look: Look, incarnation: str) -> bool:
    cell = look.row.cell_of(incarnation)
    return cell is not None and cell.has_ended


def _is_owned_by_one(look: Look) -> bool:
    """Whether one of a Rowbox that knew no shards owns everything: it knows no map, so everybody waits for its end."""
    return isinstance(look.row.map, MapCell) and not has_ended(look, look.row.map.owner)


def _is_cut_off(look: Look, me: Member, newest: ShardMap) -> bool:
    """Whether `me` has shards for which others cannot ask it, and is to leave them to those who are in touch."""
    if me.reaches_peers or not me.may_leave_peers or not newest.shards_of(me.name):
        return False
    others = (cell for cell in look.row.cells.values() if cell.incarnation in me.lively)
    return any(not cell.has_ended and cell.reaches_peers for cell in others if cell.incarnation != me.name)


def _others_that_reach_mail(look: Look, me: Member) -> set[str]:
    others = (cell for cell in look.row.cells.values() if cell.incarnation != me.name)
    return {cell.incarnation for cell in others if not cell.has_ended and cell.reaches_mail}


def _lowest(count: int, incarnations: Iterable[str]) -> tuple[str, ...]:
    return tuple(nsmallest(count, incarnations, key=_rank))


@lru_cache(maxsize=1 << 13)
def _rank(incarnation: str) -> bytes:
    return blake2b(incarnation.encode(), digest_size=8).digest()
