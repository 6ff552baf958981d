"""The rules of the lease, the watch and the map, each switched off by replacing one function."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.node import membership as membership_module
from rowbox.cacheserver.node.judgement import Look, Member, Role, Swap, TakenIn, next_swap, take_in
from rowbox.cacheserver.node.lease import Lease
from rowbox.cacheserver.node.membership import Membership
from rowbox.cacheserver.node.proposals import Proposals
from rowbox.cacheserver.node.tenure import EpochOwnership, LeasedOwnership
from rowbox.cacheserver.node.watch import Watch
from rowbox.cacheserver.shardmap.cluster_row import ClusterReader, ClusterRow
from rowbox.cacheserver.shardmap.cluster_state import NodeCell
from rowbox.cacheserver.shardmap.shard_map import ShardMap
from tests.cluster import world as world_module

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
    """Whoever joins gets half of all shards at once, and their owners go on until they see it."""
    plan = world_module.planned

    async def grabbing(standing: ShardMap, cells: Sequence[NodeCell]) -> ShardMap | None:
        after = await plan(standing, cells)
        if after is None:
            return None
        new = [node for node in after.nodes if standing.node(node.incarnation) is None]
        return after.giving(range(0, after.shards, 2), new[0].incarnation) if new else after

    patch.setattr(world_module, "planned", grabbing)


def death_is_declared_whatever_stands(patch: Patch) -> None:
    """The swap expects what is there now, not what was watched: an owner that has just renewed is declared dead."""
    swap = ClusterReader.swap

    async def unconditional(self: ClusterReader, row: ClusterRow, place: bytes, cell: NodeCell) -> None:
        await swap(self, await self.whole() if cell.status == "dead" else row, place, cell)

    patch.setattr(ClusterReader, "swap", unconditional)


def the_dead_renew(patch: Patch) -> None:
    """Neither its own cell nor the map tells a node that it was replaced."""

    def blind(look: Look, me: Member) -> TakenIn:
        taken, own = take_in(look, me), look.row.cell_of(me.name)
        if taken.role is not Role.REPLACED or own is None or me.is_ending:
            return taken
        return taken._replace(role=Role.LISTED, renewed_beat=own.beat)

    def renew_always(self: Membership, _standing_beat: int) -> None:
        self.lease.renewed(self._now_s())

    patch.setattr(membership_module, "take_in", blind)
    patch.setattr(Membership, "_renewed", renew_always)


def the_replaced_come_back(patch: Patch) -> None:
    """A node that was declared dead goes on under its old incarnation, and is given shards again."""

    def forgiving(look: Look, me: Member) -> TakenIn:
        own = look.row.cell_of(me.name)
        is_newer = me.applied is None or look.map.version > me.applied.version
        return TakenIn(Role.LISTED, me.has_joined or own is not None, 0 if own is None else own.beat, is_newer)

    def over_its_grave(look: Look, me: Member) -> Swap | None:
        own, place = look.row.cell_of(me.name), look.row.place_of(me.name)
        if own is not None and place is not None and own.has_ended:
            return Swap(place, replace(own, beat=me.next_beat, status="alive"))
        return next_swap(look, me._replace(applied=None))

    patch.setattr(membership_module, "take_in", forgiving)
    patch.setattr(membership_module, "next_swap", over_its_grave)


def a_plan_is_swapped_over_whatever_map_stands(patch: Patch) -> None:
    """As it was once: the loser of the race to give away a dead one's shards gives them away once more."""

    async def over_any(self: Proposals, proposed: ShardMap, _made_of: int) -> ShardMap:
        return await self._maps.change(lambda now: replace(proposed, version=max(now.version + 1, proposed.version)))

    patch.setattr(Proposals, "_swap", over_any)


def a_swap_is_believed_to_have_succeeded(patch: Patch) -> None:
    """What stands afterwards is not read, but taken to be what was swapped in."""
    swap, whole, named = ClusterReader.swap, ClusterReader.whole, ClusterReader.named
    believed: dict[ClusterReader, ClusterRow] = {}

    async def believing(self: ClusterReader, row: ClusterRow, place: bytes, cell: NodeCell) -> None:
        await swap(self, row, place, cell)
        believed[self] = row._replace(cells={**row.cells, place: cell})

    async def whole_or_believed(self: ClusterReader) -> ClusterRow:
        return believed.pop(self) if self in believed else await whole(self)

    async def named_or_believed(self: ClusterReader, places: Collection[bytes]) -> ClusterRow:
        return believed.pop(self) if self in believed else await named(self, places)

    patch.setattr(ClusterReader, "swap", believing)
    patch.setattr(ClusterReader, "whole", whole_or_believed)
    patch.setattr(ClusterReader, "named", named_or_believed)


def a_gap_counts_as_silence(patch: Patch) -> None:
    """The time in which nobody could look counts, as if everybody had been seen silent in it."""
    made = Watch.__init__
    patch.setattr(Watch, "__init__", lambda self, patience_s, _gap_s, now_s: made(self, patience_s, 1e9, now_s))
    patch.setattr(Membership, "_forget", lambda _self: None)


MUTANTS: Final[tuple[Callable[[Patch], None], ...]] = (
    # two more show in races (test_takeovers.py), and a_gap_counts_as_silence in stalls
    the_lease_counts_from_the_answer,
    the_lease_counts_from_the_newest_beat,
    the_lease_is_not_asked,
    nobody_is_patient,
    the_map_is_taken_from_the_living,
    the_dead_renew,
    a_plan_is_swapped_over_whatever_map_stands,
    a_swap_is_believed_to_have_succeeded,
)
