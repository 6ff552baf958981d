"""When a request that an owner did not answer is sent again. No I/O: the router waits, this says for what.

    how a try ended            it is sent again, at once where a newer map names another incarnation, else
    NotTheOwner                when a map is known that is newer than the one by which the refuser refused (a move that
                               was given up is one, too)
    NotTheOwner of one that    after a pause, when it says that it has applied what the router knows
    knows an older map
    a lost link                after a pause, when there is a link again
    any other hand-over, an    after a pause
    unknown outcome
    anything else              never: it is the answer, as any of these is once a later write of the user was confirmed

So under one map nobody is asked twice who refused by it. What is waited for is an event that all who wait share. The
pauses grow; a longest one stands in for an event that nobody told of.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import Final, NamedTuple

from rowbox.mailbox.errors import HandoverInProgress, LinkLost, NotTheOwner, RowboxError, StoreOutcomeUnknown

FIRST_PAUSE_S: Final = 0.02
LONGEST_PAUSE_S: Final = 0.25
"""What an owner asks for (`retry_after_ms`) is meant for clients, who would wait for somebody else."""
LONGEST_WAIT_S: Final = 1.0
"""For an event, before the request is sent all the same: a beat, in which a node learns what it was not told."""


class Until(Enum):
    """What a request waits for, beside a map that names another incarnation."""

    NEWER_MAP = auto()
    APPLIED = auto()
    LINK = auto()
    PAUSE = auto()


class Now(NamedTuple):
    """What is known of the incarnation that the newest map names: is there a link to it, which map has it applied?"""

    incarnation: str
    version: int
    """Of the newest map that the router knows."""
    is_up: bool
    applied: int
    now_s: float


class Refusal(NamedTuple):
    """How one try of a request ended that is to be tried again.

    `incarnation` was asked, by the map `routed`, and knew the map `told` (0: it said nothing of maps). By the loop's
    time the request is not sent again before `not_before_s`, and from `at_last_s` on whatever has happened.
    """

    error: RowboxError
    until: Until
    incarnation: str
    routed: int
    told: int
    pause_s: float
    not_before_s: float
    at_last_s: float

    def admits(self, now: Now) -> bool:
        """Whether the request may be sent to the incarnation that the newest map names."""
        if now.incarnation != self.incarnation and now.version > self.routed:
            return True
        if self.until is Until.NEWER_MAP:
            return now.version > max(self.routed, self.told)
        if now.now_s < self.not_before_s:
            return False
        if now.now_s >= self.at_last_s or self.until is Until.PAUSE:
            return True
        return now.is_up if self.until is Until.LINK else now.applied >= self.routed

    def look_again_s(self, now_s: float) -> float | None:
        """When `admits` may say otherwise although nothing was told; None: never."""
        if self.until is Until.NEWER_MAP:
            return None
        return self.not_before_s if now_s < self.not_before_s else max(now_s, self.at_last_s)


def refusal_of(
    error: RowboxError,
    incarnation: str,
    routed: int,
    now_s: float,
    before: Refusal | None,
    spread: Callable[[float, float], float],
) -> Refusal | None:
    """What the error means for the request that ended with it; None: it is the answer.

    `before`: the refusal of the try before this one. `spread` draws the pause between two bounds, because thousands may
    have been refused in the same moment.
    """
    until = _until(error, routed)
    if until is None:
        return None
    told = error.map_version if isinstance(error, NotTheOwner) else 0
    pause_s = FIRST_PAUSE_S if before is None else min(LONGEST_PAUSE_S, 2 * before.pause_s)
    not_before_s = now_s + spread(pause_s / 2, pause_s)
    at_last_s = now_s + spread(LONGEST_WAIT_S / 2, LONGEST_WAIT_S)
    return Refusal(error, until, incarnation, routed, told, pause_s, not_before_s, at_last_s)


def _until(error: RowboxError, routed: int) -> Until | None:
    match error:
        case NotTheOwner():
            return Until.NEWER_MAP if error.map_version >= routed else Until.APPLIED
        case LinkLost() | StoreOutcomeUnknown():
            return Until.LINK
        case HandoverInProgress():
            return Until.PAUSE
        case _:
            return None
