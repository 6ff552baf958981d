"""The lease of a node: until when it may answer, by a clock that also counts while the machine is suspended.

A renewal that succeeded is counted from the moment BEFORE it was sent. Whoever wants to take over has seen the node's
cell unchanged for `ttl + margin` of its own time, and its first look at the cell was later than that moment: so the
lease is over before its holder is declared dead. No clock is compared with another machine's; the margin is for clocks
that run unequally fast. The clock counts on while a machine sleeps: a process that slept has no lease.
"""

from rowbox.cacheserver.clocks import NowS, boot_clock_s


class Lease:
    """Holds until `ttl_s` after the last renewal was begun."""

    def __init__(self, ttl_s: float, now_s: NowS = boot_clock_s) -> None:
        self._ttl_s = ttl_s
        self._now_s = now_s
        self._until_s = float("-inf")

    @property
    def is_held(self) -> bool:
        """Whether the lease holds now."""
        return self._now_s() < self._until_s

    def renewed(self, begun_s: float) -> None:
        """A renewal whose call was begun at `begun_s` is known to have succeeded."""
        self._until_s = max(self._until_s, begun_s + self._ttl_s)

    def end(self) -> None:
        """Gives the lease up: it does not hold until it is renewed."""
        self._until_s = float("-inf")
