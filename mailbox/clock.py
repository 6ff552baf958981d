"""The hybrid logical clock: one number that is close to the time and never runs backwards.

Microseconds since the epoch as an int. `ts = max(now, last + 1, remote + 1)` (Kulkarni et al., "Logical Physical
Clocks", 2014, with the logical part folded into the microseconds): causes sort before their effects even where the
machines' clocks disagree. A mailbox's `last` is its head, so the clock needs no state of its own.
"""

US_PER_MS = 1000
US_PER_S = 1_000_000


def tick(now_us: int, last_us: int, remote_us: int = 0) -> int:
    """The next timestamp: greater than `last_us` (the mailbox's head) and `remote_us` (what is being delivered)."""
    return max(now_us, last_us + 1, remote_us + 1)
