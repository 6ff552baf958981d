"""How long each node's cell has been seen unchanged, by this server's own clock and without a gap between looks.

A store that stalls keeps everybody from renewing and everybody from looking. Were the time of the stall counted, the
living would declare each other dead when the stall ends. So a gap between two looks starts all counts anew.
"""

from typing import NamedTuple

from rowbox.cacheserver.clocks import NowS
from rowbox.cacheserver.shardmap.cluster_row import ClusterRow
from rowbox.cacheserver.shardmap.cluster_state import NodeCell


class _Seen(NamedTuple):
    cell: NodeCell
    since_s: float
    has_changed: bool
    """While it was watched: a cell that is seen for the first time may be that of one long dead."""


class Watch:
    """What one incarnation has seen of the others' cells. `patience_s`: after so long without a change one is silent.

    `gap_s`: two looks that are further apart than this have a gap between them.
    """

    def __init__(self, patience_s: float, gap_s: float, now_s: NowS) -> None:
        self._patience_s = patience_s
        self._gap_s = gap_s
        self._now_s = now_s
        self._looked_s = now_s()
        self._seen: dict[str, _Seen] = {}

    def forget(self) -> None:
        """Starts all counts anew."""
        self._seen.clear()

    def saw(self, row: ClusterRow) -> None:
        """Takes in the cells that a look has found. Whoever has none there, or has ended, is not watched any more."""
        now_s = self._now_s()
        if now_s - self._looked_s > self._gap_s:
            self.forget()
        self._looked_s = now_s
        living = (cell for cell in row.cells.values() if not cell.has_ended)
        self._seen = {cell.incarnation: self._after(cell, now_s) for cell in living}

    def _after(self, cell: NodeCell, now_s: float) -> _Seen:
        seen = self._seen.get(cell.incarnation)
        return seen if seen is not None and seen.cell == cell else _Seen(cell, now_s, seen is not None)

    def silent(self) -> frozenset[str]:
        """The incarnations whose cells were seen unchanged for the whole patience."""
        return frozenset(name for name in self._seen if self.left_s(name) <= 0)

    def lively(self) -> frozenset[str]:
        """The incarnations whose cells were seen to change within the last `gap_s`."""
        since_s = self._now_s() - self._gap_s
        return frozenset(name for name, seen in self._seen.items() if seen.has_changed and seen.since_s >= since_s)

    def left_s(self, incarnation: str) -> float:
        """How many seconds of patience are left with an incarnation; all of them where its cell was not seen."""
        seen = self._seen.get(incarnation)
        return self._patience_s if seen is None else seen.since_s + self._patience_s - self._now_s()

    def soonest_s(self) -> float:
        """In how many seconds patience ends next, with whomever; all of them where nobody is watched."""
        return min((left_s for name in self._seen if (left_s := self.left_s(name)) > 0), default=self._patience_s)
