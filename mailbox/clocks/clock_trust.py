"""Whether the machine's clock may be believed, and how much time was seen to pass. Rules only: readings are arguments.

Two clocks are read together: the wall clock, which tells the time of day and may be set by anybody, and the boot clock,
which counts the seconds since the machine was started, its sleep included, and cannot be set. They are compared with
the latest time at which the store was served, which the store remembers. docs/adr/0018-time.md has the reasons.

believed    Nothing contradicts the wall clock. Writes are confirmed, and time passes.
in doubt    A Contradiction holds. Nothing is written and nothing expires. The doubt ends when the contradiction does
            (the clock was set right), or when an operator says that the clock is right as it is.

At a start the wall clock may be ahead of the remembered time, by as long as the machine was off or because it is wrong;
nobody can tell which. So the server serves, but the time in between, a Gap, does not count as seen, and nothing expires
by it. It counts when both clocks have agreed for as long as the gap is long, at least an hour and at most a week. By
then an operator has had the time to notice a wrong clock.
"""

from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from rowbox.mailbox.clocks.clock import US_PER_S

TOLERANCE_US: Final = 10 * US_PER_S
"""How far two clocks may differ and still both be believed, on one machine and between servers."""
SAVE_EVERY_US: Final = 60 * US_PER_S
"""The longest time between two writes of the store's memory of the time, while a server runs."""
UNREMARKABLE_US: Final = SAVE_EVERY_US + TOLERANCE_US
"""A start that is up to so much later than the remembered time makes no Gap: it may follow a crash at once."""
MOST_OFF_US: Final = 100 * 86_400 * US_PER_S
"""The longest time for which a machine may have been off. A clock that is farther ahead of the remembered time is in
doubt until an operator accepts it."""
LEAST_PROBATION_US: Final = 3600 * US_PER_S
MOST_PROBATION_US: Final = 7 * 86_400 * US_PER_S
REBASE_EVERY_US: Final = 3600 * US_PER_S
"""The span within which the wall clock may be moved against the boot clock by TOLERANCE_US in all."""
MOST_GAPS: Final = 32


class Gap(msgspec.Struct, frozen=True):
    """Time that passed by the wall clock alone. It counts as seen when both clocks have agreed for `left_us` more."""

    length_us: int
    left_us: int


class Remembered(msgspec.Struct, frozen=True):
    """What the store remembers of the time. `word` identifies the last time that an operator accepted the clock."""

    latest_us: int
    gaps: tuple[Gap, ...] = ()
    word: str = ""

    @property
    def unseen_us(self) -> int:
        """How much of the time up to `latest_us` lies in gaps that do not count as seen yet."""
        return sum(gap.length_us for gap in self.gaps)


def by_word(wall_us: int, word: str) -> Remembered:
    """What the store has to remember when an operator has said that `wall_us` is the time."""
    return Remembered(wall_us, (), word)


class Contradiction(StrEnum):
    """What contradicts the wall clock."""

    BEHIND = "behind"
    AHEAD = "ahead"
    STEPPED = "stepped"
    PEERS = "peers"


class Doubt(NamedTuple):
    """Why the wall clock is not believed, and by how much it is off (positive: ahead)."""

    what: Contradiction
    off_us: int

    def __str__(self) -> str:
        amount = duration(abs(self.off_us))
        match self.what:
            case Contradiction.BEHIND:
                return f"the clock is {amount} behind the latest time that the store has seen"
            case Contradiction.AHEAD:
                return f"the clock is {amount} ahead of the latest time that the store has seen"
            case Contradiction.STEPPED:
                direction = "forward" if self.off_us > 0 else "back"
                return f"the clock was set {direction} by {amount} while the server ran"
            case Contradiction.PEERS:
                direction = "ahead of" if self.off_us > 0 else "behind"
                most = duration(TOLERANCE_US)
                return f"the clock is {amount} {direction} those of the other servers, which may differ by {most}"


class ClockTrust:
    """Judges the clock of one machine. Times in microseconds; `boot_us` are readings of the boot clock."""

    def __init__(self, remembered: Remembered | None, wall_us: int, boot_us: int) -> None:
        """Begins to judge, at a start or after an operator's word. `remembered` is None where the store is new."""
        self._remembered = remembered if remembered is not None else Remembered(wall_us)
        self._gaps = list(self._remembered.gaps)
        self._anchor: tuple[int, int] | None = None
        """A believed reading of both clocks. From it on the wall clock has to advance as the boot clock does."""
        self._observed_boot_us = boot_us
        self.doubt: Doubt | None = None
        self.latest_us = self._remembered.latest_us
        self.seen_us = self.latest_us - self.unseen_us
        """The time by which cells expire: the latest time less the gaps. It never runs backwards."""
        self.observe(wall_us, boot_us)

    @property
    def unseen_us(self) -> int:
        """How much of the time up to now lies in gaps that do not count as seen yet."""
        return sum([gap.length_us for gap in self._gaps])

    def observe(self, wall_us: int, boot_us: int) -> None:
        """Judges a reading of both clocks. Afterwards `doubt` and `seen_us` are as of this reading."""
        if self._anchor is None:
            self._judge_start(wall_us, boot_us)
        else:
            off_us = wall_us - self._anchor[0] - (boot_us - self._anchor[1])
            self.doubt = None if abs(off_us) <= TOLERANCE_US else Doubt(Contradiction.STEPPED, off_us)
        if self.doubt is None:
            self._pass(wall_us, boot_us)
        self._observed_boot_us = boot_us

    def remembered(self) -> Remembered:
        """What the store has to remember now. Meaningful only while the clock is believed."""
        return Remembered(self.latest_us, tuple(self._gaps), self._remembered.word)

    def _judge_start(self, wall_us: int, boot_us: int) -> None:
        off_us = wall_us - self._remembered.latest_us
        if off_us < -TOLERANCE_US:
            self.doubt = Doubt(Contradiction.BEHIND, off_us)
        elif off_us > MOST_OFF_US:
            self.doubt = Doubt(Contradiction.AHEAD, off_us)
        else:
            self.doubt = None
            self._anchor = (wall_us, boot_us)
            if off_us > UNREMARKABLE_US:
                self._add(Gap(off_us, min(max(off_us, LEAST_PROBATION_US), MOST_PROBATION_US)))

    def _add(self, gap: Gap) -> None:
        """Adds a gap. Where there are MOST_GAPS, it is joined with the newest one; an oldest gap that others are joined
        to would never end.
        """
        if len(self._gaps) == MOST_GAPS:
            last = self._gaps.pop()
            gap = Gap(last.length_us + gap.length_us, max(last.left_us, gap.left_us))
        self._gaps.append(gap)

    def _pass(self, wall_us: int, boot_us: int) -> None:
        """Lets time pass: gaps come nearer to their end, and `latest_us` and `seen_us` go on."""
        assert self._anchor is not None
        if self._gaps:
            elapsed_us = boot_us - self._observed_boot_us
            left = [Gap(gap.length_us, gap.left_us - elapsed_us) for gap in self._gaps]
            self._gaps = [gap for gap in left if gap.left_us > 0]
        if boot_us - self._anchor[1] >= REBASE_EVERY_US:
            self._anchor = (wall_us, boot_us)
        self.latest_us = max(self.latest_us, wall_us)
        self.seen_us = max(self.seen_us, wall_us - self.unseen_us)


def duration(length_us: int) -> str:
    """A duration as text for people, in its two largest units."""
    seconds = length_us // US_PER_S
    parts = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"
