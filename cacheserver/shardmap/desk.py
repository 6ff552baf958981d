"""A cluster's desk: what an operator sees of the cluster, and how the map is changed as he wishes.

It needs the store alone, so it works from a command line while no server runs, and from any server that does.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from rowbox.cacheserver.clocks import NowS, StoreClock
from rowbox.cacheserver.shardmap.cluster_row import ClusterReader, ClusterRow
from rowbox.cacheserver.shardmap.cluster_state import NodeCell
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.shardmap.overview import NEVER, Overview, Pulse, overview_of
from rowbox.cacheserver.shardmap.shard_map import ShardMap
from rowbox.cacheserver.stores.port import Store
from rowbox.mailbox.settings.config import LeaseSettings

BEATS: Final = 1.5
"""How many beats lie between two looks, so that who lives has beaten once."""


class Seen(NamedTuple):
    """One look: the nodes' cells, and the map that stood right after them."""

    row: ClusterRow
    map: ShardMap


class _Looked(NamedTuple):
    """A cell as of the newest look, when it was first looked at, and when first as it is. By the desk's clock."""

    cell: NodeCell
    first_s: float
    changed_s: float
    is_first: bool


Edit = Callable[[Seen], ShardMap | None]
"""What the map becomes, under a higher version; None: nothing is to change. BadRequest where it cannot be."""


class Desk:
    """The desk of one store's cluster. `name`: of whoever writes; no other process may have it.

    `lease` are the servers' settings: by them one is silent. Only who looks twice knows whether a node beats.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        clock: StoreClock,
        lease: LeaseSettings,
        *,
        now_s: NowS = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._reader = ClusterReader(store)
        self._maps = MapStore(store, name, clock.next_ms)
        self._beat_s = lease.beat_ms / 1000
        self._patience_s = (lease.ttl_ms + lease.margin_ms) / 1000
        self._now_s = now_s
        self._sleep = sleep
        self._looked_at: dict[str, _Looked] = {}
        """By incarnation."""

    async def look(self) -> Seen:
        """What stands now. Raises StoreUnavailable, StoreDamaged."""
        row = await self._reader.whole()
        seen, now_s = Seen(row, (await self._maps.read()).map), self._now_s()
        looked_at = {}
        for cell in row.cells.values():
            known = self._looked_at.get(cell.incarnation)
            if known is None:
                looked_at[cell.incarnation] = _Looked(cell, now_s, now_s, is_first=True)
            else:
                changed_s = known.changed_s if known.cell == cell else now_s
                looked_at[cell.incarnation] = _Looked(cell, known.first_s, changed_s, is_first=False)
        self._looked_at = looked_at
        return seen

    def overview(self, seen: Seen) -> Overview:
        """What an operator is shown of the newest look."""
        now_s = self._now_s()
        pulses = {
            name: Pulse(NEVER if one.is_first else now_s - one.changed_s, now_s - one.first_s)
            for name, one in self._looked_at.items()
        }
        return overview_of(seen.map, seen.row.cells.values(), pulses, self._patience_s)

    async def look_twice(self) -> Seen:
        """As `look`, after another look before which every node that lives has beaten.

        Where one has not, it looks on until that one has, or has been silent for as long as makes it `silent`.
        """
        await self.look()
        waited_s = 0.0
        while True:
            await self._sleep(BEATS * self._beat_s)
            waited_s += BEATS * self._beat_s
            seen = await self.look()
            if waited_s >= self._patience_s or all(map(self._has_beaten, seen.row.cells.values())):
                return seen

    def _has_beaten(self, cell: NodeCell) -> bool:
        """Whether it was seen to, or has ended."""
        known = self._looked_at[cell.incarnation]
        return cell.has_ended or known.changed_s > known.first_s

    async def change(self, edit: Edit) -> ShardMap:
        """Has `edit` done to the map that stands, and returns what stands then.

        `edit` is asked anew where another change came first. Raises what it raises, then nothing was changed;
        StoreUnavailable; StoreOutcomeUnknown where the change may yet come to stand.
        """
        row = await self._reader.whole()
        return await self._maps.change(lambda standing: edit(Seen(row, standing)))
