"""The role of an incarnation, and the one swap that it makes next: pure functions of what stands in the store.

Whoever makes a swap reads again and judges again (membership.py): a swap may have lost its race, landed late, or been
somebody else's, so nothing that was read before it may be used after it. Two servers that waited for the same owner
once went on with the map in hand after the swap that ended the owner: both owned under one epoch.

    its own cell has ended, or the map names another one     -> REPLACED, for ever
    it owns, reaches no mail, and a lively other one does    -> REPLACED: it ends, and says so
    the map names it                                         -> OWNER; has the map raised where its version is too low
    nobody owns, or the owner has ended                      -> names itself in the map, at the next version
    somebody's cell was seen unchanged for too long          -> declares it dead, by a swap on that unchanged cell

The exhaustive search of tests/model runs these same functions.
"""

from collections.abc import Collection
from enum import Enum, auto
from typing import NamedTuple

from msgspec.structs import replace

from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, ClusterState, MapCell, NodeCell, own_place


class Role(Enum):
    """What an incarnation is, as of the state that it read last: it waits, it owns, or it owns nothing any more."""

    STANDBY = auto()
    OWNER = auto()
    REPLACED = auto()


class FirstPlace(NamedTuple):
    """Where an incarnation tries to put its first cell, and what `stood` there (None: nothing) when it began to try.

    While `stood` still stands there, the swap may yet execute, however long ago it was sent. So the incarnation tries
    another place only once something else stands in this one: it never has two cells.
    """

    place: bytes
    stood: NodeCell | None


class Member(NamedTuple):
    """What an incarnation knows beside what stands in the store."""

    incarnation: str
    address: str
    next_beat: int
    """The number of the beat that the incarnation would write now. It rises with each swap of its own cell."""
    has_joined: bool = False
    """Whether the incarnation's cell was seen in the store."""
    has_renewed: bool = False
    """Whether the incarnation has sent its renewal of this beat."""
    is_ending: bool = False
    """Whether the incarnation answers nothing any more and has only to say so in the store."""
    owned_version: int = 0
    """The map version that the incarnation owns under; 0: it does not own."""
    needed_above: int = 0
    """A row was claimed under this map version by somebody else: the map has to be raised above it. 0: none was."""
    lease_is_held: bool = False
    reaches_mail: bool = True
    clock_us: int = 0
    """The time that the next beat tells the other servers, in microseconds since 1970; 0: it tells none."""
    silent: Collection[str] = ()
    """Incarnations whose cells were seen unchanged, without a gap in the looking, for ttl + margin."""
    lively: Collection[str] = ()
    """Incarnations whose cells were seen to change a moment ago."""
    first_place: FirstPlace | None = None


class Swap(NamedTuple):
    """A compare-and-set: `cell` is put at `place` if what stood there in the judged state still stands there."""

    place: bytes
    cell: NodeCell | MapCell


class TakenIn(NamedTuple):
    """What an incarnation knows after a read of the state."""

    role: Role
    has_joined: bool
    renewed_beat: int = 0
    """The beat whose swap is known to have executed: the lease counts from before it was begun. 0: none is."""
    given_version: int = 0
    """The map version that the incarnation owns under from now on; 0: the same as before."""


class Renewal(NamedTuple):
    """What an incarnation has to remember of a swap of its own cell before it sends the swap."""

    beat: int
    first_place: FirstPlace


def role_of(state: ClusterState, me: Member) -> Role:
    """The role of `me` as of `state`. An incarnation that was REPLACED once stays so, whatever stands later."""
    if me.is_ending or (me.has_joined and state.has_ended(me.incarnation)):
        return Role.REPLACED
    if state.map is not None and state.map.owner == me.incarnation:
        abdicates = not me.reaches_mail and _others_that_reach_mail(state, me) & set(me.lively)
        return Role.REPLACED if abdicates else Role.OWNER
    return Role.REPLACED if me.owned_version else Role.STANDBY


def take_in(state: ClusterState, me: Member) -> TakenIn:
    """What `me` knows after a read of `state`. The beat in its cell there counts: its newest swap may have failed."""
    own = state.cell_of(me.incarnation)
    me = me._replace(has_joined=me.has_joined or own is not None)
    now_is = role_of(state, me)
    beat = own.beat if own is not None and now_is is not Role.REPLACED else 0
    named = state.map
    # Only a higher version is another one: n would begin anew under a version that had it.
    is_given = now_is is Role.OWNER and named is not None and named.version > me.owned_version
    return TakenIn(now_is, me.has_joined, beat, named.version if named is not None and is_given else 0)


def renewal(state: ClusterState, me: Member, swap: Swap) -> Renewal | None:
    """What `me` has to remember of a swap judged by `state`; None where the swap does not renew its own cell."""
    cell = swap.cell
    if isinstance(cell, MapCell) or cell.incarnation != me.incarnation or cell.status != "alive":
        return None
    return Renewal(cell.beat, FirstPlace(swap.place, state.cells.get(swap.place)))


def next_swap(state: ClusterState, me: Member) -> Swap | None:
    """The swap that `me` makes next, as of `state`; None: it makes none before its next beat."""
    own, place = state.cell_of(me.incarnation), state.place_of(me.incarnation)
    now_is = role_of(state, me)
    if own is None or place is None:
        return _join(state, me) if now_is is Role.STANDBY else None
    if now_is is Role.REPLACED:
        return Swap(place, replace(own, status="stopped")) if own.status == "alive" else None
    if not me.has_renewed:
        return Swap(place, _cell(me))
    if now_is is Role.OWNER and state.map is not None:
        return _as_owner(state, state.map, me)
    return _as_standby(state, me)


def _cell(me: Member) -> NodeCell:
    return NodeCell(me.incarnation, me.next_beat, "alive", me.address, me.reaches_mail, me.clock_us)


def _others_that_reach_mail(state: ClusterState, me: Member) -> set[str]:
    others = (cell for cell in state.cells.values() if cell.incarnation != me.incarnation)
    return {cell.incarnation for cell in others if not cell.has_ended and cell.reaches_mail}


def _join(state: ClusterState, me: Member) -> Swap | None:
    first_place = me.first_place
    if first_place is not None and state.cells.get(first_place.place) == first_place.stood:
        return None if me.has_renewed else Swap(first_place.place, _cell(me))
    ended = sorted(place for place, cell in state.cells.items() if cell.has_ended)
    return Swap(ended[0] if ended else own_place(me.incarnation), _cell(me))


def _as_owner(state: ClusterState, named: MapCell, me: Member) -> Swap | None:
    """Has the map raised above what rows were claimed under; buries standbys, so that others take their places."""
    if me.needed_above:
        return Swap(MAP_PLACE, replace(named, version=max(named.version, me.needed_above) + 1))
    silent = (cell.incarnation for cell in state.cells.values() if cell.incarnation in me.silent)
    return _bury(state, me, next(silent, None))


def _as_standby(state: ClusterState, me: Member) -> Swap | None:
    """Takes over where nobody owns; else is patient with the owner, and in the end declares it dead."""
    if state.map is not None and not state.has_ended(state.map.owner):
        return _bury(state, me, state.map.owner)
    if not me.lease_is_held or (not me.reaches_mail and _others_that_reach_mail(state, me) - set(me.silent)):
        return None  # the way to the mail is broken from here, and somebody else may take over
    version = 1 if state.map is None else state.map.version + 1
    return Swap(MAP_PLACE, MapCell(version, me.incarnation, me.address))


def _bury(state: ClusterState, me: Member, incarnation: str | None) -> Swap | None:
    """Declares a silent one dead. Whoever cannot renew its own lease must not judge others by their silence."""
    place = None if incarnation is None else state.place_of(incarnation)
    if place is None or incarnation not in me.silent or not me.lease_is_held or state.cells[place].has_ended:
        return None
    return Swap(place, replace(state.cells[place], status="dead"))
