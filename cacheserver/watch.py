"""How long each node's cell has been seen unchanged: by one's own clock, and without a gap in the looking.

A store that stalls keeps everybody from renewing and everybody from looking. Were the time of the stall counted, the
living would declare each other dead when it ends: so a gap starts all counts anew.
"""

from rowbox.cacheserver.clocks import NowS
from rowbox.cacheserver.cluster_state import ClusterState, NodeCell


class Watch:
    """See the module's text. `gap_s`: two looks that are further apart than this have a gap between them."""

    def __init__(self, patience_s: float, gap_s: float, now_s: NowS) -> None:
        self._patience_s = patience_s
        self._gap_s = gap_s
        self._now_s = now_s
        self._looked_s = now_s()
        self._since: dict[str, tuple[NodeCell, float]] = {}

    def forget(self) -> None:
        """Starts all counts anew."""
        self._since.clear()

    def saw(self, state: ClusterState) -> None:
        """An answered look at the cells."""
        now_s = self._now_s()
        if now_s - self._looked_s > self._gap_s:
            self.forget()
        self._looked_s = now_s
        known = self._since
        self._since = {
            cell.incarnation: known[cell.incarnation]
            if known.get(cell.incarnation, (None,))[0] == cell
            else (cell, now_s)
            for cell in state.cells.values()
            if cell.status == "alive"
        }

    def silent(self) -> frozenset[str]:
        """Who was seen unchanged for the whole patience."""
        return frozenset(name for name in self._since if self.left_s(name) <= 0)

    def left_s(self, incarnation: str) -> float:
        """How much patience is left with one; all of it where its cell was not seen."""
        seen = self._since.get(incarnation)
        return self._patience_s if seen is None else seen[1] + self._patience_s - self._now_s()
