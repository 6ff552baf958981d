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
from rowbox.cacheserver.shardmap.overview import NEVER, Overview, overview_of
from rowbox.cacheserver.shardmap.shard_map import ShardMap
from rowbox.cacheserver.stores.port import Store
from rowbox.mailbox.settings.config import LeaseSettings

BEATS: Final = 1.5
"""How many beats lie between two looks, so that who lives has beaten once."""


class Seen(NamedTuple):
    """One look: the nodes' cells, and the map that stood right after them."""

    row: ClusterRow
    map: ShardMap


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
        self._since: dict[str, tuple[NodeCell, float, bool]] = {}
        """By incarnation: its cell, since when it has been seen so, and whether that was seen to begin or last."""

    async def look(self) -> Seen:
        """What stands now. Raises StoreUnavailable, StoreDamaged."""
        row = await self._reader.whole()
        seen, now_s = Seen(row, (await self._maps.read()).map), self._now_s()
        since = {}
        for cell in row.cells.values():
            known = self._since.get(cell.incarnation)
            began_s = known[1] if known is not None and known[0] == cell else now_s
            since[cell.incarnation] = (cell, began_s, known is not None)
        self._since = since
        return seen

    def overview(self, seen: Seen) -> Overview:
        """What an operator is shown of the newest look."""
        now_s = self._now_s()
        quiet_s = {name: now_s - since_s if again else NEVER for name, (_, since_s, again) in self._since.items()}
        return overview_of(seen.map, seen.row.cells.values(), quiet_s, self._patience_s)

    async def look_twice(self) -> Seen:
        """As `look`, after another look before which every node that lives has beaten."""
        await self.look()
        await self._sleep(BEATS * self._beat_s)
        return await self.look()

    async def change(self, edit: Edit) -> ShardMap:
        """Has `edit` done to the map that stands, and returns what stands then.

        `edit` is asked anew where another change came first. Raises what it raises, then nothing was changed;
        StoreUnavailable; StoreOutcomeUnknown where the change may yet come to stand.
        """
        row = await self._reader.whole()
        return await self._maps.change(lambda standing: edit(Seen(row, standing)))
