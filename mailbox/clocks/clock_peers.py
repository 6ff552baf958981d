"""Whether this server's clock agrees with those of the other servers of its store. Rules only: readings are arguments.

Each server's beat carries its time, unless clock_trust.py does not believe its clock. A server judges itself: its clock
is off where it differs by more than TOLERANCE_US from the median of the living servers, itself included. Where these
are divided evenly, as two servers that differ always are, the median does not tell. Then one of them decides, the same
for all: the one that keeps the store's memory of the time. Nobody would answer if both halves stepped back.
It reports that the clocks are apart and goes on; a server of the other half leaves the mailboxes to it.

A verdict stays when the other servers fall silent. A clock that was off is off until it is set right, until the others'
clocks agree with it, or until an operator says that it is right.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from rowbox.mailbox.clocks.clock_trust import TOLERANCE_US, Contradiction, Doubt

AGREES_US: Final = TOLERANCE_US // 2
"""A clock that was off agrees again when it differs by less than this. It is less than TOLERANCE_US, so that the
verdict on a clock at the edge does not change with each beat."""


class Verdict(NamedTuple):
    """By how much this server's clock is ahead, in microseconds (negative: behind; 0: it agrees).

    `apart_us` is the difference from the median, or from the other half where the servers are divided evenly. `off_us`
    is the difference from the clock that decides; None where no other server has told its time.
    """

    apart_us: int
    off_us: int | None


def judge(others_us: Sequence[int], decider_us: int | None, limit_us: int = TOLERANCE_US) -> Verdict:
    """Judges this server's clock.

    `others_us` says by how many microseconds each other server's clock is ahead of this one's, and `decider_us` the
    same of the clock that decides between halves; it is 0 where that is this server's own, and None where there is none
    or it is in doubt. Differences of up to `limit_us` count as 0.
    """
    ranked = sorted([0, *others_us])
    middles = ranked[(len(ranked) - 1) // 2], ranked[len(ranked) // 2]
    apart_us = decides_us = max(middles, key=abs)
    if middles[1] - middles[0] > TOLERANCE_US and decider_us is not None:
        decides_us = decider_us
    return Verdict(_beyond(-apart_us, limit_us), _beyond(-decides_us, limit_us))


def _beyond(difference_us: int, limit_us: int) -> int:
    return difference_us if abs(difference_us) > limit_us else 0


class PeersTime(NamedTuple):
    """The time of the others' clocks, `peers_us`, when this machine's boot clock was at `boot_us`. Both advance."""

    peers_us: int
    boot_us: int

    def doubt(self, wall_us: int, boot_us: int) -> Doubt | None:
        """Why a reading of this machine's two clocks is in doubt; None where it agrees with the others' clocks."""
        off_us = wall_us - self.peers_us - (boot_us - self.boot_us)
        return Doubt(Contradiction.PEERS, off_us) if abs(off_us) > AGREES_US else None
