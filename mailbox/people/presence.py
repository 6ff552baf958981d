"""When a user was active last, as others are shown it. Pure.

It is nowhere in a mailbox: nobody is told of it by the log, and whoever loses it has lost nothing that lasts.
"""

from typing import Final

import msgspec

ONLINE_MS: Final = 30_000
"""A user is online for so long after he was active last."""
KEPT_MS: Final = 30 * 86_400_000
"""For so long it is known when that was."""
STEADY_US: Final = 2_000_000
"""Two times of one moment differ by less, which was measured twice as an age."""


class Seen(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is shown of a user: that he is `online`, or since when he is not (microseconds)."""

    online: bool
    last_seen_us: int | None = None

    def is_as(self, other: "Seen | None") -> bool:
        """Whether `other` says the same."""
        if other is None or self.online != other.online:
            return False
        if self.last_seen_us is None or other.last_seen_us is None:
            return self.last_seen_us == other.last_seen_us
        return abs(self.last_seen_us - other.last_seen_us) < STEADY_US


def seen_of(age_ms: int, now_us: int) -> Seen:
    """What is shown at `now_us` of a user who was active `age_ms` ago. One below 0 is 0: a clock was set."""
    age_ms = max(0, age_ms)
    return Seen(online=True) if age_ms < ONLINE_MS else Seen(online=False, last_seen_us=now_us - age_ms * 1000)
