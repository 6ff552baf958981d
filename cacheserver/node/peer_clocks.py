"""What the beats of the other servers say of the time, beside this machine's clock (clock_peers.py judges it).

A beat carries the time at which it was begun, but not where the machine's other clock or the store's memory contradict
it: such a clock has no say. A server that differs from the others goes on telling its time, so that they know.

A beat counts where it came between two answered looks that are no further apart than two beats: then it was begun
between them, or a call before. So what it says is an interval, held against the boot clock, which nobody can set. Of
several such beats the one that agrees best counts, because a process that was paused between its reading and its call
says something old. What a call takes is left to the tolerance.

A steward reads all cells and is compared with all; everybody else is compared with the stewards, whose cells are all
that it reads. Where clocks are divided evenly, the one of the lowest rank decides among those that believe their own.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from rowbox.cacheserver.clocks import NowS, Time
from rowbox.cacheserver.shardmap.cluster_row import ClusterRow
from rowbox.cacheserver.shardmap.cluster_state import NodeCell
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.clocks.clock_peers import AGREES_US, Verdict, judge
from rowbox.mailbox.clocks.clock_trust import TOLERANCE_US, duration

log = logging.getLogger(__name__)

BEATS_THAT_TELL: Final = 3


class WitnessedTime(Time, Protocol):
    """A time that also goes by what the other servers say."""

    def wall_us(self) -> int:
        """The time of the machine's clock, in microseconds since 1970, whether it is believed or not."""
        ...

    def says_us(self) -> int:
        """The time to tell the other servers; 0 where something other than they contradicts this clock."""
        ...

    def told_by_peers(self, off_us: int) -> None:
        """Takes in by how many microseconds this clock is ahead of the others'.

        0: it agrees, or the server that contradicted it does so no longer.
        """
        ...


class _Said(NamedTuple):
    """What a clock shows when the own boot clock is at 0: between the two."""

    least_us: int
    most_us: int


class _Heard(NamedTuple):
    cell: NodeCell
    changed_s: float
    said: tuple[_Said, ...] = ()


class PeerClocks:
    """The clocks of the other servers, as one incarnation hears them. `gap_s` is as in watch.py."""

    def __init__(self, time: WitnessedTime, incarnation: str, gap_s: float, now_s: NowS) -> None:
        self._time = time
        self._incarnation = incarnation
        self._gap_s = gap_s
        self._now_s = now_s
        self._looked_s = now_s()
        self._heard: dict[str, _Heard] = {}
        self._stewards: Sequence[str] = ()
        self._limit_us = TOLERANCE_US

    def forget(self) -> None:
        """Forgets all that was heard. To be called after a look that was not answered."""
        self._heard.clear()

    def saw(self, row: ClusterRow, stewards: Sequence[str]) -> None:
        """Takes in the cells that a look has found. `stewards`: by rank, those that have not ended."""
        now_s = self._now_s()
        elapsed_s, self._looked_s = now_s - self._looked_s, now_s
        if elapsed_s > self._gap_s:
            self.forget()
        self._stewards = stewards
        others = [cell for cell in row.cells.values() if cell.incarnation != self._incarnation]
        self._heard = {cell.incarnation: self._after(cell, now_s, elapsed_s) for cell in others if not cell.has_ended}

    def verdict(self) -> Verdict | None:
        """How this machine's clock differs from the others'; None where too little was heard to tell."""
        if not self._heard:
            return Verdict(0, None)
        lively = self._lively()
        ahead_us = {name: self._ahead_us(h.said) for name, h in lively.items() if len(h.said) == BEATS_THAT_TELL}
        if not ahead_us:
            taken_back = any(not heard.cell.clock_us for heard in lively.values())
            return Verdict(0, 0) if taken_back and not any(heard.said for heard in lively.values()) else None
        verdict = judge(list(ahead_us.values()), self._decides_us(ahead_us), self._limit_us)
        self._limit_us = AGREES_US if verdict.apart_us else TOLERANCE_US
        return verdict

    def is_suspect(self) -> bool:
        """Whether the newest beats alone speak against this clock. They may be old: it is no verdict.

        Whoever joins waits for the verdict then. Else a server whose clock is wrong could be listed, and decide of its
        own clock and of the others'.
        """
        ahead_us = {name: self._ahead_us(heard.said[-1:]) for name, heard in self._lively().items() if heard.said}
        return bool(ahead_us) and bool(judge(list(ahead_us.values()), self._decides_us(ahead_us)).off_us)

    def _lively(self) -> Mapping[str, _Heard]:
        since_s = self._now_s() - self._gap_s
        return {name: heard for name, heard in self._heard.items() if heard.changed_s >= since_s}

    def _decides_us(self, ahead_us: Mapping[str, int]) -> int | None:
        """Of the lowest steward that believes its clock: one that does not says that it does not reach the mail."""
        for name in self._stewards:
            heard = self._heard.get(name)
            if name == self._incarnation:
                if not self._time.doubt:
                    return 0
            elif heard is not None and heard.cell.reaches_mail:
                return ahead_us.get(name)
        return None

    def _after(self, cell: NodeCell, now_s: float, elapsed_s: float) -> _Heard:
        heard = self._heard.get(cell.incarnation)
        if heard is None:
            return _Heard(cell, float("-inf"))
        if heard.cell == cell:
            return heard
        if not cell.clock_us:
            return _Heard(cell, now_s)
        least_us = cell.clock_us - int(now_s * US_PER_S)
        said = _Said(least_us, least_us + int(elapsed_s * US_PER_S))
        return _Heard(cell, now_s, (*heard.said, said)[-BEATS_THAT_TELL:])

    def _ahead_us(self, said: tuple[_Said, ...]) -> int:
        """By how much the clock that said this is ahead of the own one, at the least."""
        own_us = self._time.wall_us() - int(self._now_s() * US_PER_S)
        return min((_distance(own_us, each) for each in said), key=abs)


class Apart:
    """By how much this server's clock differs from the others', as one process tells it in all its lives."""

    def __init__(self, time: WitnessedTime | None) -> None:
        self._time = time
        self.us = 0
        """By how many microseconds this clock was last seen ahead of the others', where that is too much; else 0."""

    def compare(self, clocks: PeerClocks | None) -> None:
        """After each beat: takes in what the others' clocks say."""
        verdict = None if clocks is None else clocks.verdict()
        if verdict is None or self._time is None:
            return
        was_apart, self.us = bool(self.us), verdict.apart_us
        if verdict.apart_us and not was_apart:
            log.warning("%s", self.text)
        elif was_apart and not verdict.apart_us:
            log.warning("the servers' clocks are not known to differ any more")
        if verdict.off_us is not None:
            self._time.told_by_peers(verdict.off_us)

    @property
    def text(self) -> str:
        """For people."""
        direction = "ahead of" if self.us > 0 else "behind"
        return f"this server's clock is {duration(abs(self.us))} {direction} the other servers': one is wrong"


def _distance(own_us: int, said: _Said) -> int:
    if own_us < said.least_us:
        return said.least_us - own_us
    return min(said.most_us - own_us, 0)
