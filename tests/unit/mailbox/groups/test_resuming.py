"""What a group's row says to a member's row that was put back: how the user stood, and which messages are his."""

import msgspec
import pytest

from rowbox.mailbox.cells import MEMBERSHIP, TTL, MessageCell
from rowbox.mailbox.group import Copied, Former, Group, GroupPart, GroupSettings, Info, Member, Resumed, Standing
from rowbox.mailbox.groups.member_row import take_event
from rowbox.mailbox.groups.resuming import newest_need, resumption
from rowbox.mailbox.ids import message_id
from rowbox.mailbox.message import Message
from tests.unit.mailbox.groups.test_member_row import GROUP_ID, LATER_US, Bob

IN, LEFT = Standing.IN, Standing.LEFT
GROUP = Group(40, 1, "the five", GroupSettings(), (Member("ann", "owner", 1),), b"")
INFO = Info("the five", 5, ("ann",))
HELD = [MessageCell(GROUP_ID, message_id(at, 0), 1, at, "ann", f"text {at}", "c") for at in (50, 40, 30, 20, 10)]
STAYS_SINCE_30 = Member("bob", "admin", 30), Former(22, 1, "bob", 22, 12, LEFT)
OUT_SINCE_40 = None, Former(40, 1, "bob", 40, 20, LEFT)


@pytest.mark.parametrize(
    ("stays", "prev", "standing", "joined", "copies"),
    [
        ((Member("bob", "admin", 20), None), 50, IN, 20, [20, 30, 40, 50]),
        (STAYS_SINCE_30, 50, IN, 30, [30, 40, 50]),
        (STAYS_SINCE_30, 25, LEFT, 0, [20]),  # between: that he comes back is still to be delivered
        (STAYS_SINCE_30, 20, IN, 12, [20]),  # that he left, too
        (STAYS_SINCE_30, 11, LEFT, 0, []),  # of earlier stays nothing is known
        (OUT_SINCE_40, 50, LEFT, 0, [20, 30, 40]),
        (OUT_SINCE_40, 35, IN, 20, [20, 30]),
        ((None, Former(40, 1, "bob", 40)), 50, Standing.REMOVED, 0, []),  # of a time when the join was not kept
        ((Member("bob", "admin", 30, 15), None), 50, IN, 30, [20, 30, 40, 50]),  # with what he was given
        ((None, Former(40, 1, "bob", 40, 30, LEFT, 20)), 35, IN, 30, [20, 30]),
    ],
)
def test_how_things_stood(
    stays: tuple[Member | None, Former | None], prev: int, standing: Standing, joined: int, copies: list[int]
) -> None:
    held = [cell for cell in HELD if cell.message_id < newest_need(GROUP_ID, prev).below]
    message = resumption(GROUP_ID, GROUP, prev, stays, INFO, held)
    part = message.group
    assert part is not None
    assert (part.version, part.info) == (prev, INFO)
    resumed = part.resumed
    assert resumed is not None
    assert (resumed.standing, resumed.joined, [copy.version for copy in resumed.copies]) == (standing, joined, copies)


def copy(version: int, sender_id: str = "ann") -> Copied:
    return Copied(message_id(version, 0), version, sender_id, "hello", f"c{version}", 0, False, None, ())


def told(version: int, standing: Standing, *copies: Copied) -> GroupPart:
    joined = 5 if standing is IN else 0
    return GroupPart(version, 0, (), info=INFO, resumed=Resumed(standing, joined, "member", 4, copies))


def test_who_knows_why_he_is_out_keeps_that_and_his_conversation_goes_on() -> None:
    bob = Bob()
    bob.joins(5)
    bob.leaves(6, LEFT)
    before = bob.mailbox.index.get(GROUP_ID)
    assert bob.take(told(9, Standing.REMOVED))
    assert bob.standing is LEFT
    after = bob.mailbox.index.get(GROUP_ID)
    assert before is not None
    assert after is not None
    assert after.group is not None
    assert (after.group.chain, after.version > before.version) == (9, True), "his clients are told"


def test_what_retention_has_taken_is_not_brought_back() -> None:
    bob = Bob()
    bob.joins(5)
    assert bob.take(told(9, IN, copy(8)), now_us=LATER_US)
    state, known = bob.mailbox.index.get(GROUP_ID), bob.mailbox.state(MEMBERSHIP, GROUP_ID)
    assert state is not None
    assert known is not None
    assert (state.unread_count, known.chain) == (0, 9)


def test_for_how_long_messages_last_comes_along() -> None:
    bob = Bob()
    bob.joins(5)
    part = told(9, IN)
    assert bob.take(msgspec.structs.replace(part, info=msgspec.structs.replace(INFO, ttl_ms=3_600_000)))
    known = bob.mailbox.state(TTL, GROUP_ID)
    assert known is not None
    assert known.ttl_ms == 3_600_000


def test_an_own_message_that_comes_back_is_told_as_read_up_to_there() -> None:
    bob = Bob()
    bob.joins(5)
    bob.text(6)
    plan = bob.mailbox.plan(0, 0)
    part = told(9, IN, copy(8, "bob"))
    message = Message(message_id(9, 0), GROUP_ID, "", (), "", group=part)
    assert take_event(plan, message)
    assert set(plan.read) == {GROUP_ID}
