"""The rules of a group's row: who may do what, by which join, and what is asked in which order."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from rowbox.mailbox.aggregate.client_ids import ClientIds
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.aggregate.needs import DedupeNeed, Fact, HeldMessages, MessageNeed
from rowbox.mailbox.cells import GROUP, DedupeCell, MessageCell
from rowbox.mailbox.errors import (
    ClientMessageIdReused,
    GroupDeleted,
    GroupFull,
    GroupMoved,
    NotAllowed,
    NotAMember,
    RowboxError,
    TooManyReactions,
    UnknownConversation,
)
from rowbox.mailbox.group import (
    Group,
    GroupPart,
    GroupSettings,
    Standing,
    Told,
    WhoMay,
    group_conversation_id,
    group_name,
    group_send_hash,
)
from rowbox.mailbox.groups.group_row import OLD_AFTER_US, GroupRow
from rowbox.mailbox.groups.message_row import Reacted, Windows
from rowbox.mailbox.groups.requests import (
    Add,
    Deed,
    Delete,
    GroupChange,
    GroupChanged,
    GroupSend,
    GroupSent,
    Leave,
    MessageReaction,
    NewGroup,
    Remove,
    SetRole,
    Standpoint,
    Update,
)
from rowbox.mailbox.ids import payload_hash
from rowbox.mailbox.reactions import MOST_KINDS

GROUP_ID = group_conversation_id("ann", "g")
A_YEAR_MS = 365 * 24 * 3600 * 1000
LIMITS = Limits(A_YEAR_MS, A_YEAR_MS, A_YEAR_MS, window_messages=64, window_bytes=1 << 20)
MOST = 5
_T = TypeVar("_T")


class Row:
    """A group's row, of ann, bob and cid; each request is one mutation."""

    def __init__(self, settings: GroupSettings | None = None) -> None:
        self.mailbox = Mailbox(group_name(GROUP_ID), LIMITS, epoch=1, client_ids=ClientIds())
        self.records: dict[bytes, DedupeCell] = {}
        new = NewGroup(GROUP_ID, "ann", "", ("bob", "cid", "bob", "ann"), settings or GroupSettings(), b"c", MOST, 0)
        self.do(lambda row: row.create(new))

    def do(self, ask: Callable[[GroupRow], _T], now_us: int = 0) -> _T:
        plan = self.mailbox.plan(now_us)
        answer = ask(GroupRow(plan))
        if not plan.changes_nothing:
            self.mailbox.apply(plan)
            self.records |= plan.records
        self.event = plan.outbox[-1].message.group if plan.outbox else None
        return answer

    @property
    def group(self) -> Group:
        group = self.mailbox.state(GROUP)
        assert group is not None
        return group

    @property
    def last(self) -> bytes:
        """The newest message."""
        state = self.mailbox.index.get(GROUP_ID)
        assert state is not None
        return state.last_message_id

    @property
    def part(self) -> GroupPart:
        """The part of the newest event."""
        assert self.event is not None
        return self.event

    def standpoint(self, user_id: str) -> Standpoint:
        """Of a user whose row has all."""
        member = self.group.member(user_id)
        return Standpoint(user_id, member.joined if member is not None else 1, self.mailbox.head, 0)

    def send(self, user_id: str, text: str = "x", *, by: Standpoint | None = None, now_us: int = 0) -> GroupSent:
        by, hashed = by or self.standpoint(user_id), group_send_hash(user_id, "id")
        new = GroupSend(GROUP_ID, by, text, "id", payload_hash(GROUP_ID, text), 0)

        def ask(row: GroupRow) -> GroupSent | DedupeNeed:
            return row.send(new, Fact(DedupeNeed(hashed), self.mailbox.head, self.records.get(hashed)))

        sent = self.do(ask, now_us)
        assert isinstance(sent, GroupSent)
        return sent

    def change(self, user_id: str, deed: Deed, *, by: Standpoint | None = None) -> GroupChanged:
        new = GroupChange(GROUP_ID, by or self.standpoint(user_id), deed, 0)
        return self.do(lambda row: row.change(new))

    def roles(self) -> dict[str, str]:
        return {member.user_id: member.role for member in self.group.members}


def test_a_group_is_made_of_each_once_and_of_no_more_than_there_may_be() -> None:
    assert Row().roles() == {"ann": "owner", "bob": "member", "cid": "member"}
    mailbox = Mailbox(group_name(GROUP_ID), LIMITS, epoch=1, client_ids=ClientIds())
    new = NewGroup(GROUP_ID, "ann", "", ("b", "c", "d", "e", "f"), GroupSettings(), b"c", MOST, 0)
    with pytest.raises(GroupFull):
        GroupRow(mailbox.plan(0)).create(new)


def test_a_send_is_known_before_anything_else_is_asked() -> None:
    row = Row()
    first, before = row.send("bob"), row.standpoint("bob")
    row.change("ann", Remove("bob"))
    again = row.send("bob", by=before, now_us=OLD_AFTER_US)
    assert (again.message_id, again.duplicate) == (first.message_id, True)
    with pytest.raises(ClientMessageIdReused):
        row.send("bob", "something else")


def test_an_old_request_is_refused_as_the_row_may_have_forgotten_it() -> None:
    row = Row()
    with pytest.raises(GroupMoved):
        row.send("bob", now_us=OLD_AFTER_US)
    assert not row.send("bob", now_us=OLD_AFTER_US - 1).duplicate


def test_who_has_come_again_does_not_send_by_the_join_of_before() -> None:
    """His owner asked for it before he was removed: what he wrote then is not for those who are in now."""
    row = Row()
    before = row.standpoint("bob")
    row.change("ann", Remove("bob"))
    row.change("ann", Add(("bob",), MOST))
    with pytest.raises(NotAMember):
        row.send("bob", by=before)
    assert not row.send("bob").duplicate


def test_a_change_that_comes_behind_another_one_is_asked_again() -> None:
    row = Row()
    before = row.standpoint("ann")
    row.change("ann", Remove("bob"))
    with pytest.raises(GroupMoved):
        row.change("ann", Add(("bob",), MOST), by=before)
    row.send("ann")
    assert not row.change("ann", Remove("bob"), by=row.standpoint("ann")).changed


def test_a_join_that_was_declined_removes_by_that_join_alone() -> None:
    row = Row()
    joined = row.group.members[1].joined
    row.change("ann", Remove("bob"))
    assert not row.do(lambda one: one.remove_declined("bob", joined, 0)).changed
    row.change("ann", Add(("bob",), MOST))
    assert not row.do(lambda one: one.remove_declined("bob", joined, 0)).changed
    assert "bob" in row.roles()
    assert row.do(lambda one: one.remove_declined("bob", row.standpoint("bob").joined, 0)).changed
    assert "bob" not in row.roles()
    assert row.part.leaves == {"bob": Standing.LEFT}


def test_strangers_are_told_nothing_and_former_members_that_they_are_out() -> None:
    row = Row()
    row.change("bob", Leave())
    _refused(row, "eve", UnknownConversation)
    _refused(row, "bob", NotAMember)
    row.change("ann", Delete())
    _refused(row, "eve", UnknownConversation)
    for user_id in ("bob", "cid"):
        _refused(row, user_id, GroupDeleted)


def _refused(row: Row, user_id: str, error: type[RowboxError]) -> None:
    """Whatever the user asks for."""
    with pytest.raises(error):
        row.do(lambda one: one.view(user_id))
    with pytest.raises(error):
        row.send(user_id)
    with pytest.raises(error):
        row.change(user_id, Leave())


def test_those_who_come_and_those_who_go_are_told_of_it_and_only_they() -> None:
    row = Row()
    row.send("ann")
    assert " ".join(row.part.recipients) == "ann bob cid"
    row.change("ann", Remove("bob"))
    assert " ".join(row.part.recipients) == "ann bob cid"
    left = row.part.version
    row.send("cid")
    assert " ".join(row.part.recipients) == "ann cid"
    row.change("ann", Add(("bob", "dan", "bob"), MOST))
    assert " ".join(row.part.recipients) == "ann cid bob dan"
    assert {user_id: join.after for user_id, join in row.part.joins.items()} == {"bob": left, "dan": 0}
    assert row.standpoint("dan").joined == row.part.version


def test_each_event_names_the_one_before() -> None:
    row = Row()
    versions = [row.part.version]
    for _ in range(2):
        row.change("ann", Update(f"name {len(versions)}", None))
        assert row.part.prev == versions[-1]
        versions.append(row.part.version)


def test_an_owner_who_gives_the_group_away_is_an_admin() -> None:
    row = Row()
    with pytest.raises(NotAllowed):
        row.change("ann", SetRole("ann", "member"))
    row.change("ann", SetRole("bob", "owner"))
    assert row.roles() == {"ann": "admin", "bob": "owner", "cid": "member"}
    assert row.part.roles == {"ann": "admin", "bob": "owner"}
    assert row.part.told == Told("role", ("bob",), role="owner")
    with pytest.raises(NotAllowed):
        row.change("ann", SetRole("cid", "admin"))


def test_settings_are_for_admins_also_where_everybody_may_rename() -> None:
    row = Row(GroupSettings(who_can_edit_info=WhoMay.ALL))
    row.change("bob", Update("ours", None))
    with pytest.raises(NotAllowed):
        row.change("bob", Update("mine", GroupSettings(who_can_send=WhoMay.ADMINS)))
    assert row.group.name == "ours"


def test_of_who_leaves_and_is_not_the_owner_no_owner_is_told() -> None:
    row = Row()
    row.change("bob", Leave())
    assert row.part.told == Told("left", ("bob",))


def test_where_an_owner_declines_his_join_his_successor_is_told() -> None:
    row = Row()
    row.change("ann", SetRole("bob", "owner"))
    assert row.do(lambda one: one.remove_declined("bob", row.standpoint("bob").joined, 0)).changed
    assert row.part.told == Told("declined", ("bob",), owner="ann")


def test_an_admin_succeeds_the_owner_and_else_who_is_longest_in() -> None:
    row = Row()
    row.change("ann", SetRole("cid", "admin"))
    row.change("ann", Leave())
    assert row.roles() == {"bob": "member", "cid": "owner"}
    assert row.part.roles == {"cid": "owner"}
    assert row.part.told == Told("left", ("ann",), owner="cid")
    row.change("cid", Leave())
    assert row.roles() == {"bob": "owner"}
    row.change("bob", Leave())
    assert row.group.is_deleted
    assert row.part.told == Told("left", ("bob",))
    with pytest.raises(GroupDeleted):
        row.change("ann", Add(("ann",), MOST))


@pytest.mark.parametrize(
    "deed", [Remove("ann"), Remove("cid"), Add(("dan",), MOST), Update("x", None), SetRole("cid", "admin"), Delete()]
)
def test_a_member_does_nothing_that_settings_do_not_let_him(deed: Deed) -> None:
    row = Row()
    before = row.group
    with pytest.raises(NotAllowed):
        row.change("bob", deed)
    assert row.group == before


def test_an_admin_removes_members_alone() -> None:
    row = Row()
    for user_id in ("bob", "cid"):
        row.change("ann", SetRole(user_id, "admin"))
    for user_id in ("ann", "cid"):
        with pytest.raises(NotAllowed):
            row.change("bob", Remove(user_id))
    row.change("bob", Add(("dan",), MOST))
    assert row.change("bob", Remove("dan")).changed


def test_limits_are_asked_for_what_is_new_alone() -> None:
    row = Row(GroupSettings(who_can_send=WhoMay.ADMINS))
    asked: list[tuple[int, int]] = []

    def admit(members: int, text_bytes: int) -> None:
        asked.append((members, text_bytes))

    def ask(user_id: str, text: str) -> Callable[[GroupRow], object]:
        new = GroupSend(GROUP_ID, row.standpoint(user_id), text, text, payload_hash(GROUP_ID, text), 0)
        hashed = group_send_hash(user_id, text)
        fact = Fact(DedupeNeed(hashed), row.mailbox.head, row.records.get(hashed))
        return lambda one: one.send(new, fact, admit)

    row.do(ask("ann", "öne"))
    row.do(ask("ann", "öne"))
    with pytest.raises(NotAllowed):
        row.do(ask("bob", "two"))
    for name in ("ours", "ours"):
        new = GroupChange(GROUP_ID, row.standpoint("ann"), Update(name, None), 0)
        row.do(lambda one, new=new: one.change(new, admit))  # type: ignore[misc]
    assert asked == [(3, 4), (3, 0)]


def _react(row: Row, *asked: tuple[str, str], admit: Callable[[int, int], None] = lambda *_: None) -> Reacted:
    """Members react to one message together; each is a name and an emoji."""
    held = MessageCell(GROUP_ID, row.last, 1, 1, "ann", "hello", None)
    fact = Fact(MessageNeed(GROUP_ID, row.last), row.mailbox.head, HeldMessages((held,)))
    new = [MessageReaction(GROUP_ID, row.standpoint(user), row.last, emoji, 0) for user, emoji in asked]
    reacted = row.do(lambda one: one.messages.react(new, Windows(10**9, 10**9, 10**9), fact, admit))
    assert isinstance(reacted, Reacted)
    return reacted


def test_reactions_that_come_together_count_as_one_event() -> None:
    row, asked = Row(), list[tuple[int, int]]()
    row.send("ann", "hello")
    _react(row, ("ann", "1"), ("bob", "2"), ("cid", "3"), admit=lambda *size: asked.append(size))
    assert asked == [(3, len("hello"))]
    assert [one.user_id for one in row.part.reactions or ()] == ["ann", "bob", "cid"]


def test_of_reactions_that_come_together_each_is_decided_behind_the_one_before() -> None:
    row = Row()
    row.send("ann", "hello")
    first, again, other = _react(row, ("bob", "1"), ("bob", "1"), ("bob", "2")).answers
    assert isinstance(first, GroupChanged)
    assert isinstance(again, GroupChanged)
    assert (first.changed, again.changed) == (True, False)
    assert isinstance(other, GroupMoved), "it may be a late try"


def test_there_are_no_more_kinds_of_reactions_however_many_come_together() -> None:
    row = Row()
    members = tuple(f"user-{number}" for number in range(MOST_KINDS + 5))
    row.do(lambda one: one.change(GroupChange(GROUP_ID, row.standpoint("ann"), Add(members, 100), 0)))
    row.send("ann", "hello")
    answers = _react(row, *((member, str(number)) for number, member in enumerate(members))).answers
    assert [isinstance(answer, TooManyReactions) for answer in answers] == [False] * MOST_KINDS + [True] * 5
    assert len(row.part.reactions or ()) == MOST_KINDS
