"""A set of 64-bit numbers: 8 to 16 bytes for each (a Python set takes 100), and no step is longer than a run of them.

Sorted runs of at most MOST_IN_RUN numbers, one behind the other: a look-up is two bisections, an addition moves part of
one run, and a full run becomes two.
"""

from array import array
from bisect import bisect_left, bisect_right

MOST_IN_RUN = 1024
SET_BYTES = 300
"""An empty set. Measured, as the next: tests/unit/mailbox/aggregate/test_number_set.py."""
NUMBER_BYTES = 9
"""A number in a run. Runs that came in random order have some room left."""


class NumberSet:
    """A set of integers from 0 to 2**64 - 1."""

    __slots__ = ("_firsts", "_runs", "count")

    def __init__(self) -> None:
        self._runs = [array("Q")]
        self._firsts = [0]
        """The number from which on a run is the one to look in."""
        self.count = 0

    def __contains__(self, number: int) -> bool:
        run = self._runs[bisect_right(self._firsts, number) - 1]
        place = bisect_left(run, number)
        return place < len(run) and run[place] == number

    def add(self, number: int) -> None:
        """Takes in a number of 64 bits."""
        which = bisect_right(self._firsts, number) - 1
        run = self._runs[which]
        place = bisect_left(run, number)
        if place < len(run) and run[place] == number:
            return
        run.insert(place, number)
        self.count += 1
        if len(run) > MOST_IN_RUN:
            # What grows at its end goes on growing there: numbers that come ascending leave full runs behind.
            self._split(which, MOST_IN_RUN if place == MOST_IN_RUN else MOST_IN_RUN // 2)

    @property
    def size_bytes(self) -> int:
        """How many bytes the set takes in memory."""
        return SET_BYTES + self.count * NUMBER_BYTES

    def _split(self, which: int, place: int) -> None:
        run = self._runs[which]
        upper = run[place:]
        del run[place:]
        self._runs.insert(which + 1, upper)
        self._firsts.insert(which + 1, upper[0])
