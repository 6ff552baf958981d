"""How long the writing store calls of a while took: counted by classes of durations, so that a call costs little."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

BOUNDS_S: Final = tuple(0.00025 * 2 ** (step / 2) for step in range(36))
"""The upper bounds of the classes: from 0.25 ms to 46 s, each 1.41 times the one before; what is longer is one more."""


class Durations:
    """So many calls of each class, since the beginning."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)

    def add(self, seconds: float) -> None:
        """Counts a call."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1


def quantile_s(share: float, before: Sequence[int], after: Sequence[int]) -> float:
    """The bound below which `share` of the calls stayed that were counted between two moments; 0 where none was."""
    counts = [now - was for was, now in zip(before, after, strict=True)]
    beyond = sum(counts) * share
    if not beyond:
        return 0.0
    for count, bound_s in zip(counts, BOUNDS_S, strict=False):
        beyond -= count
        if beyond <= 1e-9:
            return bound_s
    return BOUNDS_S[-1]
