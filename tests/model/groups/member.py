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


class Part(NamedTuple):
    """What a row has to show, by version. `given`: what it got with a join, of before that, and as it was later."""

    shown: dict[int, Copy]
    given: frozenset[int]


def expected(log: Log, row: MemberRow, declined: frozenset[int]) -> tuple[Copy, ...]:
    """The messages that a row has to show at its chain; `declined`: versions of the joins that rows have declined."""
    return tuple(copy for _, copy in sorted(part_of(log, row, declined).shown.items()))


def part_of(log: Log, row: MemberRow, declined: frozenset[int]) -> Part:
    """As `expected`. What is done to a message reaches who is in then and has it.

    Who joins is given what was written since that is so, but for what he may have of an earlier time.
    """
    all_of_them: dict[int, Copy] = {}
    shown: dict[int, Copy] = {}
    given: set[int] = set()
    opened = left = 0
    for event in log:
        if event.version > row.chain:
            break
        since = joined(tuple(earlier for earlier in log if earlier.version < event.version))
        takes_part = since and since not in declined
        if event.kind in ("open", "close"):
            opened = event.version if event.kind == "open" else 0
        elif event.kind == "leave":
            left = event.version
        elif event.kind == "join":
            if opened and event.version not in declined:
                earlier = {version for version in all_of_them if version > max(opened, left)}
                given |= earlier
                shown |= {version: all_of_them[version] for version in earlier}
        elif event.kind == "message" and not event.hidden:
            all_of_them[event.version] = Copy(event.version)
            if takes_part:
                shown[event.version] = all_of_them[event.version]
        elif event.of in all_of_them:
            all_of_them[event.of] = _changed(all_of_them[event.of], event)
            if takes_part and event.of in shown:
                shown[event.of] = _changed(shown[event.of], event)
    return Part(shown, frozenset(given))


def _changed(copy: Copy, event: Event) -> Copy:
    if event.kind == "reaction":
        return copy._replace(reacted=event.version)
    return Copy(event.of, event.version, event.kind == "unsend", 0 if event.kind == "unsend" else copy.reacted)


def is_as_new(shown: Copy, should: Copy) -> bool:
    """Whether a copy is as it should be, or as it was later."""
    if shown.unsent or should.unsent:
        return shown.unsent and shown.changed >= should.changed
    return shown.changed >= should.changed and shown.reacted >= should.reacted


def goes_back(before: MemberRow, after: MemberRow) -> str | None:
    """What of a message a row shows no more, though it has come further: a later text, or that it was taken back."""
    known = {copy.version: copy for copy in before.messages}
    for copy in after.messages:
        was = known.get(copy.version, copy)
        if copy.changed < was.changed or (was.unsent and copy != was):
            return f"the row shows {copy}, and has shown {was}"
    return None
