"""The clocks of this machine, and the timestamps of store calls.

Nothing else in this folder reads the machine's clocks. Whoever needs the time takes a callable that gives it, so that a
test can set it.
"""

import time
from collections.abc import Callable
from typing import Final, Protocol

from rowbox.mailbox.clocks.clock import MAX_AHEAD_US, US_PER_MS

NowUs = Callable[[], int]
"""Gives the time of day, in microseconds since 1970."""
NowS = Callable[[], float]
"""Gives the seconds of a clock that never goes back; where it begins says nothing."""

_BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # Darwin's CLOCK_MONOTONIC counts in sleep


def wall_clock_us() -> int:
    """This machine's time of day, in microseconds since 1970. It can be set, and be wrong."""
    return time.time_ns() // 1000


def wall_clock_ms() -> int:
    """This machine's time of day, in milliseconds since 1970, as stores count it."""
    return time.time_ns() // 1_000_000


def boot_clock_s() -> float:
    """Seconds since the machine was started, those of its sleep included. Nobody can set it."""
    return time.clock_gettime(_BOOT_CLOCK)


class Time(Protocol):
    """The time as far as it is known: between `seen_us` and `latest_us`, which differ where there is doubt."""

    def now_us(self) -> int:
        """The time for what is written, in microseconds since 1970. ClockInDoubt where the clock is not believed."""
        ...

    def seen_us(self) -> int:
        """The time up to which time was seen to pass: nothing is removed that has not expired by it."""
        ...

    def latest_us(self) -> int:
        """The latest time that it may be. What has expired by it may be gone, so nothing older is given as complete."""
        ...

    @property
    def doubt(self) -> str:
        """Why the clock is not believed; "" while it is."""
        ...


class BareTime:
    """A clock that is believed whatever it says."""

    doubt = ""

    def __init__(self, now_us: NowUs) -> None:
        self.now_us = self.seen_us = self.latest_us = now_us


class StoreClock:
    """The timestamps of store calls: T = max(now, last T + 1, the versions that the call writes), in milliseconds.

    One for each process: two would give one millisecond twice. TTLs count from T. A cell's T is never behind the
    version that stands in it, so that a server whose clock is behind writes nothing that is gone once the clock is
    right; and a delete's T is not behind what it removes, else it would not hide it.

    A version may be far ahead of the time (mailbox/clocks says of what). It must not take the calls of everybody
    after it along: what they write would not expire for as long. So such a T is given and not remembered. It rises
    within the row all the same, because the versions of such a mailbox rise by a millisecond at least; but its row
    needs a call of its own where the greatest T stands, whenever it executes (`is_ahead`).
    """

    def __init__(self, now_us: NowUs) -> None:
        self._now_us = now_us
        self._last_ms = 0

    def next_ms(self, written_us: int = 0) -> int:
        """The timestamp of the next call, which writes or removes cells of versions up to `written_us`."""
        least_ms = self._least_ms()
        written_ms = _in_ms(written_us)
        if written_ms > least_ms + MAX_AHEAD_US // US_PER_MS:
            return written_ms
        self._last_ms = max(least_ms, written_ms)
        return self._last_ms

    def is_ahead(self, written_us: int) -> bool:
        """Whether `written_us` is so far ahead of the time that `next_ms` would not remember its T."""
        return _in_ms(written_us) > self._least_ms() + MAX_AHEAD_US // US_PER_MS

    def _least_ms(self) -> int:
        return max(self._now_us() // US_PER_MS, self._last_ms + 1)


def _in_ms(version_us: int) -> int:
    """Rounded up: a write time that is rounded down is behind its version."""
    return -(-version_us // US_PER_MS)
