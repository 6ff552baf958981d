"""What may have expired: a missing cell is a finding only where time cannot have taken it."""

from typing import NamedTuple, Self

from rowbox.mailbox.clocks.clock import US_PER_MS
from rowbox.mailbox.group import SENDS_KEPT_US


class Lives(NamedTuple):
    """How long the store keeps what expires."""

    messages_ms: int
    log_ms: int
    dedupe_ms: int


class Horizon(NamedTuple):
    """Versions: a cell of a higher one cannot have expired, one at or below it may have.

    A cell's life counts from the time of its write, which is close to its version and not the same. `slack_us`
    is for the difference (10 s between clocks), and for the time that a check takes from `now_us` to its last read.
    """

    messages: int
    log: int
    dedupe: int
    reuse_us: int
    """Two uses of a clientMessageId that are nearer to each other than this are one use too many."""
    group_sends: int
    """What a group's row knows of a send of a higher version it cannot have forgotten."""
    latest_us: int
    """A message that has an end of its own by then may be gone, or be there still."""

    def may_be_gone(self, came: int, expires_us: int) -> bool:
        """Whether a message may have ended that came with this version, and has this end (0: none of its own)."""
        return came <= self.messages or 0 < expires_us <= self.latest_us

    @classmethod
    def at(cls, now_us: int, slack_us: int, lives: Lives) -> Self:
        latest = now_us + slack_us
        messages, log, dedupe = (latest - life_ms * US_PER_MS for life_ms in lives)
        group_sends = max(dedupe, latest - SENDS_KEPT_US)
        return cls(messages, log, dedupe, lives.dedupe_ms * US_PER_MS - slack_us, group_sends, latest)
