"""The rules of the lease and the map, each switched off by replacing one function."""

from collections.abc import Callable
from typing import Final

import pytest

from rowbox.cacheserver.cluster_state import ClusterCells, ClusterState, MapCell, NodeCell
from rowbox.cacheserver.lease import Lease
from rowbox.cacheserver.membership import Membership, Standing
from rowbox.cacheserver.ownership import EpochOwnership, LeasedOwnership

Patch = pytest.MonkeyPatch


def the_lease_counts_from_the_answer(patch: Patch) -> None:
    renewed = Lease.renewed
    patch.setattr(Lease, "renewed", lambda self, _begun_s: renewed(self, self._now_s()))


def the_lease_is_not_asked(patch: Patch) -> None:
    patch.setattr(LeasedOwnership, "check", EpochOwnership.check)


def nobody_is_patient(patch: Patch) -> None:
    made = Membership.__init__

    def hasty(self: Membership, *arguments: object, **named: object) -> None:
        made(self, *arguments, **named)  # type: ignore[arg-type]
        self._patience_s /= 3

    patch.setattr(Membership, "__init__", hasty)


def the_map_is_taken_from_the_living(patch: Patch) -> None:
    """Whoever joins takes over, and the one who was replaced goes on for as long as its lease holds."""

    async def grab(self: Membership, state: ClusterState) -> ClusterState:
        version = 1 if state.map is None else state.map.version + 1
        return await self._cells.swap_map(state, MapCell(version, self.incarnation, self._address))

    patch.setattr(Membership, "_stand_by", grab)


def death_is_declared_whatever_stands(patch: Patch) -> None:
    """The swap expects what is there now, not what was watched: an owner that has just renewed is declared dead."""
    swap = ClusterCells.swap_node

    async def unconditional(self: ClusterCells, state: ClusterState, cell: NodeCell) -> ClusterState:
        return await swap(self, state if cell.status != "dead" else await self.read(), cell)

    patch.setattr(ClusterCells, "swap_node", unconditional)


def the_dead_renew(patch: Patch) -> None:
    """Neither its own cell nor the map tells a node that it was replaced."""

    async def blind(self: Membership, state: ClusterState) -> Standing:
        if self.ownership is not None:
            return Standing.OWNER
        return await look(self, state)

    async def renew_always(self: Membership, state: ClusterState) -> ClusterState:
        state = await renew(self, state)
        self.lease.renewed(self._now_s())
        return state

    look, renew = Membership._look, Membership._renew
    patch.setattr(Membership, "_look", blind)
    patch.setattr(Membership, "_renew", renew_always)


MUTANTS: Final[tuple[Callable[[Patch], None], ...]] = (
    the_lease_counts_from_the_answer,
    the_lease_is_not_asked,
    nobody_is_patient,
    the_map_is_taken_from_the_living,
    death_is_declared_whatever_stands,
    the_dead_renew,
)
