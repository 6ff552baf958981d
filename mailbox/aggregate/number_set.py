"""A set of 64-bit numbers: 8 to 16 bytes for each (a Python set takes 100), and no step is longer than a run of them.

Sorted runs of at most MOST_IN_RUN numbers, one behind the other: a look-up is two bisections, an addition moves part of
one run, and a full run becomes two.
"""

from array import array
from bisect import bisect_left, bisect_right
from itertools import chain
from operator import lt
from typing import Self

MOST_IN_RUN = 1024
SET_BYTES = 300
"""An empty set. Measured, as the next: tests/unit/mailbox/aggregate/test_number_set.py."""
NUMBER_BYTES = 9
"""A number in a run. Runs that came in random order have some room left."""


_IS_SWAPPED = array("Q", [1]).tobytes()[0] == 0
"""Whether this machine has the most significant byte of a number first."""


class NumberSet:
    """A set of integers from 0 to 2**64 - 1."""

    __slots__ = ("_firsts", "_runs", "count")

    def __init__(self) -> None:
        self._runs = [array("Q")]
        self._firsts = [0]
        """The number from which on a run is the one to look in."""
        self.count = 0

    @classmethod
    def unpacked(cls, packed: bytes) -> Self:
        """The inverse of `packed`. ValueError where that did not make these bytes."""
        numbers = _as_bytes(array("Q", packed))
        found = cls()
        if numbers:
            if not all(map(lt, numbers, numbers[1:])):
                raise ValueError("numbers of a set that do not rise")
            found._runs = [numbers[start : start + MOST_IN_RUN] for start in range(0, len(numbers), MOST_IN_RUN)]
            found._firsts = [0, *(run[0] for run in found._runs[1:])]
            found.count = len(numbers)
        return found

    def packed(self) -> bytes:
        """The numbers, ascending, 8 bytes each, the least significant one first."""
        return _as_bytes(array("Q", chain.from_iterable(self._runs))).tobytes()

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


def _as_bytes(numbers: "array[int]") -> "array[int]":
    """`numbers` as they are packed, or back: the same on most machines."""
    if _IS_SWAPPED:
        numbers.byteswap()
    return numbers
