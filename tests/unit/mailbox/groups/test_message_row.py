"""What a group's row says to a change of a message that was asked for before another one, or comes late."""

import pytest

from rowbox.mailbox.cells import MessageCell
from rowbox.mailbox.errors import GroupMoved, MessageUnsent, TooLateToChange
from rowbox.mailbox.group import Group, GroupSettings, Member
from rowbox.mailbox.groups.done_already import done_before, has_text
from rowbox.mailbox.groups.message_row import Windows, is_change_due, is_member_reaction_due
from rowbox.mailbox.groups.requests import MessageChange, MessageReaction, Standpoint
from rowbox.mailbox.ids import message_id
from rowbox.mailbox.message import Change
from rowbox.mailbox.reactions import Reaction

CAME = 1_800_000_000_000_000
ID, GROUP_ID = message_id(CAME, 0), bytes(16)
DAY_US = 24 * 3_600 * 1_000_000
WINDOWS = Windows(DAY_US, DAY_US, DAY_US)
ANN, BOB = Member("ann", "owner", 1), Member("bob", "member", 1)
GROUP = Group(1, 1, "", GroupSettings(), (ANN, BOB), b"")
UP = "\U0001f44d"


def held(change: Change | None = None, *reactions: Reaction) -> MessageCell:
    content = "" if change is not None and change.is_unsent else "hello"
    return MessageCell(GROUP_ID, ID, 1, CAME + 10, "bob", content, "1", change, CAME, reactions)


def edit(text: str | None, chain: int) -> MessageChange:
    return MessageChange(GROUP_ID, Standpoint("bob", 1, chain, CAME), ID, text, 0)


def react(emoji: str, chain: int) -> MessageReaction:
    return MessageReaction(GROUP_ID, Standpoint("bob", 1, chain, CAME), ID, emoji, 0)


def is_due(new: MessageChange, cell: MessageCell, member: Member = BOB) -> bool:
    return is_change_due(new, cell, GROUP, member, WINDOWS, CAME + 20)


def test_an_edit_that_was_asked_for_before_another_one_is_refused() -> None:
    changed = held(Change(CAME + 5))
    with pytest.raises(GroupMoved):
        is_due(edit("hallo", CAME + 4), changed)
    assert is_due(edit("hallo", CAME + 5), changed)
    assert not is_due(edit("hello", CAME), changed), "it is so already, whenever it was asked for"
    with pytest.raises(MessageUnsent):
        is_due(edit("hallo", CAME), held(Change(CAME + 5, is_unsent=True)))


def test_reactions_do_not_keep_an_edit_from_being_made() -> None:
    assert is_due(edit("hallo", CAME), held(None, Reaction("ann", UP, CAME + 10)))


def test_a_reaction_that_was_taken_back_does_not_come_back_by_a_late_try() -> None:
    taken_back = held(None, Reaction("bob", "", CAME + 8))
    with pytest.raises(GroupMoved):
        is_member_reaction_due(react(UP, CAME + 7), taken_back, BOB, WINDOWS, CAME + 20)
    assert is_member_reaction_due(react(UP, CAME + 8), taken_back, BOB, WINDOWS, CAME + 20)
    others = held(None, Reaction("ann", UP, CAME + 8))
    assert is_member_reaction_due(react(UP, CAME), others, BOB, WINDOWS, CAME + 20), "another's changes nothing in it"


def test_what_an_owner_takes_back_has_no_time() -> None:
    long_after = CAME + 400 * DAY_US
    new = edit(None, CAME)
    assert is_change_due(new, held(), GROUP, ANN, WINDOWS, long_after)
    assert not is_change_due(new, held(Change(CAME + 5, is_unsent=True)), GROUP, ANN, WINDOWS, long_after)


def test_an_author_takes_back_and_edits_each_for_as_long_as_that_may_be_done() -> None:
    windows = Windows(edit_us=DAY_US, unsend_us=2 * DAY_US, reaction_us=0)
    for new, last_us in ((edit("hallo", CAME), DAY_US), (edit(None, CAME), 2 * DAY_US)):
        assert is_change_due(new, held(), GROUP, BOB, windows, CAME + last_us - 1)
        with pytest.raises(TooLateToChange):
            is_change_due(new, held(), GROUP, BOB, windows, CAME + last_us)


def test_what_was_done_after_somebody_had_left_was_not_done_by_him() -> None:
    edited, taken_back = held(Change(CAME + 5)), held(Change(CAME + 6, is_unsent=True))
    assert done_before(CAME + 6, edit("hello", CAME), edited) == CAME + 5
    assert done_before(CAME + 6, edit("hallo", CAME), edited) is None
    assert done_before(CAME + 7, edit(None, CAME), taken_back) == CAME + 6
    assert done_before(CAME + 6, edit(None, CAME), taken_back) is None
    reacted = held(None, Reaction("ann", UP, CAME + 5), Reaction("bob", UP, CAME + 8))
    assert done_before(CAME + 9, react(UP, CAME), reacted) == CAME + 8
    assert done_before(CAME + 8, react(UP, CAME), reacted) is None
    assert done_before(CAME + 9, react("", CAME), reacted) is None
    assert done_before(CAME + 9, react("", CAME), held(None, Reaction("bob", "", CAME + 8))) == CAME + 8
    assert done_before(CAME + 9, react("", CAME), held()) == 0


def test_nobody_elses_text_is_what_he_wanted() -> None:
    assert has_text("hello", held(), "bob")
    assert not has_text("hello", held(), "ann")
    assert not has_text("", held(Change(CAME + 5, is_unsent=True)), "bob")
