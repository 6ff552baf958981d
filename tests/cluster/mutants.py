"""The rules of the lease and the map, each switched off by replacing one function."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.node import membership as membership_module
from rowbox.cacheserver.node.judgement import Member, Role, Swap, TakenIn, next_swap, role_of, take_in
from rowbox.cacheserver.node.lease import Lease
from rowbox.cacheserver.node.membership import Membership
from rowbox.cacheserver.node.tenure import EpochOwnership, LeasedOwnership
from rowbox.cacheserver.node.watch import Watch
from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, ClusterCells, ClusterState, MapCell, NodeCell

Patch = pytest.MonkeyPatch


def the_lease_counts_from_the_answer(patch: Patch) -> None:
    renewed = Lease.renewed
    patch.setattr(Lease, "renewed", lambda self, _begun_s: renewed(self, self._now_s()))


def the_lease_counts_from_the_newest_beat(patch: Patch) -> None:
    """Whichever beat stands: the newest that was sent may have failed."""
    renewed = Membership._renewed

    def from_newest(self: Membership, standing_beat: int) -> None:
        renewed(self, standing_beat)
        if self._begun_s:
            self.lease.renewed(self._begun_s[max(self._begun_s)])

    patch.setattr(Membership, "_renewed", from_newest)


def the_lease_is_not_asked(patch: Patch) -> None:
    patch.setattr(LeasedOwnership, "check", EpochOwnership.check)


def nobody_is_patient(patch: Patch) -> None:
    made = Watch.__init__

    def hasty(self: Watch, patience_s: float, *arguments: Any) -> None:
        made(self, patience_s / 3, *arguments)

    patch.setattr(Watch, "__init__", hasty)


def the_map_is_taken_from_the_living(patch: Patch) -> None:
    """Whoever joins takes over, and the one who was replaced goes on for as long as its lease holds."""

    def grab(state: ClusterState, me: Member) -> Swap | None:
        if me.has_renewed and role_of(state, me) is Role.STANDBY:
            return _takeover(state.map, me)
        return next_swap(state, me)

    patch.setattr(membership_module, "next_swap", grab)


def death_is_declared_whatever_stands(patch: Patch) -> None:
    """The swap expects what is there now, not what was watched: an owner that has just renewed is declared dead."""
    swap = ClusterCells.swap

    async def unconditional(
        self: ClusterCells, state: ClusterState, place: bytes, cell: NodeCell | MapCell
    ) -> ClusterState:
        is_death = isinstance(cell, NodeCell) and cell.status == "dead"
        return await swap(self, await self.read() if is_death else state, place, cell)

    patch.setattr(ClusterCells, "swap", unconditional)


def the_dead_renew(patch: Patch) -> None:
    """Neither its own cell nor the map tells a node that it was replaced."""

    def blind(state: ClusterState, me: Member) -> TakenIn:
        taken, own = take_in(state, me), state.cell_of(me.incarnation)
        if not me.owned_version or own is None:
            return taken
        return taken._replace(role=Role.OWNER, renewed_beat=own.beat)

    def renew_always(self: Membership, _standing_beat: int) -> None:
        self.lease.renewed(self._now_s())

    patch.setattr(membership_module, "take_in", blind)
    patch.setattr(Membership, "_renewed", renew_always)


def the_replaced_come_back(patch: Patch) -> None:
    """A node that was declared dead goes on under its old incarnation, and may own again."""

    def forgiving(state: ClusterState, me: Member) -> TakenIn:
        taken, own, named = take_in(state, me), state.cell_of(me.incarnation), state.map
        beat = 0 if own is None else own.beat
        if named is not None and named.owner == me.incarnation and not state.has_ended(me.incarnation):
            given = named.version if named.version > me.owned_version else 0
            return taken._replace(role=Role.OWNER, renewed_beat=beat, given_version=given)
        return taken._replace(role=Role.STANDBY, renewed_beat=beat, given_version=0)

    def over_its_grave(state: ClusterState, me: Member) -> Swap | None:
        own, place = state.cell_of(me.incarnation), state.place_of(me.incarnation)
        if own is not None and place is not None and own.status != "alive":
            return Swap(place, replace(own, beat=me.next_beat, status="alive"))
        return next_swap(state, me._replace(owned_version=0))

    patch.setattr(membership_module, "take_in", forgiving)
    patch.setattr(membership_module, "next_swap", over_its_grave)


def the_loser_goes_on_with_the_map_in_hand(patch: Patch) -> None:
    """As it was once: after the swap that ends the owner, the map that was read before it is raised by one."""
    in_hand: dict[str, MapCell] = {}

    def stale(state: ClusterState, me: Member) -> Swap | None:
        named = in_hand.pop(me.incarnation, None)
        if named is not None and me.has_renewed and state.has_ended(named.owner):
            return _takeover(named, me)
        swap = next_swap(state, me)
        if (
            swap is not None
            and isinstance(swap.cell, NodeCell)
            and swap.cell.status == "dead"
            and state.map is not None
        ):
            in_hand[me.incarnation] = state.map
        return swap

    patch.setattr(membership_module, "next_swap", stale)


def a_swap_is_believed_to_have_succeeded(patch: Patch) -> None:
    """What stands afterwards is not read, but taken to be what was swapped in."""

    async def believing(
        self: ClusterCells, state: ClusterState, place: bytes, cell: NodeCell | MapCell
    ) -> ClusterState:
        await swap(self, state, place, cell)
        await asyncio.sleep(0)
        if isinstance(cell, MapCell):
            return state._replace(map=cell)
        return state._replace(cells={**state.cells, place: cell})

    swap = ClusterCells.swap
    patch.setattr(ClusterCells, "swap", believing)


def _takeover(named: MapCell | None, me: Member) -> Swap:
    return Swap(MAP_PLACE, MapCell(1 if named is None else named.version + 1, me.incarnation, me.address))


MUTANTS: Final[tuple[Callable[[Patch], None], ...]] = (
    # death_is_declared_whatever_stands and the_loser_goes_on_with_the_map_in_hand show in races: test_takeovers.py
    the_lease_counts_from_the_answer,
    the_lease_counts_from_the_newest_beat,
    the_lease_is_not_asked,
    nobody_is_patient,
    the_map_is_taken_from_the_living,
    the_dead_renew,
    the_replaced_come_back,
    a_swap_is_believed_to_have_succeeded,
)
