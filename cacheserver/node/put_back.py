"""The end of a restore: what has to be done once after a store was put back from a copy, by whatever means.

    1. another history begins: every token and cursor that was given before resets (history.py)
    2. where servers can be at work, whoever owns is replaced: the next owner reads the history, and has no mailbox of
       the lost time in memory

In this order, so that no owner can begin between the two with the history of before. The map's version jumps: the rows
and the map have gone back, and an epoch of the lost time must not be given to somebody else, whose cells a late write
of that time would then be taken for.
"""

import secrets

from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, ClusterCells, MapCell
from rowbox.cacheserver.stores.history import begin_history
from rowbox.cacheserver.stores.port import Store
from rowbox.mailbox.errors import StoreUnavailable

MAP_VERSIONS_LOST = 1 << 20
"""By how much a restore raises the map's version: more changes of ownership than happen between backup and restore.

An epoch has room for a million restores.
"""
_TRIES = 5


async def end_restore(store: Store) -> bytes:
    """Does both steps, durably, and returns the new history. May be repeated. Raises what the store raises."""
    history = await begin_history(store)
    if store.late_writes:
        await _replace_owner(ClusterCells(store))
    return history


async def _replace_owner(cells: ClusterCells) -> None:
    """Names somebody in the map who never lived: the owner ends at its next beat, and any server may take over."""
    nobody = f"restore {secrets.token_hex(8)}"
    state = await cells.read()
    least = (state.map.version if state.map is not None else 0) + MAP_VERSIONS_LOST
    for _ in range(_TRIES):
        if state.map is not None and state.map.version >= least:
            return
        version = max(least, state.map.version + 1 if state.map is not None else 0)
        state = await cells.swap(state, MAP_PLACE, MapCell(version, nobody, "nobody: the store was put back"))
    raise StoreUnavailable("the cluster's map changes all the time: stop the servers and try again")
