"""The rules of a member's row: what it takes of a group's events, and what it says of its user."""

import pytest

from rowbox.mailbox.aggregate.client_ids import ClientIds
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.aggregate.needs import DedupeNeed, Fact, HeldMessages, MessageNeed
from rowbox.mailbox.aggregate.plan import NewSend, Plan
from rowbox.mailbox.cells import MEMBERSHIP, DedupeCell, MessageCell
from rowbox.mailbox.errors import EventGap, JoinDeclined, NotAMember, UnknownConversation
from rowbox.mailbox.group import GroupPart, Info, Join, Standing, Told, group_conversation_id
from rowbox.mailbox.groups.chain import Place, Verdict, verdict
from rowbox.mailbox.groups.member_row import MOST_GROUPS, standpoint, take_event
from rowbox.mailbox.ids import client_id_hash, counted, direct_conversation_id, message_id, payload_hash, quiet
from rowbox.mailbox.message import Message
from rowbox.mailbox.reactions import Reaction, tallies_of

GROUP_ID = group_conversation_id("ann", "g")
A_DAY_MS = 24 * 3600 * 1000
LIMITS = Limits(A_DAY_MS, A_DAY_MS, A_DAY_MS, window_messages=64, window_bytes=1 << 20)
LATER_US = 2 * A_DAY_MS * 1000
INFO = Info("", 2, ("ann", "bob"))


@pytest.mark.parametrize(
    ("place", "version", "prev", "after", "expected"),
    [
        (Place(0, has_declined=False), 5, 4, 0, Verdict.NEXT),  # the first join
        (Place(3, has_declined=False), 5, 4, 3, Verdict.NEXT),  # he left with 3, and what came meanwhile is not his
        (Place(2, has_declined=False), 5, 4, 3, Verdict.GAP),  # that he left with 3 is not known here
        (Place(5, has_declined=False), 5, 4, 3, Verdict.KNOWN),
        (Place(5, has_declined=True), 5, 4, 3, Verdict.DECLINED),
        (Place(6, has_declined=True), 5, 4, 3, Verdict.KNOWN),  # the group's row has answered the decline already
        (Place(4, has_declined=False), 5, 4, None, Verdict.NEXT),
        (Place(3, has_declined=False), 5, 4, None, Verdict.GAP),
        (Place(5, has_declined=False), 5, 4, None, Verdict.KNOWN),
        (Place(0, has_declined=False), 5, 4, None, Verdict.GAP),  # he never came in
    ],
)
def test_what_a_row_does_with_an_event(
    place: Place, version: int, prev: int, after: int | None, expected: Verdict
) -> None:
    joins = {} if after is None else {"bob": Join("member", after)}
    assert verdict(place, GroupPart(version, prev, ("bob",), joins=joins), "bob") is expected


class Bob:
    """Bob's row, which takes events; each is one mutation."""

    def __init__(self) -> None:
        self.mailbox = Mailbox("bob", LIMITS, epoch=1, client_ids=ClientIds())

    def take(
        self,
        part: GroupPart,
        sender_id: str = "ann",
        *,
        now_us: int = 0,
        most: int = MOST_GROUPS,
        fact: Fact | None = None,
    ) -> object:
        plan = self.mailbox.plan(now_us, now_us)
        text, entropy = ("", quiet(0)) if part.told else ("hello", counted(0))
        event = Message(message_id(part.version, entropy), GROUP_ID, sender_id, (), text, group=part)
        outcome = take_event(plan, event, fact, most_groups=most)
        self.apply(plan)
        return outcome

    def apply(self, plan: Plan) -> None:
        self.records = dict(plan.records)
        if not plan.changes_nothing:
            self.mailbox.apply(plan)

    def joins(self, version: int, after: int = 0, *, most: int = MOST_GROUPS) -> object:
        joins = {"bob": Join("member", after)}
        return self.take(
            GroupPart(version, version - 1, ("ann", "bob"), told=Told("added"), info=INFO, joins=joins), most=most
        )

    def leaves(self, version: int, standing: Standing = Standing.REMOVED) -> object:
        told, leaves = Told("removed"), {"bob": standing}
        return self.take(GroupPart(version, version - 1, ("ann", "bob"), told=told, info=INFO, leaves=leaves))

    def text(self, version: int, *, now_us: int = 0) -> object:
        return self.take(GroupPart(version, version - 1, ("ann", "bob")), now_us=now_us)

    @property
    def standing(self) -> Standing | None:
        known = self.mailbox.state(MEMBERSHIP, GROUP_ID)
        return known.standing if known is not None else None


def test_events_are_taken_once_and_along_the_chain() -> None:
    bob = Bob()
    assert bob.joins(5)
    assert bob.text(6)
    assert bob.text(6) == 0
    with pytest.raises(EventGap):
        bob.text(8)
    assert bob.leaves(7)
    with pytest.raises(EventGap):
        bob.text(9)
    assert bob.joins(10, after=7)
    assert bob.text(11)


def test_reactions_that_a_row_shows_already_are_told_to_nobody() -> None:
    bob, of = Bob(), message_id(6, counted(0))
    bob.joins(5)
    bob.text(6)
    shows = tallies_of((Reaction("ann", "1", 7),), "bob")
    for version, emoji, is_told in ((7, "1", False), (8, "2", True)):
        reactions = (Reaction("ann", emoji, version),)
        part = GroupPart(version, version - 1, ("ann", "bob"), reactions=reactions)
        held = MessageCell(GROUP_ID, of, 6, 1, "ann", "hello", None, tallies=shows)
        fact = Fact(MessageNeed(GROUP_ID, of), bob.mailbox.head, HeldMessages((held,)))
        plan = bob.mailbox.plan(0)
        assert take_event(plan, Message(of, GROUP_ID, "ann", (), "", group=part), fact)
        assert bool(plan.log) is is_told
        bob.apply(plan)
    assert standpoint(bob.mailbox, GROUP_ID, 0).chain == 8


def test_who_asks_is_who_he_is_by_his_own_row() -> None:
    bob = Bob()
    with pytest.raises(UnknownConversation):
        standpoint(bob.mailbox, GROUP_ID, 0)
    bob.joins(5)
    bob.text(6)
    asks = standpoint(bob.mailbox, GROUP_ID, 7)
    assert (asks.user_id, asks.joined, asks.chain, asks.accepted_us) == ("bob", 5, 6, 7)
    bob.leaves(7)
    with pytest.raises(NotAMember):
        standpoint(bob.mailbox, GROUP_ID, 0)


def test_a_join_that_is_declined_shows_nothing_and_is_declined_again_until_the_group_knows() -> None:
    bob = Bob()
    assert isinstance(bob.joins(5, most=0), JoinDeclined)
    assert (bob.standing, len(bob.mailbox.index)) == (Standing.DECLINED, 0)
    with pytest.raises(UnknownConversation):
        standpoint(bob.mailbox, GROUP_ID, 0)
    assert isinstance(bob.joins(5), JoinDeclined), "there would be room now"
    assert bob.text(6)
    assert len(bob.mailbox.index) == 0
    assert bob.leaves(7, Standing.LEFT)
    assert bob.joins(5) == 0
    assert bob.joins(8, after=7)
    assert (bob.standing, len(bob.mailbox.index)) == (Standing.IN, 1)


def test_an_event_that_has_expired_moves_the_chain_and_shows_nothing() -> None:
    bob = Bob()
    bob.joins(5)
    shown = bob.mailbox.index.get(GROUP_ID)
    assert shown is not None
    assert bob.text(6, now_us=LATER_US)
    after = bob.mailbox.index.get(GROUP_ID)
    assert after is not None
    assert after.group is not None
    assert (after.group.chain, after.last_message_id, after.unread_count) == (6, shown.last_message_id, 0)
    assert bob.text(7)


def test_an_own_message_has_its_record_unless_another_one_has_taken_its_id() -> None:
    bob, hashed = Bob(), client_id_hash("1")
    bob.joins(5)
    bob.take(GroupPart(6, 5, ("ann", "bob"), "1", payload_hash(GROUP_ID, "hello")), "bob")
    assert bob.records[hashed].conversation_id == GROUP_ID
    other = Bob()
    other.joins(5)
    plan, direct = other.mailbox.plan(10), direct_conversation_id("ann", "bob")
    plan.send(NewSend("bob", direct, ("ann", "bob"), "hi", "1", hashed, payload_hash(direct, "hi"), 0))
    other.apply(plan)
    record = other.records[hashed]
    part = GroupPart(6, 5, ("ann", "bob"), "1", payload_hash(GROUP_ID, "hello"))
    assert isinstance(other.take(part, "bob"), DedupeNeed)
    assert isinstance(record, DedupeCell)
    assert other.take(part, "bob", fact=Fact(DedupeNeed(hashed), other.mailbox.head, record))
    assert other.records == {}
