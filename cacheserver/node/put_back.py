"""A store that was put back from a copy: how a server that runs sees it, and what has to be done once.

It is seen by the cluster's row. The map's version and the beats of one's own cell only rise, so a lower one than was
seen before is out of a copy. And no row can have been claimed under a map version that the map has not reached: where a
fence is above the map, the rows are newer than the map, as in a copy that was not taken of one moment.

What has to be done, by whatever means the store was put back:

    1. another history begins: every token and cursor that was given before resets (history.py)
    2. where servers can be at work, all are replaced: the next incarnation reads the history, and has no mailbox of
       the lost time in memory

In this order, so that no owner can begin between the two with the history of before. The map's version jumps: the rows
and the map have gone back, and an epoch of the lost time must not be given to somebody else, whose cells a late write
of that time would then be taken for.

The map then lists servers that never were, under node ids that nobody has. So whoever lives finds itself listed no
more, at its next look, and ends; and all wait as long as after a restart of everybody where some do not come back. By
then nobody answers under a lease of the lost time (membership.py).
"""

import secrets

from rowbox.cacheserver.clocks import NowUs, StoreClock, wall_clock_us
from rowbox.cacheserver.shardmap.cluster_row import ClusterRow
from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, ClusterCells, MapCell
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.shardmap.shard_map import RESTORE, ListedNode, ShardMap
from rowbox.cacheserver.stores.history import begin_history
from rowbox.cacheserver.stores.port import Store
from rowbox.mailbox.errors import StoreUnavailable

MAP_VERSIONS_LOST = 1 << 20
"""By how much a restore raises the map's version: more changes of ownership than happen between backup and restore.

An epoch has room for a million restores.
"""
_TRIES = 5


class WentBack:
    """Whether what one incarnation reads is older than before. The caller passes each read to `saw`, in order."""

    def __init__(self, incarnation: str) -> None:
        self._incarnation = incarnation
        self._map_version = 0
        self._beat = 0

    def saw(self, row: ClusterRow) -> bool:
        """Takes in what was read, the own place among it; whether it is older than what was seen before."""
        version = row.map.version if row.map is not None else 0
        own = row.cell_of(self._incarnation)
        beat = own.beat if own is not None else self._beat  # where it has none, another one took its place
        has_gone = version < self._map_version or beat < self._beat
        self._map_version, self._beat = version, beat
        return has_gone


async def end_restore(store: Store, *, above: int = 0, now_us: NowUs = wall_clock_us) -> bytes:
    """Does both steps, durably, and returns the new history. May be repeated. Raises what the store raises.

    `above`: the map's version is raised above this one, too.
    """
    history = await begin_history(store)
    if store.late_writes:
        restore = f"{RESTORE}{secrets.token_hex(8)}"
        maps = MapStore(store, restore, StoreClock(now_us).next_ms)
        standing = await maps.read()
        least = max(standing.map.version, above) + MAP_VERSIONS_LOST
        if standing.old_owner is None:
            await maps.change(lambda now: _given_to_nobody(now, restore, least) if now.version < least else None)
        else:
            await _replace_old_owner(ClusterCells(store), restore, least)
    return history


def _given_to_nobody(standing: ShardMap, restore: str, least: int) -> ShardMap:
    names = [f"{restore} {number}" for number in range(max(1, len(standing.nodes)))]
    emptied = standing.next(above=least - 1).unlisting({node.incarnation for node in standing.nodes})
    return emptied.listing([ListedNode(name, name) for name in names])


async def _replace_old_owner(cells: ClusterCells, nobody: str, least: int) -> None:
    """Of a map that knows no shards: names somebody who never lived, so that any server may make the first new map."""
    state = await cells.read()
    for _ in range(_TRIES):
        if state.map is not None and state.map.version >= least:
            return
        state = await cells.swap(state, MAP_PLACE, MapCell(least, nobody, "nobody: the store was put back"))
    raise StoreUnavailable("the cluster's map changes all the time: stop the servers and try again")
