"""Whether the cluster's row is older than before: then the store was restored from a copy, under running servers.

The map's version and the beats of one's own cell only rise. A lower one than was seen before can only be an older one,
out of a copy. And no row can have been claimed under a map version that the map has not reached: where a fence is above
the map, the rows are newer than the map, as in a copy that was not taken of one moment.
"""

from rowbox.cacheserver.shardmap.cluster_state import ClusterState


class WentBack:
    """Compares the states that one incarnation reads. The caller passes each to `saw`, in order."""

    def __init__(self, incarnation: str) -> None:
        self._incarnation = incarnation
        self._map_version = 0
        self._beat = 0

    def saw(self, state: ClusterState) -> bool:
        """Takes in a state; whether it is older than one that was seen before."""
        version = state.map.version if state.map is not None else 0
        own = state.cell_of(self._incarnation)
        beat = own.beat if own is not None else self._beat  # where it has none, another one took its place
        has_gone = version < self._map_version or beat < self._beat
        self._map_version, self._beat = version, beat
        return has_gone
