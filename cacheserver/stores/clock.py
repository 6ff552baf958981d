"""The one place where the stores look at the time of day."""

from time import time_ns


def wall_clock_ms() -> int:
    """Real time, which write times and TTLs are in."""
    return time_ns() // 1_000_000
