"""When one incarnation proposes another map, and the proposal.

    a steward   what plan.py makes of the map and the cells, once the same ones have asked for it for rank * 200 ms:
                the lowest rank proposes at once, and the others only where it does not
    an owner    the map with higher `since` for its shards whose rows were claimed above the map's versions

A proposal is swapped over the very map that it was made of, or not at all. What stands afterwards is read and judged by
the next beat, like everything else. A plan of a large cluster takes long; so one that lost its race is not made anew:
what still holds of it is proposed at once (`carried_over`), with the cells and the map of that next beat.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Final, NamedTuple

from rowbox.cacheserver.clocks import NowS
from rowbox.cacheserver.node.judgement import PROPOSE_AFTER_S, PlanInput, carried_over
from rowbox.cacheserver.shardmap.cluster_state import NodeCell
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.shardmap.plan import plan
from rowbox.cacheserver.shardmap.shard_map import ShardMap

log = logging.getLogger(__name__)

Plan = Callable[[ShardMap, Sequence[NodeCell]], Awaitable[ShardMap | None]]
"""The next map, of one that stands and the cells of all nodes; None: it is to stay. It may take its time elsewhere."""
LONGEST_S: Final = 5.0
"""A proposal whose outcome is still unknown by then is left alone. Whether it lands shows in a beat."""


def planned_aside(moves_at_once: int) -> Plan:
    """The plan of plan.py, made in a thread: that of a large cluster takes longer than a beat may wait."""

    async def planned(standing: ShardMap, cells: Sequence[NodeCell]) -> ShardMap | None:
        return await asyncio.to_thread(plan, standing, cells, moves_at_once)

    return planned


class Raised(NamedTuple):
    """The map that the rows of an owner's own shards need, and the version of the one that it was made of."""

    map: ShardMap
    made_of: int


class Proposals:
    """Those of one incarnation. Each beat tells it what asks for a change; `make` makes the one that is due."""

    def __init__(self, maps: MapStore, plan: Plan, now_s: NowS) -> None:
        self._maps = maps
        self._plan = plan
        self._now_s = now_s
        self._input: PlanInput | None = None
        self._key: Hashable = None
        self._since_s = 0.0
        self._settled: Hashable = None
        """The key of an input of which the plan says that all is well."""
        self._raised: Raised | None = None
        self._lost: ShardMap | None = None
        """A plan that lost its race."""

    def forget(self) -> None:
        """Starts the count anew: there was a gap in the looking, or the incarnation has ended."""
        self._input = self._key = self._raised = self._lost = None

    def see(self, plan_input: PlanInput | None, raised: Raised | None) -> None:
        """Takes in what a beat has found in the end."""
        key = None if plan_input is None else plan_input.key
        if key != self._key:
            self._key, self._since_s = key, self._now_s()
        self._input, self._raised = plan_input, raised

    @property
    def due_in_s(self) -> float | None:
        """In how many seconds a proposal is due if the next beat finds the same; None: nothing asks for one."""
        if self._raised is not None:
            return 0.0
        if self._input is None or self._key == self._settled:
            return None
        return max(0.0, self._since_s + self._input.rank * PROPOSE_AFTER_S - self._now_s())

    async def make(self) -> ShardMap | None:
        """Makes the proposal that is due, if one is. Returns the map that stands afterwards, if it was read.

        Raises StoreUnavailable, TimeoutError. Cancelling it leaves nothing half done.
        """
        if self.due_in_s != 0.0:
            return None
        made_of, raised, lost = self._input, self._raised, self._lost
        self._input = self._raised = self._lost = None  # until the next beat has seen what came of it
        async with asyncio.timeout(LONGEST_S):
            if raised is not None:
                log.warning("rows were claimed above the map's version: it is raised to %d", raised.map.version)
                return await self._swap(raised.map, raised.made_of)
            assert made_of is not None
            planned = await self._plan(made_of.map, made_of.cells) if lost is None else carried_over(lost, made_of)
            if planned is None:
                self._settled = made_of.key if lost is None else self._settled
                return None
            standing = await self._swap(planned, made_of.map.version)
            self._lost = planned if standing != planned else None
            return standing

    async def _swap(self, proposed: ShardMap, made_of: int) -> ShardMap:
        """Over the very map that the proposal was made of: the cells were read with that one."""
        return await self._maps.change(lambda now: proposed if now.version == made_of else None)
