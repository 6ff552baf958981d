"""What those who join a group are given: since when it may be, of what, and what their rows make of it."""

import pytest
from msgspec.structs import replace

from rowbox.mailbox.aggregate.needs import Fact, HeldMessages, NewestNeed
from rowbox.mailbox.cells import MessageCell
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.group import Copied, Group, GroupPart, GroupSettings, History, Info, Join, Member, Told
from rowbox.mailbox.groups.joining import (
    earlier_need,
    given_since,
    gives_earlier,
    history_since,
    is_given_earlier,
    with_earlier,
)
from rowbox.mailbox.groups.member_row import take_event
from rowbox.mailbox.ids import message_id
from rowbox.mailbox.message import Message
from tests.unit.mailbox.groups.test_group_row import Row
from tests.unit.mailbox.groups.test_member_row import GROUP_ID, LATER_US, Bob

RECENT, NONE = GroupSettings(history=History.RECENT), GroupSettings()
GROUP = Group(40, 1, "", RECENT, (Member("ann", "owner", 1),), b"")
HELD = [MessageCell(GROUP_ID, message_id(at, 0), 1, at, "ann", f"text {at}", "c") for at in (50, 40, 30, 20, 10)]


@pytest.mark.parametrize(
    ("before", "settings", "since"),
    [(0, RECENT, 60), (20, RECENT, 20), (20, NONE, 0), (0, NONE, 0)],
    ids=["it is switched on", "it stays", "it is switched off", "it never was on"],
)
def test_since_when_it_is_so(before: int, settings: GroupSettings, since: int) -> None:
    assert history_since(replace(GROUP, history_since=before), settings, 60) == since


@pytest.mark.parametrize(
    ("history", "after", "prev", "since"),
    [(20, 0, 50, 20), (20, 35, 50, 36), (0, 0, 50, 0), (0, 35, 50, 0), (20, 50, 50, 0), (50, 0, 50, 50)],
    ids=[
        "from then on",
        "what he has not had",
        "nothing",
        "nothing again",
        "nobody wrote meanwhile",
        "the newest alone",
    ],
)
def test_since_when_somebody_is_given_what_was_written(history: int, after: int, prev: int, since: int) -> None:
    assert given_since(replace(GROUP, history_since=history), after, prev) == since


def join(*copies: Copied, **since: int) -> Message:
    """Somebody joins with version 60. `since`: who is given what."""
    joins = {user: Join("member", 0, given) for user, given in since.items()}
    part = GroupPart(60, 50, tuple(joins), told=Told("added", tuple(joins)), info=Info("", 2, ()), joins=joins)
    message = Message(message_id(60, 1), GROUP_ID, "ann", (), "", group=part)
    return replace(message, group=replace(part, earlier=copies)) if copies else message


def test_one_read_is_for_all_who_join() -> None:
    event = join(bob=40, cid=30, dan=0)
    assert gives_earlier(event)
    assert [is_given_earlier(event, user) for user in ("bob", "cid", "dan", "eve")] == [True, True, False, False]
    assert not gives_earlier(join(dan=0))
    assert not gives_earlier(replace(event, group=None))
    need = earlier_need(event)
    assert isinstance(need, NewestNeed)
    assert all(cell.message_id < need.below for cell in HELD)
    part = with_earlier(event, HELD).group
    assert part is not None
    assert [copy.version for copy in part.earlier] == [30, 40, 50]


def test_what_was_read_before_the_row_had_another_head_is_read_again() -> None:
    row, event = Row(RECENT), join(bob=1)
    need = earlier_need(event)
    facts = [Fact(need, row.mailbox.head + off, HeldMessages(())) for off in (-1, 0)]
    assert row.do(lambda group: group.with_earlier(event, None)) == need
    assert row.do(lambda group: group.with_earlier(event, facts[0])) == need
    assert isinstance(row.do(lambda group: group.with_earlier(event, facts[1])), Message)


def copy(version: int, sender_id: str = "ann") -> Copied:
    return Copied(message_id(version, 0), version, sender_id, f"text {version}", "c", 0, False, None, ())


def state_of(bob: Bob) -> Conversation:
    state = bob.mailbox.index.get(GROUP_ID)
    assert state is not None
    return state


def takes(bob: Bob, event: Message, now_us: int = 0) -> list[bytes]:
    """The messages that it adds to Bob's row, in the order of their versions there."""
    plan = bob.mailbox.plan(0, now_us)
    assert take_event(plan, event)
    added = sorted((cell for cell in plan.cells() if isinstance(cell, MessageCell)), key=lambda cell: cell.version)
    assert not plan.read, "nobody is told that he has read what he has just got"
    bob.mailbox.apply(plan)
    return [cell.message_id for cell in added]


def test_each_takes_what_is_his_in_front_of_the_join_and_read() -> None:
    bob = Bob()
    event = join(copy(30), copy(40), copy(50, "bob"), bob=40, cid=30)
    assert takes(bob, event) == [message_id(40, 0), message_id(50, 0), event.message_id]
    state = state_of(bob)
    assert (state.unread_count, state.read_mark, state.last_message_id) == (0, message_id(50, 0), event.message_id)
    assert take_event(bob.mailbox.plan(0, 0), event) == 0, "once"


def test_who_is_given_nothing_takes_the_join_alone() -> None:
    bob = Bob()
    event = join(copy(30), copy(40), bob=0, cid=30)
    assert takes(bob, event) == [event.message_id]


def test_what_retention_has_taken_is_not_given() -> None:
    bob = Bob()
    assert takes(bob, join(copy(30), copy(40), bob=30), LATER_US) == []


def test_who_has_unread_messages_and_is_in_again_has_read_them() -> None:
    """A mark is one place: what is given stands behind them."""
    bob = Bob()
    bob.joins(5)
    bob.text(6)
    assert state_of(bob).unread_count == 1
    bob.leaves(7)
    event = join(copy(40, "bob"), bob=40)
    part = event.group
    assert part is not None
    again = replace(event, group=replace(part, joins={"bob": Join("member", 7, 40)}))
    assert takes(bob, again) == [message_id(40, 0), event.message_id]
    assert state_of(bob).unread_count == 0
