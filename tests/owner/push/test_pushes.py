"""When devices are told of messages, and of what."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.port import (
    AskPresence,
    ChangeAccount,
    DeviceShown,
    FetchDevices,
    PushShown,
    RegisterDevice,
    SendResult,
    SetPush,
    SignOut,
)
from rowbox.cacheserver.push.notes import newest_unread
from rowbox.cacheserver.push.port import Answer, Outcome
from rowbox.cacheserver.push.pushes import ACTIVE_S, CLEAR_S, NOTE_S, PATIENCE_S
from rowbox.cacheserver.push.unread import Unread
from rowbox.mailbox.account.deeds import DeleteConversation, SetConversation
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.errors import BadRequest, PushOff, UnknownDevice
from rowbox.mailbox.group import GroupSettings
from rowbox.mailbox.groups.requests import Add
from rowbox.mailbox.push.note import CodeNote, MessageNote, Note, ReadNote
from rowbox.mailbox.push.target import PushTarget
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import PushSettings, Settings
from tests.checking import findings_of
from tests.support.cluster import UNLIMITED, Cluster, Node, cluster
from tests.support.virtual_time import virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
SOON_S = 0.5
"""For what is told at once."""


class Told(NamedTuple):
    device: str
    note: Note
    push_id: str


class Phones:
    """Push services that take everything: devices are known by the path of their targets."""

    server_key = "a key"

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.answer = Answer(Outcome.OK)
        self.takes_s = 0.05

    def check(self, target: PushTarget) -> None:
        if target.host == "evil.test":
            raise BadRequest("not allowed")

    async def send(self, target: PushTarget, note: Note, push_id: str) -> Answer:
        await asyncio.sleep(self.takes_s)
        self.told.append(Told(target.url.rpartition("/")[2], note, push_id))
        return self.answer

    def taken(self) -> list[tuple[str, Note]]:
        """What was told since this was asked last."""
        told, self.told = self.told, []
        return [(one.device, one.note) for one in told]

    def devices(self) -> list[str]:
        return [device for device, _ in self.taken()]


class World(NamedTuple):
    servers: Cluster
    phones: Phones

    @property
    def node(self) -> Node:
        return self.servers.node

    async def register(self, device: str, user: str = "ann", *, push: bool = True) -> DeviceShown:
        call = self.node.process.call
        result = await call(self.node.owner.register_device(RegisterDevice(user, device, "", "")))
        return await self.set_push(device, web(device), user) if push else result.devices[0]

    async def set_push(
        self, device: str, target: PushTarget | None, user: str = "ann", code: bytes = b""
    ) -> DeviceShown:
        result = await self.node.process.call(self.node.owner.set_push(SetPush(user, device, target, code)))
        assert result.server_key == "a key"
        return result.devices[0]

    async def listed(self, user: str = "ann") -> dict[str, PushShown | None]:
        result = await self.node.process.call(self.node.owner.fetch_devices(FetchDevices(user)))
        return {one.device_id: one.push for one in result.devices}

    async def send(self, text: str, sender: str = "bob", recipient: str = "ann") -> SendResult:
        return await self.node.send(sender, recipient, text, f"{sender} {text}")

    async def read(self, sent: SendResult, user: str = "ann") -> None:
        await self.node.mark_read(user, sent.conversation_id, sent.message_id)

    async def mute(self, conversation: bytes, until_us: int) -> None:
        deed = SetConversation(conversation, muted_until=until_us)
        await self.node.process.call(self.node.owner.change_account(ChangeAccount("ann", deed)))

    async def delete(self, conversation: bytes) -> None:
        deed = DeleteConversation(conversation)
        await self.node.process.call(self.node.owner.change_account(ChangeAccount("ann", deed)))

    async def ann_looks(self, ago_ms: int | None = 0) -> bool:
        """As a server that has her connection says it. Whether it is to say so again."""
        asked = AskPresence("ann", active_ms=ago_ms)
        return (await self.node.process.call(self.node.owner.presence_terms(asked))).is_pushed

    async def ann_is_active(self) -> None:
        await self.send(f"hello {asyncio.get_running_loop().time()}", "ann", "max")


def web(device: str) -> PushTarget:
    return PushTarget("web", f"https://push.test/{device}", b"k")


def hook(device: str) -> PushTarget:
    return PushTarget("webhook", f"https://hook.test/{device}", b"s")


@asynccontextmanager
async def world(*, late: bool = False, settings: Settings = UNLIMITED) -> AsyncIterator[World]:
    phones = Phones()
    async with cluster(late=late, settings=settings, push=phones) as servers:
        yield World(servers, phones)
        assert await findings_of(servers.store, servers.settings, servers.clock.now_us()) == []


# ---------------------------------------------------------------------- when


@both_kinds
@virtual_time
async def test_nobody_is_looking_so_every_device_is_told_at_once(late: bool) -> None:
    async with world(late=late) as all_:
        await all_.register("phone")
        await all_.register("tablet")
        await all_.register("laptop", push=False)
        sent = await all_.send("hello")
        await asyncio.sleep(SOON_S)
        note = MessageNote(sent.conversation_id.hex(), sent.message_id.hex(), sent.sent_timestamp, 1, "bob")
        assert all_.phones.taken() == [("phone", note), ("tablet", note)]
        await asyncio.sleep(60)
        assert all_.phones.taken() == []


@virtual_time
async def test_who_has_been_active_is_told_of_what_he_left_unread() -> None:
    async with world() as all_:
        await all_.register("phone")
        await all_.ann_is_active()
        await all_.send("hello")
        await asyncio.sleep(PATIENCE_S - 1)
        assert all_.phones.devices() == []
        await asyncio.sleep(2)
        assert all_.phones.devices() == ["phone"]
        await asyncio.sleep(ACTIVE_S)
        await all_.send("again")
        await asyncio.sleep(SOON_S)
        assert all_.phones.devices() == ["phone"], "a minute later nobody is looking"


@virtual_time
async def test_a_stream_of_messages_does_not_put_the_push_off() -> None:
    async with world() as all_:
        await all_.register("phone")
        await all_.ann_is_active()
        sent = []
        for number in range(20):
            sent.append((await all_.send(f"number {number}")).message_id.hex())
            await asyncio.sleep(1)
        (first, *_) = all_.phones.taken()
        assert isinstance(first[1], MessageNote)
        assert first[1].message_id in sent[10:16]


@virtual_time
async def test_what_is_read_in_time_is_not_told() -> None:
    async with world() as all_:
        await all_.register("phone")
        await all_.ann_is_active()
        sent = await all_.send("hello")
        await asyncio.sleep(5)
        await all_.read(sent)
        await asyncio.sleep(60)
        assert all_.phones.taken() == []


@virtual_time
async def test_what_is_taken_back_in_time_is_not_told() -> None:
    async with world() as all_:
        await all_.register("phone")
        await all_.ann_is_active()
        sent = await all_.send("hello")
        await asyncio.sleep(5)
        await all_.node.change("bob", sent, None)
        await asyncio.sleep(60)
        assert all_.phones.taken() == []


@virtual_time
async def test_a_device_that_was_signed_out_in_time_is_not_told() -> None:
    async with world() as all_:
        await all_.register("phone")
        await all_.register("tablet")
        await all_.ann_is_active()
        await all_.send("hello")
        await all_.node.process.call(all_.node.owner.sign_out(SignOut("ann", "phone")))
        await asyncio.sleep(60)
        assert all_.phones.devices() == ["tablet"]


@virtual_time
async def test_a_device_that_has_the_message_already_is_not_told() -> None:
    """By the token with which its client comes back; it may have shown it itself."""
    async with world() as all_:
        await all_.register("phone")
        await all_.register("tablet")
        await all_.ann_is_active()
        phone = Bearer("ann", 0.0, b"", "phone")
        token = (await all_.node.changes("ann", bearer=phone)).token
        await all_.send("hello")
        delta = await all_.node.changes("ann", token=token, bearer=phone, proves=True)
        assert delta.messages
        await all_.node.changes("ann", token=delta.token, bearer=phone, proves=True)
        await asyncio.sleep(60)
        assert all_.phones.devices() == ["tablet"]


@virtual_time
async def test_own_messages_and_those_of_others_to_others_are_not_told() -> None:
    async with world() as all_:
        await all_.register("phone")
        await all_.send("to myself", "ann", "ann")
        await all_.send("from me", "ann", "bob")
        await all_.send("to him", "zoe", "bob")
        await asyncio.sleep(60)
        assert all_.phones.taken() == []


@virtual_time
async def test_reactions_edits_and_marks_are_not_told() -> None:
    async with world() as all_:
        await all_.register("phone")
        mine = await all_.send("from me", "ann", "bob")
        await all_.node.react("bob", mine, "\N{THUMBS UP SIGN}")
        await all_.read(mine, "bob")
        theirs = await all_.send("hello")
        await asyncio.sleep(SOON_S + PATIENCE_S)
        assert all_.phones.devices() == ["phone"]
        await all_.node.change("bob", theirs, "hello, ann")
        await asyncio.sleep(60)
        assert all_.phones.taken() == [], "it was told, and is unread as before"


@both_kinds
@virtual_time
async def test_messages_of_groups_are_told_with_the_groups_name_but_not_what_happens_to_it(late: bool) -> None:
    async with world(late=late) as all_:
        await all_.register("phone")
        made = await all_.node.create_group("bob", "ann", name="Books", settings=GroupSettings())
        await all_.servers.quiet()
        await all_.node.change_group("bob", made.conversation_id, Add(("zoe",), 100))
        await all_.servers.quiet()
        await asyncio.sleep(60)
        assert all_.phones.taken() == []
        await all_.node.send_to("bob", made.conversation_id, "hello", "1")
        await asyncio.sleep(SOON_S)
        ((_, note),) = all_.phones.taken()
        assert isinstance(note, MessageNote)
        assert (note.sender, note.title, note.badge) == ("bob", "Books", 1)
        await all_.node.change_group("bob", made.conversation_id, Add(("max",), 100))
        await all_.servers.quiet()
        await asyncio.sleep(60)
        assert all_.phones.taken() == [], "though the message before it is unread"


# ---------------------------------------------------------------------- what


@pytest.mark.parametrize(
    ("content", "sender", "snippet"), [("none", "", ""), ("sender", "bob", ""), ("preview", "bob", "x" * 100)]
)
def test_what_is_said_of_a_message_is_a_setting(content: str, sender: str, snippet: str) -> None:
    @virtual_time
    async def run() -> None:
        push = PushSettings(content=content)  # type: ignore[arg-type]
        async with world(settings=replace(UNLIMITED, push=push)) as all_:
            await all_.register("phone")
            await all_.send("x" * 1000)
            await asyncio.sleep(SOON_S)
            ((_, note),) = all_.phones.taken()
            assert isinstance(note, MessageNote)
            assert (note.sender, note.title, note.snippet) == (sender, "", snippet)

    run()


@virtual_time
async def test_safari_is_told_nothing_that_it_could_not_show() -> None:
    """What was read is over for it as for others: the next message is told."""
    async with world() as all_:
        await all_.register("phone")
        await all_.register("safari", push=False)
        await all_.set_push("safari", PushTarget("web", "https://web.push.apple.com/safari", bytes(81)))
        for text in ("one", "two"):
            sent = await all_.send(text)
            await asyncio.sleep(SOON_S)
            assert sorted(all_.phones.devices()) == ["phone", "safari"]
            await all_.read(sent)
            await asyncio.sleep(CLEAR_S + SOON_S)
            ((device, note),) = all_.phones.taken()
            assert (device, type(note)) == ("phone", ReadNote)
            await asyncio.sleep(ACTIVE_S)


@both_kinds
@virtual_time
async def test_who_looks_and_neither_reads_nor_sends_is_active(late: bool) -> None:
    """So long as his client says so, and from when it says it: his other devices are told what is still unread then."""
    async with world(late=late) as all_:
        assert not await all_.ann_looks()
        await all_.register("phone")
        assert await all_.ann_looks()
        await all_.send("one")
        await asyncio.sleep(PATIENCE_S - SOON_S)
        assert all_.phones.devices() == []
        await asyncio.sleep(2 * SOON_S)
        assert all_.phones.devices() == ["phone"]
        await all_.ann_looks(ago_ms=40_000)  # what is known already is newer
        await asyncio.sleep(ACTIVE_S - PATIENCE_S - 2 * SOON_S)
        await all_.send("two")
        await asyncio.sleep(SOON_S)
        assert all_.phones.devices() == []
        await asyncio.sleep(PATIENCE_S)
        assert all_.phones.devices() == ["phone"]
        await all_.ann_looks(ago_ms=round(ACTIVE_S * 1000))
        await all_.ann_looks(None)  # somebody asks, and nobody looks
        await all_.send("three")
        await asyncio.sleep(SOON_S)
        assert all_.phones.devices() == ["phone"]


@virtual_time
async def test_what_is_said_is_as_the_message_stands_then() -> None:
    async with world(settings=replace(UNLIMITED, push=PushSettings(content="preview"))) as all_:
        await all_.register("phone")
        await all_.ann_is_active()
        sent = await all_.send("hello")
        await all_.node.change("bob", sent, "hello, ann")
        await asyncio.sleep(60)
        ((_, note),) = all_.phones.taken()
        assert isinstance(note, MessageNote)
        assert note.snippet == "hello, ann"


@both_kinds
@virtual_time
async def test_the_badge_is_the_number_of_unread_conversations_at_that_moment(late: bool) -> None:
    async with world(late=late) as all_:
        first = await all_.send("hello", "zoe")
        await all_.register("phone")
        await all_.servers.quiet()
        for number, expected in ((0, 2), (1, 3), (2, 4)):
            await all_.send("hello", f"user{number}")
            await asyncio.sleep(SOON_S)
            ((_, note),) = all_.phones.taken()
            assert isinstance(note, MessageNote)
            assert note.badge == expected
        await all_.read(first)
        await all_.send("again", "user0")
        await asyncio.sleep(PATIENCE_S + SOON_S)
        ((_, note),) = all_.phones.taken()
        assert isinstance(note, MessageNote)
        assert note.badge == 3


@virtual_time
async def test_the_badge_counts_what_came_and_was_read_while_no_device_was_told() -> None:
    async with world() as all_:
        await all_.register("phone")
        sent = await all_.send("hello")
        await asyncio.sleep(SOON_S)
        await all_.set_push("phone", None)
        await all_.read(sent)
        await all_.send("hello", "zoe")
        await all_.send("hello", "max")
        await all_.set_push("phone", web("phone"))
        all_.phones.taken()
        await asyncio.sleep(ACTIVE_S)
        await all_.send("hello", "eve")
        await asyncio.sleep(SOON_S)
        ((_, note),) = all_.phones.taken()
        assert isinstance(note, MessageNote)
        assert note.badge == 3


@virtual_time
async def test_what_is_kept_for_badges_is_bounded_and_holds_no_mailbox() -> None:
    async with world() as all_:
        for user in ("ann", "eve"):
            await all_.register("phone", user)
            for sender in ("bob", "max", "zoe"):
                await all_.send(f"hello {user}", sender, user)
        mailboxes = [(await all_.node.owner.table.loaded(user))[1] for user in ("ann", "eve")]
        unread = Unread(most_conversations=5)
        assert [unread.badge(mailbox, 0) for mailbox in (*mailboxes, *mailboxes)] == [3] * 4
        assert unread.conversations == 3, "both together are too much"
        unread = Unread(most=1)
        before = [sys.getrefcount(mailbox) for mailbox in mailboxes]
        assert [unread.badge(mailbox, 0) for mailbox in (*mailboxes, *mailboxes)] == [3] * 4
        assert unread.conversations == 3
        assert [sys.getrefcount(mailbox) for mailbox in mailboxes] == before


@virtual_time
async def test_what_is_muted_is_neither_told_nor_counted() -> None:
    async with world() as all_:
        await all_.register("phone")
        first = await all_.send("hello")
        await asyncio.sleep(SOON_S)
        assert all_.phones.devices() == ["phone"]
        until = all_.servers.clock.now_us() + 3600 * US_PER_S
        await all_.mute(first.conversation_id, until)
        await all_.send("again")
        await all_.send("hello", "zoe")
        await asyncio.sleep(60)
        ((_, note),) = all_.phones.taken()
        assert isinstance(note, MessageNote)
        assert (note.sender, note.badge) == ("zoe", 1)
        await asyncio.sleep(3600)
        await all_.send("once more")
        await asyncio.sleep(SOON_S)
        ((_, note),) = all_.phones.taken()
        assert isinstance(note, MessageNote)
        assert (note.sender, note.badge) == ("bob", 2)


@virtual_time
async def test_what_is_muted_in_time_is_not_told() -> None:
    async with world() as all_:
        await all_.register("phone")
        await all_.ann_is_active()
        sent = await all_.send("hello")
        await all_.mute(sent.conversation_id, all_.servers.clock.now_us() + 3600 * US_PER_S)
        await asyncio.sleep(60)
        assert all_.phones.taken() == []


@virtual_time
async def test_what_retention_has_taken_is_no_message_to_tell_of() -> None:
    async with world() as all_:
        sent = await all_.send("hello")
        row = all_.node.owner.table.peek("ann")
        assert row is not None
        assert row.mailbox is not None
        taken_us = row.mailbox.head + row.mailbox.limits.retention_ms * 1000
        assert_told_before(taken_us, row.mailbox, sent)


@virtual_time
async def test_what_has_disappeared_is_no_message_to_tell_of() -> None:
    async with world() as all_:
        before = await all_.send("hello")
        await all_.node.set_ttl("bob", before.conversation_id, 3_600_000)
        sent = await all_.send("secret")
        row = all_.node.owner.table.peek("ann")
        assert row is not None
        assert row.mailbox is not None
        ends_us = sent.sent_timestamp + 3600 * US_PER_S
        left = newest_unread(row.mailbox, sent.conversation_id, ends_us)
        assert left is not None
        assert left.message_id == before.message_id
        await all_.read(before)
        assert_told_before(ends_us, row.mailbox, sent)


def assert_told_before(gone_us: int, mailbox: Mailbox, sent: SendResult) -> None:
    """There is a message to tell of until then, as the window says and, as after a load, as the state alone says."""
    for _ in range(2):
        found = newest_unread(mailbox, sent.conversation_id, gone_us - 1)
        assert found is not None
        assert found.message_id == sent.message_id
        assert newest_unread(mailbox, sent.conversation_id, gone_us) is None
        mailbox.windows.clear()


# ---------------------------------------------------------------------- no more


@both_kinds
@virtual_time
async def test_what_is_deleted_with_its_conversation_is_not_told_and_what_comes_later_is(late: bool) -> None:
    """By the copies in memory, and by the state where a load has none of them."""
    async with world(late=late) as all_:
        await all_.register("phone")
        await all_.ann_is_active()
        sent = await all_.send("secret")
        await all_.delete(sent.conversation_id)
        await asyncio.sleep(PATIENCE_S + SOON_S)
        assert all_.phones.taken() == []
        for number in range(2):
            await all_.servers.restart()
            await asyncio.sleep(PATIENCE_S + SOON_S)
            assert all_.phones.taken() == []
            newer = await all_.send(f"new {number}")
            await asyncio.sleep(PATIENCE_S + SOON_S)
            (told,) = all_.phones.taken()
            assert told == (
                "phone",
                MessageNote(newer.conversation_id.hex(), newer.message_id.hex(), newer.sent_timestamp, 1, "bob"),
            )
            _, mailbox = await all_.node.process.call(all_.node.owner.table.loaded("ann"))
            found = newest_unread(mailbox, sent.conversation_id, 0)
            assert found is not None
            assert found.text == f"new {number}"
            await all_.delete(sent.conversation_id)
            assert newest_unread(mailbox, sent.conversation_id, 0) is None
            await asyncio.sleep(CLEAR_S + SOON_S)
            assert all_.phones.taken() == [("phone", ReadNote(sent.conversation_id.hex(), 0))]
        await all_.ann_is_active()
        newer = await all_.send("taken back")
        await all_.node.change("bob", newer, None)
        await asyncio.sleep(PATIENCE_S + SOON_S)
        assert all_.phones.taken() == [], "nor is what was before it"


@both_kinds
@virtual_time
async def test_what_was_told_and_is_read_elsewhere_is_told_to_be_over_once(late: bool) -> None:
    async with world(late=late) as all_:
        await all_.register("phone")
        sent = await all_.send("hello")
        await all_.servers.quiet()
        await asyncio.sleep(SOON_S)
        await all_.register("tablet")
        assert all_.phones.devices() == ["phone"]
        await all_.read(sent)
        await all_.read(sent)
        await asyncio.sleep(CLEAR_S + SOON_S)
        assert all_.phones.taken() == [("phone", ReadNote(sent.conversation_id.hex(), 0))], "the tablet shows nothing"
        await all_.send("from me", "ann", "bob")
        await asyncio.sleep(60)
        assert all_.phones.taken() == []


@virtual_time
async def test_what_was_told_and_is_taken_back_is_told_to_be_over() -> None:
    async with world() as all_:
        await all_.register("phone")
        sent = await all_.send("hello")
        await asyncio.sleep(SOON_S)
        assert all_.phones.devices() == ["phone"]
        await all_.node.change("bob", sent, None)
        await asyncio.sleep(CLEAR_S + SOON_S)
        assert all_.phones.taken() == [("phone", ReadNote(sent.conversation_id.hex(), 1))]


@virtual_time
async def test_what_is_read_or_taken_back_while_it_is_being_told_is_told_to_be_over() -> None:
    async with world() as all_:
        all_.phones.takes_s = 1
        await all_.register("phone")
        sent = await all_.send("hello")
        await all_.read(sent)
        assert all_.phones.taken() == [], "it is under way"
        await asyncio.sleep(CLEAR_S + 3)
        first, second = all_.phones.taken()
        assert isinstance(first[1], MessageNote)
        assert second == ("phone", ReadNote(sent.conversation_id.hex(), 0))
        await asyncio.sleep(ACTIVE_S)
        sent = await all_.send("oops")
        await all_.node.change("bob", sent, None)
        assert all_.phones.taken() == [], "it is under way"
        await asyncio.sleep(CLEAR_S + 3)
        notes = [note for _, note in all_.phones.taken()]
        assert [type(note) for note in notes] == [MessageNote, ReadNote]


@virtual_time
async def test_what_came_behind_what_was_read_is_told_in_place_of_that() -> None:
    async with world() as all_:
        await all_.register("phone")
        first = await all_.send("hello")
        await asyncio.sleep(SOON_S)
        await all_.read(first)
        second = await all_.send("again")
        await asyncio.sleep(60)
        notes = [note for _, note in all_.phones.taken()]
        assert [note.message_id for note in notes if isinstance(note, MessageNote)] == [
            first.message_id.hex(),
            second.message_id.hex(),
        ]
        assert not [note for note in notes if isinstance(note, ReadNote)]


# ---------------------------------------------------------------------- owners end


@both_kinds
@virtual_time
async def test_what_was_told_is_not_told_again_by_the_next_owner(late: bool) -> None:
    async with world(late=late) as all_:
        await all_.register("phone")
        await all_.send("hello")
        await asyncio.sleep(NOTE_S + 2)
        assert all_.phones.devices() == ["phone"]
        await all_.servers.restart()
        await all_.listed()
        await asyncio.sleep(60)
        assert all_.phones.taken() == []


@virtual_time
async def test_notes_of_what_was_pushed_leave_the_queue_of_writes_to_others() -> None:
    """A group of thousands is pushed at once, and noted ten seconds later."""
    async with world() as all_:
        users = [f"user{number}" for number in range(20)]
        for user in users:
            await all_.register("phone", user)
            await all_.send(f"hello {user}", "bob", user)
        await asyncio.sleep(2)
        pushes, waiting = all_.node.owner.pushes, all_.node.owner.pipeline.waiting
        assert pushes is not None
        for user in users:
            pushes._note(user)
        assert waiting.count == len(users)
        assert waiting.size_bytes < 5_000 * len(users)
        await asyncio.sleep(SOON_S)
        assert waiting.count == 0


@virtual_time
async def test_a_conversation_that_changed_since_is_not_told_again_for_that() -> None:
    async with world() as all_:
        await all_.register("phone")
        sent = await all_.send("hello")
        await asyncio.sleep(NOTE_S + 2)
        assert all_.phones.devices() == ["phone"]
        await all_.mute(sent.conversation_id, all_.servers.clock.now_us() + US_PER_S)
        await all_.servers.restart()
        await all_.listed()
        await asyncio.sleep(60)
        assert all_.phones.taken() == []


@both_kinds
@virtual_time
async def test_what_an_owner_did_not_come_to_tell_the_next_load_finds(late: bool) -> None:
    async with world(late=late) as all_:
        await all_.register("phone")
        await all_.send("before", "zoe")
        await asyncio.sleep(NOTE_S + 2)
        assert all_.phones.devices() == ["phone"]
        await all_.ann_is_active()
        await all_.send("hello")
        last = await all_.send("again")
        await all_.servers.quiet()
        await all_.servers.restart()
        if not late:  # else the scan for outboxes may load it
            await asyncio.sleep(60)
            assert all_.phones.taken() == [], "nobody loads it"
        await all_.listed()
        await asyncio.sleep(PATIENCE_S - 1)
        assert all_.phones.taken() == [], "whoever asked may be she"
        await asyncio.sleep(2)
        ((_, note),) = all_.phones.taken()
        assert isinstance(note, MessageNote)
        assert (note.message_id, note.badge) == (last.message_id.hex(), 2), "the newest of each conversation"
        await asyncio.sleep(60)
        assert all_.phones.taken() == []


@virtual_time
async def test_after_a_move_the_new_owner_alone_tells() -> None:
    async with world(late=True) as all_:
        await all_.register("phone")
        await all_.ann_is_active()
        await all_.send("hello")
        await all_.servers.quiet()
        await all_.servers.move()
        await all_.listed()
        await asyncio.sleep(PATIENCE_S - 1)
        assert all_.phones.devices() == []
        await asyncio.sleep(60)
        assert all_.phones.devices() == ["phone"]


@virtual_time
async def test_what_is_older_than_the_target_is_not_told() -> None:
    async with world() as all_:
        await all_.send("hello")
        await all_.register("phone")
        await all_.servers.restart()
        await all_.listed()
        await asyncio.sleep(60)
        assert all_.phones.taken() == []


# ---------------------------------------------------------------------- targets


@both_kinds
@virtual_time
async def test_a_target_that_is_gone_is_removed(late: bool) -> None:
    async with world(late=late) as all_:
        await all_.register("phone")
        await all_.register("tablet")
        all_.phones.answer = Answer(Outcome.GONE)
        await all_.send("hello")
        await asyncio.sleep(SOON_S)
        assert sorted(all_.phones.devices()) == ["phone", "tablet"]
        assert await all_.listed() == {"phone": None, "tablet": None}
        await all_.send("again")
        await asyncio.sleep(60)
        assert all_.phones.taken() == []


@virtual_time
async def test_a_target_that_took_the_place_of_one_that_is_gone_stays() -> None:
    async with world() as all_:
        await all_.register("phone")
        all_.phones.answer = Answer(Outcome.GONE)
        await all_.send("hello")
        await asyncio.sleep(0.04)
        await all_.set_push("phone", web("new"))
        await asyncio.sleep(SOON_S)
        assert all_.phones.devices() == ["phone"]
        assert (await all_.listed())["phone"] is not None


@both_kinds
@virtual_time
async def test_a_webhook_is_told_its_code_alone_until_that_comes_back(late: bool) -> None:
    async with world(late=late) as all_:
        await all_.register("bot", push=False)
        shown = await all_.set_push("bot", hook("bot"))
        assert shown.push == PushShown("webhook", "hook.test", is_confirmed=False)
        await all_.send("hello")
        await asyncio.sleep(60)
        ((_, note),) = all_.phones.taken()
        assert isinstance(note, CodeNote)
        await all_.set_push("bot", hook("bot"))
        await asyncio.sleep(SOON_S)
        assert all_.phones.taken() == [("bot", note)], "the same one again"
        for target, code in ((hook("bot"), b"x" * 16), (hook("other"), bytes.fromhex(note.code))):
            with pytest.raises(BadRequest):
                await all_.set_push("bot", target, code=code)
        shown = await all_.set_push("bot", hook("bot"), code=bytes.fromhex(note.code))
        assert shown.push == PushShown("webhook", "hook.test", is_confirmed=True)
        await all_.send("again")
        await asyncio.sleep(SOON_S)
        assert all_.phones.devices() == ["bot"]
        shown = await all_.set_push("bot", hook("bot"))
        assert shown.push == PushShown("webhook", "hook.test", is_confirmed=True), "set again it stays"
        shown = await all_.set_push("bot", hook("other"))
        assert shown.push == PushShown("webhook", "hook.test", is_confirmed=False)


@virtual_time
async def test_what_waited_for_another_target_is_not_told_to_one_that_is_not_confirmed() -> None:
    async with world() as all_:
        await all_.register("bot", push=False)
        await all_.set_push("bot", hook("bot"))
        await asyncio.sleep(SOON_S)
        ((_, note),) = all_.phones.taken()
        assert isinstance(note, CodeNote)
        await all_.set_push("bot", hook("bot"), code=bytes.fromhex(note.code))
        all_.phones.answer = Answer(Outcome.LATER, 5_000)
        await all_.send("hello")
        await asyncio.sleep(SOON_S)
        assert all_.phones.devices() == ["bot"]
        all_.phones.answer = Answer(Outcome.OK)
        await all_.set_push("bot", hook("other"))
        await asyncio.sleep(60)
        told = all_.phones.taken()
        assert [(device, type(note)) for device, note in told] == [("other", CodeNote)]


@virtual_time
async def test_a_target_needs_a_device_and_a_host_that_is_allowed() -> None:
    async with world() as all_:
        with pytest.raises(UnknownDevice):
            await all_.set_push("phone", web("phone"))
        await all_.register("phone")
        with pytest.raises(BadRequest):
            await all_.set_push("phone", PushTarget("web", "https://evil.test/phone", b"k"))
        shown = await all_.set_push("phone", None)
        assert shown.push is None
        await all_.set_push("phone", None)
        await all_.send("hello")
        await asyncio.sleep(60)
        assert all_.phones.taken() == []


@virtual_time
async def test_an_owner_without_services_takes_no_target() -> None:
    async with cluster(late=False) as servers:
        node = servers.node
        await node.process.call(node.owner.register_device(RegisterDevice("ann", "phone", "", "")))
        with pytest.raises(PushOff):
            await node.process.call(node.owner.set_push(SetPush("ann", "phone", web("phone"))))
        await node.process.call(node.owner.set_push(SetPush("ann", "phone", None)))


@virtual_time
async def test_the_same_note_has_the_same_id() -> None:
    async with world() as all_:
        await all_.register("phone")
        await all_.register("tablet")
        all_.phones.answer = Answer(Outcome.LATER, 1000)
        await all_.send("hello")
        await asyncio.sleep(3)
        ids = {(one.device, one.push_id) for one in all_.phones.told}
        assert len(all_.phones.told) >= 4
        assert len(ids) == 2
