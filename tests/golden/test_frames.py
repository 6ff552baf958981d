"""What processes of a cluster say to each other: two versions of Rowbox talk while a cluster is upgraded."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from rowbox.cacheserver.port import (
    AccountResult,
    AskPresence,
    BlockShown,
    BlocksShown,
    ChangeAccount,
    Changed,
    ChangeGroup,
    ChangeMessage,
    ChangeResult,
    Changes,
    ContactShown,
    ContactsShown,
    Create,
    DeviceShown,
    DevicesResult,
    FetchBlocks,
    FetchChanges,
    FetchContacts,
    FetchConversations,
    FetchDevices,
    FetchGroup,
    FetchHidden,
    FetchMessages,
    FetchReceipts,
    FetchRequests,
    FetchUsers,
    Follow,
    Found,
    GroupResult,
    GroupShown,
    HiddenPage,
    HiddenShown,
    Locate,
    Located,
    Lost,
    MarkRead,
    MarkReadResult,
    MessageReceipts,
    Page,
    PresenceTerms,
    ProvenToken,
    PushShown,
    Quota,
    React,
    ReceiptsResult,
    RegisterDevice,
    Report,
    ReportResult,
    RequestsShown,
    Routed,
    Search,
    Send,
    SendResult,
    SetPush,
    SetTtl,
    SignOut,
    SignOutResult,
    TtlResult,
    UsersShown,
)
from rowbox.cacheserver.rpc import calls, frames
from rowbox.cacheserver.rpc.calls import (
    Arrival,
    Arrivals,
    AskGroup,
    CallSpec,
    Deliver,
    DeliverToMany,
    FollowOver,
    GroupSays,
    Heads,
    HeadsNow,
    PresenceShows,
    ProfileNow,
    ProfileOf,
    SendStatus,
    ShowsPresence,
    TakeReceipts,
    Told,
    Unfollow,
)
from rowbox.cacheserver.rpc.credit import Window
from rowbox.cacheserver.rpc.failures import KNOWN
from rowbox.cacheserver.rpc.handshake import VERSIONS, Challenge, Hello, Proof, Refusal, Welcome
from rowbox.cacheserver.rpc.seal import seal_of
from rowbox.cacheserver.rpc.status import Status
from rowbox.mailbox import group
from rowbox.mailbox.account.deeds import (
    BlockUser,
    CreateProfile,
    DeleteConversation,
    DeleteUser,
    SetContact,
    SetConversation,
    UnblockUser,
    UpdateProfile,
)
from rowbox.mailbox.group import (
    Copied,
    GroupPart,
    GroupSettings,
    Info,
    Member,
    Resumed,
    Standing,
    WhoMay,
)
from rowbox.mailbox.groups.requests import (
    Add,
    Gone,
    GroupChange,
    GroupChanged,
    GroupReceipts,
    GroupSend,
    GroupSent,
    GroupView,
    MessageChange,
    MessageReaction,
    NewGroup,
    SetRole,
    Standpoint,
    ViewGroup,
    ViewReceipts,
)
from rowbox.mailbox.message import Change, Message
from rowbox.mailbox.people.profile import Erasure, ErasureStep, Profile
from rowbox.mailbox.push.target import PushTarget
from rowbox.mailbox.reactions import Reaction
from rowbox.mailbox.receipts import MemberReceipt, Receipt
from rowbox.mailbox.revocation import Bearer
from tests.golden.lines import Line, differences, lines, named, of_today

ALL = lines("frames")
FRAMES = [line for line in ALL if line["is"] == "frame"]
BODIES = [line for line in ALL if line["is"] == "body"]
NAMES = [line for line in ALL if line["is"] == "names"]
SEALS = {line["case"]: line for line in ALL if line["is"] == "seals"}

ID, OTHER_ID = bytes(range(16)), bytes(range(16, 32))
BEARER = Bearer("alice", 1_700_000_000.5, bytes(range(16)), "phone", is_of_device=True)
DEVICE = DeviceShown("phone", "Alice's", "ios", 5, 6, is_asking=True, push=PushShown("webhook", "hook.test", False))
QUOTA = Quota(9, 60)
READ = MemberReceipt("bob", is_delivered=True, is_read=True, read_us=5)
SENT = MemberReceipt("carol", is_delivered=True, is_read=False)
CHANGE, REACTION = Change(7, is_unsent=True, by="bob"), Reaction("alice", "\U0001f44d", 8)
MESSAGE = Message(ID, OTHER_ID, "alice", ("alice", "bob"), "hello", CHANGE, REACTION, None, 9, 5)
SETTINGS = GroupSettings(WhoMay.ADMINS, WhoMay.ALL, WhoMay.ADMINS, group.History.RECENT)
ERASED = Erasure(ErasureStep.DONE, 5, ID, 6, 7)
PROFILE = Profile(7, 5, "Alice", "https://a.example/b", {"locale": "en"}, 6, "nobody", ERASED)
BY = Standpoint("alice", 5, 6, 7)
EVENT = Message(ID, OTHER_ID, "alice", (), "hello", None, None, GroupPart(6, 5, ("bob", "carol"), "1", OTHER_ID))
COPIES = (
    Copied(ID, 4, "alice", "hello", "1", 5, True, None, (Reaction("carol", "\U0001f44d", 6),), "bob", 9),
    Copied(OTHER_ID, 3, "carol", "", "", 0, False, group.Told("role", ("bob",), role="admin"), ()),
)
JOINS = {"bob": group.Join("member", 3, 4)}
JOIN = Message(ID, OTHER_ID, "alice", (), "", group=GroupPart(6, 5, ("alice", "bob"), joins=JOINS, earlier=COPIES))
RESUMED = Resumed(Standing.IN, 2, "admin", 7, COPIES)
RESUMPTION = Message(ID, OTHER_ID, "", (), "", group=GroupPart(6, 0, (), info=Info("Books", 2, (), 3), resumed=RESUMED))

WRITTEN: Mapping[str, Callable[[], bytes]] = {
    "Call": lambda: frames.call(1, "send", 30_000, 7, ["body"]),
    "Answer": lambda: frames.answer(1, ["body"]),
    "Failed": lambda: frames.failed(1, ["RateLimited", "RowboxError"], "a line", {"retry_after_ms": 5}),
    "Cancel": lambda: frames.cancel(1),
    "Push": lambda: frames.push("map", 7),
    "Beat": lambda: frames.BEAT,
    "Goodbye": lambda: frames.GOODBYE,
}
VALUES: Mapping[str, Any] = {
    "Send": Send("alice", "bob", "hello", "1", BEARER, Routed(8, 9), 10),
    "Send, to a conversation": Send("alice", "", "hello", "1", BEARER, Routed(8, 9), 10, OTHER_ID),
    "SendResult": SendResult(ID, OTHER_ID, 5, 6, 1, duplicate=True, quota=QUOTA),
    "SendStatus": SendStatus("alice", "1", BEARER),
    "MarkRead": MarkRead("alice", OTHER_ID, ID, BEARER, Routed(8, 9)),
    "MarkReadResult": MarkReadResult(OTHER_ID, 3, 6, QUOTA),
    "ChangeMessage": ChangeMessage("alice", OTHER_ID, ID, "hello", BEARER, Routed(8, 9)),
    "React": React("alice", OTHER_ID, ID, "\U0001f44d", BEARER, Routed(8, 9)),
    "SetTtl": SetTtl("alice", OTHER_ID, 3_600_000, BEARER, Routed(8, 9)),
    "TtlResult": TtlResult(OTHER_ID, 6, changed=True, quota=QUOTA),
    "ChangeResult": ChangeResult(ID, 6, changed=True, quota=QUOTA),
    "FetchConversations": FetchConversations("alice", 1, 20, "token", "cursor", 5_000, BEARER),
    "FetchMessages": FetchMessages("alice", OTHER_ID, 1, 50, "token", "cursor", 5_000, BEARER, True, 65_536),
    "Page": Page((b"{}",), False, "token", True, "cursor", "reason", 5, QUOTA),
    "FetchChanges": FetchChanges("alice", "token", 100, 262_144, 5_000, BEARER, proves=True),
    "FetchReceipts": FetchReceipts("alice", OTHER_ID, (ID, OTHER_ID), BEARER),
    "ReceiptsResult": ReceiptsResult((MessageReceipts(ID, (READ, SENT)),), 6, QUOTA),
    "Search": Search("alice", "hello", OTHER_ID, "bob", 5, 6, 20, "cursor", BEARER, 65_536),
    "Found": Found((b"{}",), True, 6, "cursor", QUOTA),
    "TakeReceipts": TakeReceipts("alice", (Receipt(OTHER_ID, "bob", ID, OTHER_ID, 5),)),
    "Locate": Locate("alice", BEARER),
    "Located": Located("https://chat-1.example.com", QUOTA),
    "ProvenToken": ProvenToken("alice", "token", BEARER),
    "Changes": Changes((b"{}",), (b"[]",), True, False, "token", False, "reason", 5, QUOTA, "cursor"),
    "Changes, more of them": Changes((b"{}",), (b"[]",), False, False, "token", True, "reason", 5, QUOTA, "cursor"),
    "ChangeGroup": ChangeGroup("alice", ID, SetRole("bob", "admin"), BEARER, Routed(8, 9)),
    "ChangeGroup, a new one": ChangeGroup("alice", ID, Create("g", "Books", ("bob",), SETTINGS), BEARER, Routed(8, 9)),
    "GroupResult": GroupResult(ID, 6, changed=True, pending=2, quota=QUOTA),
    "ChangeAccount": ChangeAccount(
        "alice", CreateProfile("Alice", "https://a.example/b", {"locale": "en"}, "nobody"), BEARER, Routed(8, 9)
    ),
    "ChangeAccount, of a profile": ChangeAccount(
        "alice", UpdateProfile("Al", None, {}, "nobody"), BEARER, Routed(8, 9)
    ),
    "ChangeAccount, of a conversation": ChangeAccount(
        "alice", SetConversation(ID, 1767225603123466, True, False, None), BEARER, Routed(8, 9)
    ),
    "ChangeAccount, a block": ChangeAccount("alice", BlockUser("mallory"), BEARER, Routed(8, 9)),
    "ChangeAccount, the end of a block": ChangeAccount("alice", UnblockUser("mallory"), BEARER, Routed(8, 9)),
    "ChangeAccount, a contact": ChangeAccount("alice", SetContact("bob", "Bob", True), BEARER, Routed(8, 9)),
    "ChangeAccount, a contact who is removed": ChangeAccount("alice", SetContact("bob", None, None, True), BEARER),
    "FetchContacts": FetchContacts("alice", "bob", 100, BEARER),
    "ContactsShown": ContactsShown((ContactShown("bob", 7, 8, "Bob", True),), True, QUOTA),
    "ChangeAccount, a conversation is accepted": ChangeAccount("alice", SetConversation(ID, accepts=True), BEARER),
    "FetchRequests": FetchRequests("alice", ID + ID, 20, BEARER),
    "RequestsShown": RequestsShown((b"{}",), ID + ID, QUOTA),
    "FetchBlocks": FetchBlocks("alice", "bob", 100, BEARER),
    "BlocksShown": BlocksShown((BlockShown("mallory", 7),), True, QUOTA),
    "ChangeAccount, a deletion": ChangeAccount("alice", DeleteConversation(ID), BEARER, Routed(8, 9)),
    "Report": Report("alice", ID, (OTHER_ID,), "harassment", "every day", BEARER, Routed(8, 9)),
    "ReportResult": ReportResult(ID, (OTHER_ID,), duplicate=True, quota=QUOTA),
    "FetchHidden": FetchHidden("alice", 100, 1_000_000, (ID, OTHER_ID), BEARER),
    "HiddenPage": HiddenPage(
        (HiddenShown(ID, OTHER_ID, "mallory", "hello", 7, Change(6), (Reaction("mallory", "\U0001f44d", 5),)),),
        (ID, OTHER_ID),
        QUOTA,
    ),
    "ChangeAccount, of a user who is deleted": ChangeAccount("alice", DeleteUser(), BEARER, Routed(8, 9)),
    "AccountResult": AccountResult(6, changed=True, quota=QUOTA, step=3),
    "FetchUsers": FetchUsers("alice", ("alice", "bob"), BEARER),
    "UsersShown": UsersShown((PROFILE, None), QUOTA),
    "ProfileOf": ProfileOf("alice"),
    "ProfileNow": ProfileNow(PROFILE),
    "AskPresence": AskPresence("alice", ("bob", "carol"), BEARER),
    "AskPresence, who is active": AskPresence("alice", ("bob",), BEARER, 250),
    "PresenceTerms": PresenceTerms(hides=True, sees=(True, False, None), quota=QUOTA),
    "PresenceTerms, of who is pushed": PresenceTerms(hides=False, sees=(True,), quota=QUOTA, is_pushed=True),
    "ShowsPresence": ShowsPresence("alice", ("bob", "carol")),
    "PresenceShows": PresenceShows((True, False, None)),
    "FetchGroup": FetchGroup("alice", ID, BEARER),
    "GroupShown": GroupShown(ID, GroupView(6, "Books", SETTINGS, (Member("alice", "owner", 5, 4),)), QUOTA),
    "AskGroup": AskGroup(GroupSend(ID, BY, "hello", "1", OTHER_ID, 10)),
    "AskGroup, a new one": AskGroup(NewGroup(ID, "alice", "Books", ("bob",), SETTINGS, OTHER_ID, 100, 10)),
    "AskGroup, a change": AskGroup(GroupChange(ID, BY, Add(("bob",), 100), 10)),
    "AskGroup, a look": AskGroup(ViewGroup(ID, "alice")),
    "AskGroup, an edit": AskGroup(MessageChange(ID, BY, OTHER_ID, "hello", 10)),
    "AskGroup, a reaction": AskGroup(MessageReaction(ID, BY, OTHER_ID, "\U0001f44d", 10)),
    "AskGroup, of who is deleted": AskGroup(Gone(ID, "alice", 10)),
    "AskGroup, for receipts": AskGroup(ViewReceipts(ID, "alice", (ID, OTHER_ID))),
    "GroupSays, of receipts": GroupSays(GroupReceipts(((READ, SENT), ()), 6)),
    "GroupSays": GroupSays(GroupSent(ID, 6, 2, duplicate=True)),
    "GroupSays, of a change": GroupSays(GroupChanged(6, changed=True, pending=2, event_id=ID)),
    "DeliverToMany": DeliverToMany(("bob", "carol"), (EVENT,)),
    "DeliverToMany, a join": DeliverToMany(("bob",), (JOIN,)),
    "DeliverToMany, how things stood": DeliverToMany(("bob", "carol"), (RESUMPTION,)),
    "Arrivals": Arrivals((Arrival(1), Arrival(0, ("EventGap", "RowboxError"), "a line", {"version": 5}))),
    "RegisterDevice": RegisterDevice("alice", "phone", "Alice's", "ios", BEARER, Routed(8, 9)),
    "SetPush": SetPush("alice", "phone", PushTarget("web", "https://push.test/a", ID), OTHER_ID, BEARER, Routed(8, 9)),
    "PushShown": PushShown("web", "push.test", is_confirmed=True),
    "SignOut": SignOut("alice", "phone", "laptop", BEARER, Routed(8, 9)),
    "SignOutResult": SignOutResult(("phone",), QUOTA, 3),
    "FetchDevices": FetchDevices("alice", BEARER),
    "DevicesResult": DevicesResult((DEVICE,), QUOTA, "a key"),
    "FollowOver": FollowOver(7, Follow("alice", BEARER, 9, takes_place=True)),
    "Unfollow": Unfollow((7, 8)),
    "Heads": Heads(("alice", "bob")),
    "HeadsNow": HeadsNow(("token", None)),
    "Told": Told((("alice", Changed("head", "prev", b"{}")),), ((7, Lost("reason", 5, False)),)),
    "Deliver": Deliver("bob", (MESSAGE,)),
    "Bearer": BEARER,
    "Status": Status(("unready",), ("warning",)),
    "Hello": Hello([1], "cluster", "caller", bytes(32), "expected"),
    "Challenge": Challenge([1], "listener", bytes(32), {"requests": Window(5, 6)}),
    "Proof": Proof(bytes(32)),
    "Welcome": Welcome(bytes(32)),
    "Refusal": Refusal("proof"),
}
CALLS = {spec.name: spec for spec in vars(calls).values() if isinstance(spec, CallSpec)}


@pytest.mark.parametrize("line", FRAMES, ids=lambda line: line["case"])
def test_a_frame_that_was_ever_sent_reads_as_it_was_meant(line: Line) -> None:
    (frame,) = frames.frames_of(frames.message_of([bytes.fromhex(line["value"])]))
    assert type(frame).__name__ == line["case"]
    assert _shown(frame) == line["fields"]


def _shown(frame: frames.Frame) -> Mapping[str, Any]:
    shown = {name: getattr(frame, name) for name in type(frame).__struct_fields__}
    return {name: msgspec.msgpack.decode(one) if isinstance(one, msgspec.Raw) else one for name, one in shown.items()}


@pytest.mark.parametrize("case", WRITTEN)
def test_a_frame_is_written_as_its_golden_line(case: str) -> None:
    value = WRITTEN[case]()
    (frame,) = frames.frames_of(frames.message_of([value]))
    found = {"is": "frame", "case": case, "fields": _shown(frame), "value": value.hex()}
    assert found in of_today(FRAMES), "append what stands on the left to frames.jsonl (docs/formats.md)"


@pytest.mark.parametrize("line", BODIES, ids=lambda line: line["case"])
def test_a_body_that_was_ever_sent_reads_as_it_was_meant(line: Line) -> None:
    kind = type(VALUES[line["case"]])
    assert list(differences(line["fields"], msgspec.msgpack.decode(bytes.fromhex(line["value"]), type=kind))) == []


@pytest.mark.parametrize("case", VALUES)
def test_a_body_is_written_as_its_golden_line(case: str) -> None:
    value = VALUES[case]
    found = {"is": "body", "case": case, "fields": named(value), "value": frames.encode(value).hex()}
    assert found in of_today(BODIES), "append what stands on the left to frames.jsonl (docs/formats.md)"


@pytest.mark.parametrize("case", VALUES)
def test_two_exchanged_fields_of_a_body_would_be_noticed(case: str) -> None:
    """Fields travel by their place alone. By one line or another: of three flags two are equal in each."""
    alike = [value for value in VALUES.values() if type(value) is type(VALUES[case])]
    fields = [repr([getattr(value, name) for value in alike]) for name in VALUES[case].__struct_fields__]
    assert len(set(fields)) == len(fields)


def test_all_that_calls_carry_has_a_golden_line() -> None:
    plain = {str, int, bytes, type(None)}
    carried = {kind for spec in CALLS.values() for kind in (spec.asks, spec.answers)} - plain
    assert {kind.__name__ for kind in carried} <= set(VALUES)


def test_the_calls_and_errors_that_ever_had_a_name_still_have_it() -> None:
    """A name that is gone would be an unknown call, or a base of the error, at a peer of the version before."""
    for line in NAMES:
        known = set(CALLS) if line["case"] == "calls" else set(KNOWN)
        assert set(line["names"]) <= known
    today = {line["case"]: set(line["names"]) for line in of_today(NAMES)}
    assert today == {"calls": set(CALLS), "errors": set(KNOWN)}, "append a line with all names to frames.jsonl"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_seals_of_a_version_are_as_ever(version: int) -> None:
    """Each side makes them by itself: of a session's key, a count that is not sent, and the message."""
    line = SEALS[f"version {version}"]
    seal = seal_of(version, bytes.fromhex(line["key"]))
    assert [seal.mac(message.encode()).hex() for message in line["messages"]] == line["macs"]
