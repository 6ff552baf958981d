"""Whatever kind of command comes to the row of a deleted user: it writes nothing there."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from rowbox.cacheserver.cache import commands
from rowbox.cacheserver.cache.commands import Command
from rowbox.mailbox.account.access_row import AccessRow
from rowbox.mailbox.account.deeds import (
    BlockUser,
    CreateProfile,
    DeleteConversation,
    DeleteUser,
    SetConversation,
    UnblockUser,
    UpdateProfile,
)
from rowbox.mailbox.account.erasing import ErasingRow
from rowbox.mailbox.aggregate.changes import NewChange, NewReaction
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.needs import DedupeNeed, Fact
from rowbox.mailbox.aggregate.plan import NewSend
from rowbox.mailbox.errors import JoinDeclined, RowboxError, UserDeleted
from rowbox.mailbox.group import GroupPart, Info, Join, Told
from rowbox.mailbox.ids import client_id_hash, message_id, payload_hash
from rowbox.mailbox.message import Change, Message
from rowbox.mailbox.people.profile import ErasureStep
from rowbox.mailbox.reactions import Reaction
from rowbox.mailbox.receipts import Receipt
from rowbox.mailbox.ttls.ttl_row import NewTtl
from tests.model.changes.rows import ANN, BOB, BOTH, CONVERSATION_ID, NOW_US, first_fence, mailbox_of, stored

ID: Final = message_id(NOW_US - 50, 1)
GROUP_ID: Final = b"g" * 16
OF_BOB: Final = Message(ID, CONVERSATION_ID, BOB, BOTH, "of Bob")
PART: Final = GroupPart(NOW_US - 40, 0, (ANN, BOB), told=Told("added", (ANN,)), info=Info("", 2, (BOB, ANN)))
NEW: Final = NewSend(
    ANN, CONVERSATION_ID, BOTH, "text", "c", client_id_hash("c"), payload_hash(CONVERSATION_ID, "text"), 1
)
TO_HER: Final = NEW._replace(sender_id=BOB)


def nobody_judges(_bearer: Any) -> None:
    """Every token counts."""


def made(kind: Any, *fields: Any) -> Command:
    """Nobody waits for it."""
    made_of: Command = kind(*fields, future=None)
    return made_of


def delivered(*messages: Message) -> Command:
    return made(commands.DeliverCommand, ANN, messages)


REFUSED: Final[dict[str, tuple[Any, ...]]] = {
    "send": (commands.SendCommand, NEW, (), None, nobody_judges),
    "edit": (commands.ChangeCommand, ANN, NewChange(CONVERSATION_ID, ID, "x", 10**9, 1, ()), None, nobody_judges),
    "react": (commands.ChangeCommand, ANN, NewReaction(CONVERSATION_ID, ID, "x", 10**9, 1, ()), None, nobody_judges),
    "ttl": (commands.TtlCommand, ANN, NewTtl(CONVERSATION_ID, 3_600_000, 1, ()), None, nobody_judges),
    "mark": (commands.MarkReadCommand, ANN, CONVERSATION_ID, ID, None, nobody_judges),
    "devices": (commands.DevicesCommand, ANN, lambda plan: AccessRow(plan).register("d", "", ""), None, nobody_judges),
    **{
        type(deed).__name__: (commands.AccountCommand, ANN, deed, None, nobody_judges)
        for deed in (
            CreateProfile("Ann"),
            UpdateProfile("Ann"),
            SetConversation(CONVERSATION_ID, is_pinned=True),
            DeleteConversation(CONVERSATION_ID),
            BlockUser(BOB),
            UnblockUser(BOB),
        )
    },
}
IGNORED: Final[dict[str, tuple[Any, ...]]] = {
    "message": (commands.DeliverCommand, ANN, (OF_BOB,)),
    "edited": (commands.DeliverCommand, ANN, (Message(ID, CONVERSATION_ID, BOB, BOTH, "x", Change(NOW_US)),)),
    "reaction": (
        commands.DeliverCommand,
        ANN,
        (Message(ID, CONVERSATION_ID, BOB, BOTH, "", None, Reaction(BOB, "!", NOW_US)),),
    ),
    "event": (commands.DeliverCommand, ANN, (Message(ID, GROUP_ID, BOB, (), "", group=PART),)),
    "receipts": (commands.ReceiptsCommand, ANN, (Receipt(CONVERSATION_ID, BOB, ID, ID, NOW_US),)),
    "told": (commands.NoteToldCommand, ANN, {CONVERSATION_ID: ID}),
    "settle": (commands.SettleCommand, ANN, (CONVERSATION_ID,)),
    "sweep": (commands.SweepCommand, ANN, CONVERSATION_ID, NOW_US, (), b""),
    "push": (commands.PushCommand, ANN, lambda plan: AccessRow(plan).note_pushed(NOW_US)),
    "revoke": (commands.RevokeCommand, ANN, NOW_US // 10**6, 0),
    "delete": (commands.AccountCommand, ANN, DeleteUser(), None, nobody_judges),
    "a step back": (commands.EraseCommand, ANN, ErasureStep.CLOSED),
}


@pytest.fixture(params=["wiped", "not wiped yet"])
def erased(request: pytest.FixtureRequest) -> Mailbox:
    """Of a user who is deleted; where nothing is wiped yet, with a conversation in memory."""
    mailbox = mailbox_of(0, stored([first_fence()]))
    if request.param != "wiped":
        plan = mailbox.plan(NOW_US - 1_000)
        plan.deliver_new(Message(message_id(NOW_US - 2_000, 1), CONVERSATION_ID, BOB, BOTH, "of Bob"))
        AccessRow(plan).register("d", "", "")
        mailbox.apply(plan)
    plan = mailbox.plan(NOW_US - 500)
    ErasingRow(plan).close()
    mailbox.apply(plan)
    assert mailbox.is_erased
    return mailbox


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_asked_for_him_is_refused(erased: Mailbox, name: str) -> None:
    plan = erased.plan(NOW_US)
    with pytest.raises(UserDeleted):
        made(*REFUSED[name]).decide([plan])
    assert plan.changes_nothing


@pytest.mark.parametrize("name", IGNORED)
def test_what_comes_of_others_is_taken_for_done(erased: Mailbox, name: str) -> None:
    plan = erased.plan(NOW_US)
    answer = made(*IGNORED[name]).decide([plan])
    assert not isinstance(answer, RowboxError)
    assert plan.changes_nothing
    assert not plan.cells()


def test_a_join_is_declined_by_the_version_that_the_groups_row_knows(erased: Mailbox) -> None:
    joining = Message(ID, GROUP_ID, BOB, (), "", group=GroupPart(77, 0, (ANN,), joins={ANN: Join("member", 0)}))
    plan = erased.plan(NOW_US)
    answer = delivered(joining).decide([plan])
    assert isinstance(answer, JoinDeclined)
    assert answer.version == 77
    assert delivered(OF_BOB, joining).decide([plan]) == 1  # the join comes again by itself
    assert plan.changes_nothing


def test_a_send_to_him_in_one_commit_writes_the_senders_row_alone(erased: Mailbox) -> None:
    sender = mailbox_of(0, stored([first_fence()]), BOB).plan(NOW_US)
    plan = erased.plan(NOW_US)
    send = made(commands.SendCommand, TO_HER, (ANN,), None, nobody_judges)
    need = send.decide([sender, plan])
    assert isinstance(need, DedupeNeed)
    send.fact = Fact(need, sender.head, None)
    send.decide([sender, plan])
    assert not sender.changes_nothing
    assert plan.changes_nothing


def kinds(kind: type[Command] = Command) -> Iterator[type[Command]]:
    for one in kind.__subclasses__():
        yield one
        yield from kinds(one)


def test_each_kind_of_command_is_looked_at_here() -> None:
    """A group's row is no user's."""
    looked_at = {fields[0] for fields in (*REFUSED.values(), *IGNORED.values())}
    assert {one for one in kinds() if one.__module__ == commands.__name__} - looked_at == {commands.GroupCommand}
