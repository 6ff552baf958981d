"""One incarnation's part in the cluster: it renews its lease, watches the owner's, and takes over where that has ended.

    beat -> renew the own cell -> look at the map
        nobody owns, or the owner has ended     -> name itself in the map, version + 1
        the owner's cell unchanged for too long -> declare it dead, by a swap on that unchanged cell
        the map names this incarnation          -> OWNER, under the map's version
        its own cell says dead, or it is gone   -> REPLACED, for ever

An owner that was declared dead cannot renew (the swap it would renew by expects a cell that says alive), and its lease
is over by then (lease.py): so two owners at once cannot be, whatever is late, lost or executed twice.
"""

import logging
import secrets
from collections.abc import Callable
from enum import Enum, auto

from msgspec.structs import replace

from rowbox.cacheserver.cluster_state import ClusterCells, ClusterState, MapCell, NodeCell
from rowbox.cacheserver.lease import Lease, NowS
from rowbox.cacheserver.ownership import LeasedOwnership
from rowbox.mailbox.config import LeaseSettings
from rowbox.mailbox.errors import RowboxError

log = logging.getLogger(__name__)


class Standing(Enum):
    """What an incarnation is, as of a beat."""

    STANDBY = auto()
    OWNER = auto()
    REPLACED = auto()


def new_incarnation() -> str:
    """A name that nobody has had or will have."""
    return secrets.token_hex(16)


class Membership:
    """See the module's text. Call `beat` every `pause_s` seconds; one call at a time."""

    def __init__(
        self,
        cells: ClusterCells,
        settings: LeaseSettings,
        address: str,
        *,
        now_s: NowS,
        next_ms: Callable[[], int],
        incarnation: str,
    ) -> None:
        """`next_ms` is the process's StoreClock's."""
        self._cells = cells
        self._address = address
        self._now_s = now_s
        self._next_ms = next_ms
        self._patience_s = (settings.ttl_ms + settings.margin_ms) / 1000
        self._beat_s = settings.beat_ms / 1000
        self.incarnation = incarnation
        self.lease = Lease(settings.ttl_ms / 1000, now_s)
        self.ownership: LeasedOwnership | None = None
        """Set once the map names this incarnation."""
        self.owner_address = ""
        """Where the owner runs, for people."""
        self._has_joined = False
        self._beat = 0
        self._begun_s: dict[int, float] = {}
        self._watched = (b"", 0.0)
        """The owner's cell, and since when it has been seen unchanged."""

    @property
    def pause_s(self) -> float:
        """How long to wait before the next beat: shorter where patience with a silent owner ends before."""
        cell, since_s = self._watched
        left_s = since_s + self._patience_s - self._now_s() if cell else self._beat_s
        return min(self._beat_s, max(left_s, 0.0))

    async def beat(self) -> Standing:
        """Renews and looks. Raises what the store raises; a lease that is not renewed in time lapses by itself."""
        if not self.lease.is_held:
            self._forget_watch()  # whoever could not reach the store must not judge others by their silence
        try:
            return await self._look(await self._renew(await self._cells.read()))
        except RowboxError:
            self._forget_watch()
            raise

    async def resign(self) -> None:
        """Stops owning, in the store too: the next owner need not wait. The owner has finished what was in flight."""
        self.end()
        state = await self._cells.read()
        cell = state.nodes.get(self.incarnation)
        if cell is not None and cell.status == "alive":
            await self._cells.swap_node(state, replace(cell, status="stopped"))

    def end(self) -> None:
        """From now on nothing is answered under this incarnation."""
        self.lease.end()
        if self.ownership is not None:
            self.ownership.revoke()

    # ------------------------------------------------------------------ the own cell

    async def _renew(self, state: ClusterState) -> ClusterState:
        """Swaps in a cell of the next beat; the lease counts from before the swap of whichever own cell stands then."""
        own = state.nodes.get(self.incarnation)
        if self._has_joined and (own is None or own.status != "alive"):
            return state
        self._beat += 1
        self._begun_s[self._beat] = self._now_s()
        state = await self._cells.swap_node(state, NodeCell(self.incarnation, self._beat, "alive", self._address))
        stands = state.nodes.get(self.incarnation)
        if stands is not None:
            self._has_joined = True
            if stands.status == "alive":
                self.lease.renewed(self._begun_s[stands.beat])
            self._begun_s = {beat: begun for beat, begun in self._begun_s.items() if beat >= stands.beat}
        return state

    # ------------------------------------------------------------------ the map

    async def _look(self, state: ClusterState) -> Standing:
        if self._has_joined and state.has_ended(self.incarnation):
            return self._replaced()
        if state.map is not None and state.map.owner == self.incarnation:
            return await self._own(state, state.map)
        if self.ownership is not None:
            return self._replaced()
        if not self._has_joined:
            return Standing.STANDBY
        state = await self._stand_by(state)
        if state.map is not None and state.map.owner == self.incarnation:
            return await self._own(state, state.map)
        return Standing.STANDBY

    def _replaced(self) -> Standing:
        self.end()
        return Standing.REPLACED

    async def _own(self, state: ClusterState, named: MapCell) -> Standing:
        """The map names this incarnation: go by its version, or have it raised where that is not enough any more."""
        self._watched = (b"", 0.0)
        self.owner_address = self._address
        if self.ownership is None:
            self.ownership = LeasedOwnership(named.version, self.lease)
            ended = [name for name in state.nodes if state.has_ended(name)]
            if ended:
                await self._cells.remove_nodes(ended, self._next_ms())
        elif self.ownership.needed_above:
            version = max(named.version, self.ownership.needed_above) + 1
            state = await self._cells.swap_map(state, replace(named, version=version))
            if state.map is not None and state.map.owner == self.incarnation:
                self.ownership.give(state.map.version)
        return Standing.OWNER

    async def _stand_by(self, state: ClusterState) -> ClusterState:
        """Takes over where nobody owns; else is patient with the owner, and in the end declares it dead."""
        named = state.map
        if named is not None and not state.has_ended(named.owner):
            self.owner_address = named.address
            if not self._is_out_of_patience(state, named.owner):
                return state
            log.warning("the owner at %s is silent: declaring it dead", named.address)
            cell = replace(state.nodes[named.owner], status="dead")
            state = await self._cells.swap_node(state, cell)
            if not state.has_ended(named.owner):
                return state
        version = 1 if named is None else named.version + 1
        return await self._cells.swap_map(state, MapCell(version, self.incarnation, self._address))

    def _is_out_of_patience(self, state: ClusterState, owner: str) -> bool:
        """Whether the owner's cell has been seen unchanged, without a gap in the looking, for ttl + margin."""
        cell, now_s = state.node_value(owner), self._now_s()
        if cell != self._watched[0]:
            self._watched = (cell, now_s)
        return now_s - self._watched[1] >= self._patience_s

    def _forget_watch(self) -> None:
        self._watched = (b"", 0.0)
