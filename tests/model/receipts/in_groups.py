"""A member's reads on their way to the group's row, while he is removed and comes back.

What is searched is what ships: what the group's row makes of receipts, and what of it is shown, is GroupRow's; the
member's row takes events as `take_event` does, and `untold` says what is told. The model adds what may happen:

- the owner of the group's row gathers what it is told in memory, and writes it some time later; it is replaced at any
  moment, with what it has gathered. So is the owner of the member's row, with what it had still to tell
- one that was replaced goes on: it gets receipts, and may still be about to answer
- a receipt comes late, twice, in any order, to either owner; so does an answer
- events reach the member's row late

Late writes, and receipts between two users' rows, have a search of their own (receipts.py); so has the group's log
(tests/model/groups).
"""

from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from typing import NamedTuple

from msgspec.structs import replace

from rowbox.mailbox.aggregate import untold
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import GROUP, MEMBER_MARKS
from rowbox.mailbox.group import GroupSettings, group_conversation_id, group_name, person_key
from rowbox.mailbox.groups.group_row import GroupRow
from rowbox.mailbox.groups.member_row import take_event
from rowbox.mailbox.groups.requests import (
    Add,
    Deed,
    GroupChange,
    GroupSend,
    NewGroup,
    Remove,
    Standpoint,
    ViewReceipts,
)
from rowbox.mailbox.ids import payload_hash
from rowbox.mailbox.message import Message
from rowbox.mailbox.receipts import MemberMarks, Receipt

AUTHOR, MEMBER = "ann", "bob"
GROUP_ID = group_conversation_id(AUTHOR, "g")
KEY = person_key(MEMBER)
NOW_US = 1_800_000_000_000_000
A_YEAR_MS = 365 * 24 * 3600 * 1000
LIMITS = Limits(A_YEAR_MS, A_YEAR_MS, A_YEAR_MS, window_messages=64, window_bytes=1 << 20)
SCRIPT: tuple[Deed | str, ...] = ("first", Remove(MEMBER), "while he is out", Add((MEMBER,), 9), "last")
"""What happens in the group once it is made, with the member in it: what the author writes, or does."""


class Rules(NamedTuple):
    """What owners do; each can be left out. What the rows do is left out by a fault in a function."""

    answered_after_write: bool = True
    """Whoever told something is answered once it is written. Else: once it is gathered."""
    checked_before_answer: bool = True
    """Nobody is answered by an owner that was replaced, also where nothing was to be written."""
    told_on_load: bool = True
    """A load of the member's row has told what it does not know to be told."""
    noted_after_answer: bool = True
    """What was told is noted once the group's row has it. Else: when it is told."""


FULL = Rules()


class GroupSide(NamedTuple):
    """What the group's row holds: how much of the script, and the member's marks."""

    stage: int = 0
    marks: MemberMarks | None = None


class GroupOwner(NamedTuple):
    """An owner of the group's row: what it knows of it, what it has gathered, and the mutation on its way."""

    known: GroupSide
    gathered: frozenset[Receipt] = frozenset()
    writing: GroupSide | None = None
    written_for: frozenset[Receipt] = frozenset()
    """What is answered once the mutation is confirmed."""
    is_executed: bool = False


class MemberSide(NamedTuple):
    """What the member's row holds: how many events, up to where he has read, and what it notes as told."""

    events: int = 1
    mark: bytes = b""
    noted: bytes = b""


class State(NamedTuple):
    group: GroupSide = GroupSide()
    owner: GroupOwner | None = GroupOwner(GroupSide())
    """The one who has the group's row by now; None: the second one, who has not loaded it yet."""
    replaced: GroupOwner | None = None
    """The first one, once it was replaced."""
    has_moved: bool = False
    member: MemberSide = MemberSide()
    marking: tuple[bytes, bool] | None = None
    """The read mark that the member's owner is writing, and whether the store has executed it."""
    has_died: bool = False
    """The member's owner was replaced once, by one that has loaded the row."""
    told: frozenset[Receipt] = frozenset()
    """Receipts on their way: each may come at any time, and again."""
    answers: frozenset[bytes] = frozenset()
    """Marks of which the member's owner was told that the group's row has them."""
    shown: bytes = b""
    """The highest mark that the group's row was confirmed to have."""


class ReceiptsInGroups:
    """The model."""

    def __init__(self, rules: Rules = FULL) -> None:
        self._rules = rules
        # Of one model: a fault in a function that ships is for that model alone.
        self._taken, self._told, self._shown = cache(_taken), cache(_told), cache(_shown)

    def initial(self) -> State:
        return State()

    def successors(self, state: State) -> Iterable[tuple[str, State]]:
        yield from self._of_group(state)
        yield from self._of_member(state)

    def violation(self, state: State) -> str | None:
        marks = state.group.marks
        got = {event.message_id for event in _story().events[: state.member.events]}
        read = marks.read if marks is not None else b""
        listed, shown = self._shown(state.group)
        for message_id in shown:
            if message_id not in got or state.member.mark < message_id:
                return "the group's row says that somebody has read what he has not"
        if read < state.shown:
            return "a mark went back"
        owed = listed - shown
        if any(message_id <= state.member.noted for message_id in owed):
            return "the member's row notes as told what the group's row does not say"
        if state.owner is None or state.owner.writing is not None or state.marking is not None:
            return None
        under_way = [receipt.read for receipt in state.told | state.owner.gathered]
        unread = [message_id for message_id in owed if message_id in got and message_id <= state.member.mark]
        if unread and max(under_way, default=b"") < max(unread):
            return "nobody will tell the group's row"
        return None

    # ------------------------------------------------------------------ the group's row

    def _of_group(self, state: State) -> Iterator[tuple[str, State]]:
        owner, replaced = state.owner, state.replaced
        if owner is None:
            yield "the second owner loads the group's row", state._replace(owner=GroupOwner(state.group))
        else:
            yield from self._of_owner(state, owner, is_owner=True)
            if not state.has_moved:
                moved = state._replace(owner=None, replaced=owner, has_moved=True)
                yield "the group's owner is replaced", moved
        if replaced is not None:
            yield from self._of_owner(state, replaced, is_owner=False)

    def _of_owner(self, state: State, owner: GroupOwner, *, is_owner: bool) -> Iterator[tuple[str, State]]:
        def with_owner(after: GroupOwner) -> State:
            return state._replace(owner=after) if is_owner else state._replace(replaced=after)

        if owner.writing is not None:
            if not owner.is_executed and (is_owner or state.owner is None):  # behind a claim it would count no more
                executed = with_owner(owner._replace(is_executed=True))
                yield "the store executes it", executed._replace(group=owner.writing)
            elif owner.is_executed:
                known = owner._replace(known=owner.writing, writing=None, written_for=frozenset(), is_executed=False)
                yield "the group's owner hears yes", self._answered(with_owner(known), owner.written_for, is_owner)
            return
        if is_owner and owner.known.stage < len(SCRIPT):
            after = owner.known._replace(stage=owner.known.stage + 1)
            yield "something happens in the group", with_owner(owner._replace(writing=after))
        for receipt in state.told - owner.gathered:
            gathered = with_owner(owner._replace(gathered=owner.gathered | {receipt}))
            if not self._rules.answered_after_write:
                gathered = self._answered(gathered, frozenset([receipt]), is_owner)
            yield "a receipt is gathered", gathered
        if owner.gathered:
            yield "what is gathered is written", self._written(state, owner, is_owner=is_owner)

    def _written(self, state: State, owner: GroupOwner, *, is_owner: bool) -> State:
        marks = self._taken(owner.known, owner.gathered)
        after = owner._replace(gathered=frozenset())
        if marks == owner.known.marks:
            state = state._replace(owner=after) if is_owner else state._replace(replaced=after)
            return self._answered(state, owner.gathered, is_owner)
        after = after._replace(writing=owner.known._replace(marks=marks), written_for=owner.gathered)
        return state._replace(owner=after) if is_owner else state._replace(replaced=after)

    def _answered(self, state: State, receipts: frozenset[Receipt], is_owner: bool) -> State:
        if not is_owner and self._rules.checked_before_answer:
            return state
        marks = state.group.marks.read if state.group.marks is not None else b""
        confirmed = {receipt.read for receipt in receipts}
        shown = max([state.shown, *(read for read in confirmed if read <= marks)])
        return state._replace(answers=state.answers | confirmed, shown=shown)

    # ------------------------------------------------------------------ the member's row

    def _of_member(self, state: State) -> Iterator[tuple[str, State]]:
        member = state.member
        to_come = _story().events[member.events :]
        if to_come and state.owner is not None and _story().stages[member.events] <= state.owner.known.stage:
            yield "an event comes to the member", state._replace(member=member._replace(events=member.events + 1))
        if not state.has_died:
            gone = state._replace(has_died=True, told=frozenset(), marking=None, answers=frozenset())
            yield "the member's owner dies, and another one loads the row", self._loaded(gone)
            if state.marking is not None and not state.marking[1]:
                late = gone._replace(member=member._replace(mark=state.marking[0]))
                yield "so it does, and the store has executed its mutation", self._loaded(late)
        if state.marking is not None:
            mark, is_executed = state.marking
            if not is_executed:
                done = state._replace(marking=(mark, True), member=member._replace(mark=mark))
                yield "the store executes the mark", done
            else:
                told = self._told(member)
                yield "the member's owner hears yes", self._tells(state._replace(marking=None), told)
            return
        newest = _story().events[member.events - 1].message_id
        if newest > member.mark and newest in _story().messages:
            yield "the member reads on", state._replace(marking=(newest, False))
        for read in state.answers:
            if read > member.noted:
                noted = state._replace(member=member._replace(noted=read))
                yield "the member's owner notes what was told", noted

    def _loaded(self, state: State) -> State:
        return self._tells(state, self._told(state.member)) if self._rules.told_on_load else state

    def _tells(self, state: State, told: Receipt | None) -> State:
        if told is None:
            return state
        state = state._replace(told=state.told | {told})
        return state if self._rules.noted_after_answer else state._replace(answers=state.answers | {told.read})


# ---------------------------------------------------------------------- rows as what ships


class _Story(NamedTuple):
    """The script, as the group's row makes it."""

    rows: tuple[Mailbox, ...]
    """By stage."""
    events: tuple[Message, ...]
    """Those that go to the member, the one first that makes the group."""
    stages: tuple[int, ...]
    """By which stage each of these is there."""
    messages: frozenset[bytes]
    """What the author wrote."""


@lru_cache(maxsize=1)
def _story() -> _Story:
    made = [_group_after(stage) for stage in range(len(SCRIPT) + 1)]
    to_member = [stage for stage, (_, event) in enumerate(made) if event.group and MEMBER in event.group.recipients]
    return _Story(
        tuple(row for row, _ in made),
        tuple(made[stage][1] for stage in to_member),
        tuple(to_member),
        frozenset(event.message_id for _, event in made if event.content),
    )


def _group_after(stage: int) -> tuple[Mailbox, Message]:
    """The group's row after so much of the script, and the newest event in it."""
    row = Mailbox(group_name(GROUP_ID), LIMITS, epoch=1)
    plan = row.plan(NOW_US)
    GroupRow(plan).create(NewGroup(GROUP_ID, AUTHOR, "", (MEMBER,), GroupSettings(), b"", 9, 0))
    event = plan.outbox[0].message
    row.apply(plan)
    for deed in SCRIPT[:stage]:
        group = row.state(GROUP)
        assert group is not None
        plan, by = row.plan(NOW_US), Standpoint(AUTHOR, group.members[0].joined, row.head, NOW_US)
        if isinstance(deed, str):
            GroupRow(plan).send(GroupSend(GROUP_ID, by, deed, deed, payload_hash(GROUP_ID, deed), 0))
        else:
            GroupRow(plan).change(GroupChange(GROUP_ID, by, deed, 0))
        event = plan.outbox[0].message
        row.apply(plan)
    return row, event


def _of_group(side: GroupSide) -> Plan:
    """A mutation of the group's row to come, which has what `side` says."""
    plan = _story().rows[side.stage].plan(NOW_US)
    if side.marks is not None:
        plan.put(MEMBER_MARKS, side.marks, KEY)
    return plan


def _taken(known: GroupSide, receipts: frozenset[Receipt]) -> MemberMarks | None:
    """The member's marks once the row has taken receipts in."""
    plan = _of_group(known)
    GroupRow(plan).take_receipts(sorted(receipts, key=lambda one: one.read, reverse=True))
    marks = plan.state(MEMBER_MARKS, KEY)
    return replace(marks, version=0, epoch=0) if marks is not None else None


def _shown(side: GroupSide) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Of which messages the author is told what the member has, and which of them he has read."""
    asked = tuple(sorted(_story().messages))
    shown = GroupRow(_of_group(side)).receipts(ViewReceipts(GROUP_ID, AUTHOR, asked)).of_messages
    listed = {message_id: members[0].is_read for message_id, members in zip(asked, shown, strict=True) if members}
    return frozenset(listed), frozenset(message_id for message_id, is_read in listed.items() if is_read)


def _told(side: MemberSide) -> Receipt | None:
    """What the member's row has to tell."""
    row = Mailbox(MEMBER, LIMITS, epoch=1)
    for event in _story().events[: side.events]:
        plan = row.plan(NOW_US)
        take_event(plan, event)
        row.apply(plan)
    plan = row.plan(NOW_US)
    if side.mark:
        plan.mark_read(GROUP_ID, side.mark)
    plan.note_told({GROUP_ID: side.noted} if side.noted else {})
    row.apply(plan)
    found = untold.read_receipt(row, GROUP_ID)
    return replace(found[1], read_us=0) if found is not None else None
