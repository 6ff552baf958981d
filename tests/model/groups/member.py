"""What the log of a group says that a member's row should hold, and the rules of the owners around the rows.

`G` is the group's row. Its committed events, in the order of their versions, are the group's log. What the rows make of
events and requests is the product's own (shipped.py), and so are its rules; test_groups.py puts a fault into each. What
is said here is what the search compares with, and the rules that no row's code has: they are about what an owner does
before and after a write, each of which the model's own steps follow.
"""

from typing import NamedTuple

from tests.model.groups.copies import Copy
from tests.model.groups.shipped import Event, Log, MemberRow, joined


class MemberRules(NamedTuple):
    """The rules around the rows, one field for each. ``MemberRules(deliver_after_check=False)`` leaves that one out."""

    deliver_after_check: bool = True
    """An event goes out once its owner knows that it still was the owner after the write. Else: once it is written."""
    acknowledge_after_check: bool = True
    """The same for the member's row and its acknowledgement. Else: once the write was sent."""
    kept_until_acknowledged: bool = True
    """What is to be delivered stays in `o` until it was acknowledged. Else: until it was sent."""
    recipients_at_commit: bool = True
    """An event goes to who was in when it was committed. Else: to who is in when it is sent."""
    member_check_in_plan: bool = True
    """Who sends has to be in when the send is planned. Else: when it was accepted."""

    resumes: bool = True
    """A row to which the first event that is to be delivered is a gap is told how things stand. Else: it waits."""


ALL = MemberRules()


def is_recipient(log: Log, event: Event) -> bool:
    """Whether an event of `log` goes to the watched member: he was in, or this event makes or ends that."""
    before = tuple(earlier for earlier in log if earlier.version < event.version)
    return event.is_of_members or joined(before) > 0


def expected(log: Log, row: MemberRow, declined: frozenset[int]) -> tuple[Copy, ...]:
    """The messages that a row has to show at its chain; `declined`: versions of the joins that rows have declined.

    What is done to a message reaches who is in then and has it.
    """
    shown: dict[int, Copy] = {}
    for event in log:
        before = tuple(earlier for earlier in log if earlier.version < event.version)
        since = joined(before)
        if event.is_of_members or event.version > row.chain or not since or since in declined:
            continue
        if event.kind == "message" and not event.hidden:
            shown[event.version] = Copy(event.version)
        elif event.of in shown:
            copy = shown[event.of]
            if event.kind == "reaction":
                shown[event.of] = copy._replace(reacted=event.version)
            else:
                reacted = 0 if event.kind == "unsend" else copy.reacted
                shown[event.of] = Copy(event.of, event.version, event.kind == "unsend", reacted)
    return tuple(shown.values())
