"""Measures the fsync of a device, because every commit of the embedded store waits for one."""

import os
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from statistics import median
from time import perf_counter
from typing import Final, NamedTuple

PROBES: Final = 16
_BLOCK: Final = bytes(4096)


class SyncTimes(NamedTuple):
    """The median and the longest time, in seconds, of PROBES fsyncs of 4 KiB in a row."""

    median_s: float
    longest_s: float


def measure_syncs(folder: Path, clock_s: Callable[[], float] = perf_counter) -> SyncTimes:
    """Writes a small file in `folder`, syncs it PROBES times, and removes it. OSError where that fails."""
    path = folder / f".rowbox-probe-{token_hex(4)}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        times = []
        for _ in range(PROBES):
            os.write(descriptor, _BLOCK)
            began_s = clock_s()
            os.fsync(descriptor)
            times.append(clock_s() - began_s)
        return SyncTimes(median(times), max(times))
    finally:
        os.close(descriptor)
        path.unlink()
