"""How long each node's cell has been seen unchanged, by this server's own clock and without a gap between looks. And
for how long this server has not been in touch with the others.

A store that stalls keeps everybody from renewing and everybody from looking. Were the time of the stall counted, the
living would declare each other dead when the stall ends. So a gap between two looks starts all counts anew.

A cell is seen up to a beat after it was written. So whoever begins a beat tells those who watch it, over links. Its
lease counts from before it told them. So once the cell of that beat is seen, its silence counts from when it was heard
of, or from the look before, which still saw another cell, where that was later.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from rowbox.cacheserver.clocks import NowS
from rowbox.cacheserver.node.judgement import Contacts
from rowbox.cacheserver.shardmap.cluster_row import ClusterRow
from rowbox.cacheserver.shardmap.cluster_state import NodeCell

LINK_BEAT_S: Final = 1.0
"""Links have beats of their own (LinkTiming of rpc/wire.py). Where a lease's are longer, these count."""
CUT_OFF_BEATS: Final = 5
"""Whoever has not been in touch with the other servers for so many beats says so. A lost link is noticed after two or
three, at one end earlier than at the other, and made again within two."""
LEAVE_PEERS_BEATS: Final = 5
"""After so many more it leaves its shards, if there is somebody who still says to be in touch: where everybody's links
break, everybody has said so by then."""


class _Seen(NamedTuple):
    cell: NodeCell
    since_s: float
    """From when on patience with this cell counts."""
    seen_s: float
    has_changed: bool
    """While it was watched: a cell that is seen for the first time may be that of one long dead."""


class _Heard(NamedTuple):
    beat: int
    at_s: float


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
        self._heard: dict[str, _Heard] = {}

    def forget(self) -> None:
        """Starts all counts anew."""
        self._seen.clear()
        self._heard.clear()

    def heard(self, incarnation: str, beat: int) -> None:
        """Takes in the word of an incarnation that it has begun a beat. It counts once a look finds that very one."""
        before = self._heard.get(incarnation)
        if incarnation in self._seen and (before is None or beat > before.beat):
            self._heard[incarnation] = _Heard(beat, self._now_s())

    def saw(self, row: ClusterRow) -> None:
        """Takes in the cells that a look has found. Whoever has none there, or has ended, is not watched any more."""
        now_s, before_s = self._now_s(), self._looked_s
        if now_s - before_s > self._gap_s:
            self.forget()
        self._looked_s = now_s
        living = (cell for cell in row.cells.values() if not cell.has_ended)
        self._seen = {cell.incarnation: self._after(cell, before_s, now_s) for cell in living}
        self._heard = {name: heard for name, heard in self._heard.items() if name in self._seen}

    def _after(self, cell: NodeCell, before_s: float, now_s: float) -> _Seen:
        seen, heard = self._seen.get(cell.incarnation), self._heard.get(cell.incarnation)
        if seen is not None and seen.cell == cell:
            return seen
        since_s = max(before_s, heard.at_s) if heard is not None and heard.beat == cell.beat else now_s
        return _Seen(cell, since_s, now_s, seen is not None)

    def silent(self) -> frozenset[str]:
        """The incarnations whose cells were seen unchanged for the whole patience."""
        return frozenset(name for name in self._seen if self.left_s(name) <= 0)

    def lively(self) -> frozenset[str]:
        """The incarnations whose cells were seen to change within the last `gap_s`."""
        since_s = self._now_s() - self._gap_s
        return frozenset(name for name, seen in self._seen.items() if seen.has_changed and seen.seen_s >= since_s)

    def left_s(self, incarnation: str) -> float:
        """How many seconds of patience are left with an incarnation; all of them where its cell was not seen."""
        seen = self._seen.get(incarnation)
        return self._patience_s if seen is None else seen.since_s + self._patience_s - self._now_s()

    def soonest_s(self) -> float:
        """In how many seconds patience ends next, with whomever; all of them where nobody is watched."""
        return min((left_s for name in self._seen if (left_s := self.left_s(name)) > 0), default=self._patience_s)


class Touch:
    """For how long one incarnation has been in touch with the other servers at no look (is_in_touch).

    `contacts`: with whom this server has links now; None: it needs none.
    """

    def __init__(self, beat_s: float, gap_s: float, now_s: NowS) -> None:
        """`beat_s`: of the lease. `gap_s`: two looks that are further apart than this have a gap between them."""
        beat_s = max(LINK_BEAT_S, beat_s)
        self._says_after_s, self._leaves_after_s = CUT_OFF_BEATS * beat_s, LEAVE_PEERS_BEATS * beat_s
        self._gap_s = gap_s
        self._now_s = now_s
        self._looked_s = now_s()
        self._since_s: float | None = None
        """Since when it has been apart, or has said so."""
        self.contacts: Callable[[], Contacts | None] = _no_contacts
        self.is_cut_off = False
        """Whether it was in touch at no look for `CUT_OFF_BEATS`, and at none since. No gap takes that back: others
        plan by it, so it must not go to and fro where a beat fails now and then."""

    def saw(self, *, is_in_touch: bool) -> None:
        """Takes in what a look has found. After a gap between looks it counts anew: a server whose loop has stalled has
        lost its links by that, and is about to have them again.
        """
        now_s = self._now_s()
        if is_in_touch:
            self._since_s, self.is_cut_off = None, False
        elif self._since_s is None or now_s - self._looked_s > self._gap_s:
            self._since_s = now_s
        elif not self.is_cut_off and now_s - self._since_s >= self._says_after_s:
            self._since_s, self.is_cut_off = now_s, True
        self._looked_s = now_s

    @property
    def is_apart(self) -> bool:
        """Whether it was not in touch at the last look."""
        return self._since_s is not None

    @property
    def may_leave(self) -> bool:
        """Whether it has said that it is cut off for `LEAVE_PEERS_BEATS`, and looked without a gap meanwhile."""
        return self.is_cut_off and self._since_s is not None and self._now_s() - self._since_s >= self._leaves_after_s


def _no_contacts() -> None:
    """Of a server that has no links with others."""
