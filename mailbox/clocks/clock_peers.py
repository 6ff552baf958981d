"""Whether this server's clock agrees with those of the other servers of its store. Rules only: readings are arguments.

Each server's beat carries its time, unless clock_trust.py has something against it. A server judges itself: it is off
where it differs by more than TOLERANCE_US from the median of the living, itself included. Where the living are divided
evenly, as two that differ always are, no median tells: then the owner's clock decides. The store remembers the time as
the owner has it, so the memory speaks for the owner; and were both to step back, nobody would answer. The owner says
that the clocks are apart and goes on; the other one does not replace it.

What the others said stays true when they fall silent: whoever was off is off until the clock is set right, until the
others' clocks agree with it, or until an operator says that it is right.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from rowbox.mailbox.clocks.clock_trust import TOLERANCE_US, Contradiction, Doubt

AGREES_US: Final = TOLERANCE_US // 2
"""Who has differed agrees again below this: a clock at the edge does not change its mind at each beat."""


class Verdict(NamedTuple):
    """By how much this server's clock is ahead (negative: behind); 0: it agrees. `off_us` None: nobody speaks of it.

    `apart_us`: of the median, or of the others where they are evenly divided. `off_us`: of the clock that decides.
    """

    apart_us: int
    off_us: int | None


def judge(others_us: Sequence[int], owner_us: int | None, limit_us: int = TOLERANCE_US) -> Verdict:
    """By how much the others' clocks are ahead of the own one, and the owner's, which may be the own one: 0.

    `owner_us` None: there is no owner, or it does not believe its clock.
    """
    ranked = sorted([0, *others_us])
    middles = ranked[(len(ranked) - 1) // 2], ranked[len(ranked) // 2]
    apart_us = decides_us = max(middles, key=abs)
    if middles[1] - middles[0] > TOLERANCE_US and owner_us is not None:
        decides_us = owner_us
    return Verdict(_beyond(-apart_us, limit_us), _beyond(-decides_us, limit_us))


def _beyond(difference_us: int, limit_us: int) -> int:
    return difference_us if abs(difference_us) > limit_us else 0


class PeersTime(NamedTuple):
    """What the others' clocks said, at a reading of the own boot clock; they go on as it does."""

    peers_us: int
    boot_us: int

    def doubt(self, wall_us: int, boot_us: int) -> Doubt | None:
        """What a reading of both own clocks has against it; None where it agrees."""
        off_us = wall_us - self.peers_us - (boot_us - self.boot_us)
        return Doubt(Contradiction.PEERS, off_us) if abs(off_us) > AGREES_US else None
