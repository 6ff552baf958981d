"""What a member's row makes of an event of a group, by what it has taken of that group before.

Events come late, twice and in any order. An event names the version of the one before it, and a row keeps the version
of the newest that it has taken, its chain, in the same mutation as what the event brings. So a row holds a contiguous
part of the group's log for each time that its user was in. docs/adr/0053-groups-searched.md says why each rule is
needed, and tests/model/groups searches for a violation without it.

A chain between an event and the one before it is of a log that is gone: the group's row was put back to an older state.
Such a row takes the event, and goes on from there. One that was itself put back meets a gap (resuming.py).
"""

from enum import Enum, auto
from typing import NamedTuple

from rowbox.mailbox.group import GroupPart


class Place(NamedTuple):
    """What a row has of a group: its chain, 0 where it has nothing. `has_declined`: it was not taken by a join."""

    chain: int
    has_declined: bool


class Verdict(Enum):
    """What a row does with an event."""

    KNOWN = auto()
    """Nothing: it was taken before."""
    DECLINED = auto()
    """Nothing: it is the join that the row has declined."""
    GAP = auto()
    """Nothing: something that stands before it has not been taken."""
    NEXT = auto()
    """It takes it."""


def verdict(place: Place, event: GroupPart, user_id: str) -> Verdict:
    """What the row of `user_id`, which is at `place`, does with an event."""
    join = event.joins.get(user_id)
    if event.version <= place.chain:
        is_declined = place.has_declined and event.version == place.chain
        return Verdict.DECLINED if is_declined else Verdict.KNOWN
    if join is not None:
        return Verdict.NEXT if place.chain >= join.after else Verdict.GAP
    return Verdict.NEXT if event.prev <= place.chain else Verdict.GAP
