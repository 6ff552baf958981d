"""What one member's row makes of a group's events: the rules that are searched.

`G` is the group's row. Its committed events, in the order of their versions, are the group's log. An event names the
version of the event before it (`prev`); a join names the version of the same user's last leaving as well (`after`).
A member's row keeps a `chain`: the version of the newest event that it has taken. The chain and what the event brings
are one mutation, so that a row holds a contiguous part of the log, whatever comes late, twice or in another order.
"""

from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["join", "leave", "message"]
Membership: TypeAlias = Literal["out", "in", "declined"]


class Event(NamedTuple):
    """One change of a group. `epoch`: of the owner of G that planned it; two events of one version differ in it."""

    version: int
    kind: Kind
    prev: int
    after: int = 0
    """For a join: the version at which this user left last; 0: he never was in."""
    by_member: bool = False
    """A message that the watched member sent himself."""
    hidden: bool = False
    """The watched member's row shows nothing of it: its sender is blocked, or it has expired."""
    declines: int = 0
    """A leaving that the member's row asked for: the version of the join that it declined."""
    epoch: int = 1

    def __str__(self) -> str:
        return f"{self.kind} {self.version}"


Log: TypeAlias = tuple[Event, ...]


class MemberRules(NamedTuple):
    """The rules of a group, one field for each. ``MemberRules(chain=False)`` is the protocol without that rule."""

    known_is_skipped: bool = True
    """An event that is not above the chain is a duplicate. Else: a join is taken again, whenever it comes."""
    chain: bool = True
    """An event is taken if it follows what the row has. Else: if it is newer."""
    join_follows_leaving: bool = True
    """A join is taken once the row has the leaving before it. Else: by whoever is not in."""
    hidden_advances: bool = True
    """What is not shown moves the chain as well. Else: it is acknowledged, and that is all."""
    declined_again: bool = True
    """A join that was declined is declined again when it comes again. Else: it is a duplicate."""
    declined_advances: bool = True
    """After it has declined, a row acknowledges what follows, unseen. Else: that is a gap, as it is to who is out."""
    member_check_in_plan: bool = True
    """Who sends has to be in when the send is planned. Else: when it was accepted."""
    declined_is_this_join: bool = True
    """G removes who has declined if he is in by that very join. Else: whoever is in."""
    deliver_after_check: bool = True
    """An event goes out once its owner knows that it still was the owner after the write. Else: once it is written."""
    acknowledge_after_check: bool = True
    """The same for the member's row and its acknowledgement. Else: once the write was sent."""
    kept_until_acknowledged: bool = True
    """What is to be delivered stays in `o` until it was acknowledged. Else: until it was sent."""
    recipients_at_commit: bool = True
    """An event goes to who was in when it was committed. Else: to who is in when it is sent."""


ALL = MemberRules()


class MemberRow(NamedTuple):
    """What the member's row holds of the group; `messages`: the versions of the messages that it shows."""

    chain: int = 0
    membership: Membership = "out"
    messages: tuple[int, ...] = ()


Answer: TypeAlias = Literal["taken", "known", "gap", "declined"]


def take(row: MemberRow, event: Event, rules: MemberRules = ALL, *, declines: bool = False) -> tuple[MemberRow, Answer]:
    """The row after an event, and what it answers; the row is as it was unless the answer is `taken` or `declined`.

    `declines`: a join is not wanted (the user has too many groups, or no account any more).
    """
    if event.version <= row.chain and (rules.known_is_skipped or event.kind != "join"):
        again = rules.declined_again and row.membership == "declined" and row.chain == event.version
        return row, "declined" if again else "known"
    if _is_gap(row, event, rules):
        return row, "gap"
    taken = row._replace(chain=event.version)
    if event.kind == "join":
        return taken._replace(membership="declined" if declines else "in"), "declined" if declines else "taken"
    if event.kind == "leave":
        return taken._replace(membership="out"), "taken"
    if event.hidden and not rules.hidden_advances:
        return row, "known"
    if event.hidden or row.membership == "declined":
        return taken, "taken"
    return taken._replace(messages=(*row.messages, event.version)), "taken"


def _is_gap(row: MemberRow, event: Event, rules: MemberRules) -> bool:
    """Whether the row lacks something that stands before the event in the log."""
    if event.kind == "join":
        return row.chain < event.after if rules.join_follows_leaving else row.membership == "in"
    if row.membership == "declined" and not rules.declined_advances:
        return True
    return rules.chain and event.prev != row.chain


def joined(log: Log) -> int:
    """The version of the join by which the watched member is in, after `log`; 0: he is not."""
    changes = [event for event in log if event.kind != "message"]
    return changes[-1].version if changes and changes[-1].kind == "join" else 0


def left(log: Log) -> int:
    """The version at which the watched member left last, after `log`; 0: he never did."""
    return max((event.version for event in log if event.kind == "leave"), default=0)


def is_recipient(log: Log, event: Event) -> bool:
    """Whether an event of `log` goes to the watched member: he was in, or this event makes or ends that."""
    before = tuple(earlier for earlier in log if earlier.version < event.version)
    return event.kind != "message" or joined(before) > 0


def expected(log: Log, row: MemberRow, declined: frozenset[int]) -> tuple[int, ...]:
    """The messages that a row has to show at its chain; `declined`: versions of the joins that rows have declined."""
    shown: list[int] = []
    for event in log:
        before = tuple(earlier for earlier in log if earlier.version < event.version)
        since = joined(before)
        if event.kind == "message" and event.version <= row.chain and since and since not in declined:
            shown += [] if event.hidden else [event.version]
    return tuple(shown)
