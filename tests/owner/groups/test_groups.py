"""Groups, as an owner answers: who is in, who may, what everybody's mailbox shows. On both kinds of store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rowbox.cacheserver.check.mailbox_check import MailboxCheck
from rowbox.cacheserver.port import GroupResult
from rowbox.mailbox.errors import (
    ClientGroupIdReused,
    ClientMessageIdReused,
    GroupDeleted,
    GroupFull,
    MessageTooLarge,
    NotAllowed,
    NotAMember,
    UnknownConversation,
    UnknownMember,
)
from rowbox.mailbox.group import GroupSettings, WhoMay
from rowbox.mailbox.groups.requests import Add, Delete, Leave, Remove, SetRole, Update
from tests.checking import assert_no_findings
from tests.support.cluster import UNLIMITED, Cluster, Json, Node, all_conversations, all_messages, cluster, parsed
from tests.support.virtual_time import virtual_time


@asynccontextmanager
async def checked(*, late: bool) -> AsyncIterator[Cluster]:
    """A cluster whose mailboxes and groups are checked in the end."""
    async with cluster(late=late) as made:
        yield made
        await made.quiet()
        await assert_no_findings(made.store, UNLIMITED, made.clock.now_us(), slack_us=0)
        for user in ("ann", "bob", "eve"):
            report = await MailboxCheck(made.store, UNLIMITED.store, made.clock.now_us, slack_us=0).check(user)
            assert report.findings == []


both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])


async def told(node: Node, user: str, group: bytes) -> list[str]:
    """What a mailbox shows of a group, the oldest first: texts, and system messages as `type:users`."""
    items, _ = await all_messages(node, user, group, 3)
    return [text_of(item) for item in reversed(items)]


def text_of(item: Json) -> str:
    event = item.get("event")
    return item["messageContent"] if event is None else f"{event['type']}:{','.join(event['users'])}"


async def listed(node: Node, user: str) -> Json:
    """The one conversation in a user's list."""
    (item,), _ = await all_conversations(node, user, 5)
    return item


async def five(made: Cluster, **how: Any) -> GroupResult:
    """Ann's group of five."""
    result = await made.node.create_group("ann", "bob", "cid", "dan", "eve", name="the five", **how)
    await made.quiet()
    return result


@both_kinds
@virtual_time
async def test_a_group_is_created_once_and_everybody_has_its_messages(late: bool) -> None:
    async with checked(late=late) as made:
        node = made.node
        group = await five(made)
        assert group.changed
        again = await node.create_group("ann", "bob", "cid", "dan", "eve", name="the five")
        assert (again.conversation_id, again.version, again.changed) == (group.conversation_id, group.version, False)
        with pytest.raises(ClientGroupIdReused):
            await node.create_group("ann", "bob")
        sent = await node.send_to("bob", group.conversation_id, "hello", "1")
        assert (sent.pending_recipients, sent.duplicate) == (0, False)
        twice = await node.send_to("bob", group.conversation_id, "hello", "1")
        assert (twice.message_id, twice.duplicate) == (sent.message_id, True)
        assert twice.last_updated_timestamp == sent.last_updated_timestamp
        with pytest.raises(ClientMessageIdReused):
            await node.send_to("bob", group.conversation_id, "hello!", "1")
        await made.quiet()
        for user in ("ann", "bob", "cid", "dan", "eve"):
            assert await told(node, user, group.conversation_id) == ["created:bob,cid,dan,eve", "hello"]
            item = await listed(node, user)
            assert (item["kind"], item["name"], item["memberCount"]) == ("group", "the five", 5)
            assert (item["membership"], item["role"]) == ("in", "owner" if user == "ann" else "member")
            assert item["participants"] == ["ann", "bob", "cid", "dan", "eve"]
            assert (item["snippet"], item["lastSenderId"]) == ("hello", "bob")
            assert item["unreadCount"] == (0 if user == "bob" else 1)
        view = (await node.group("eve", group.conversation_id)).view
        assert [(one.user_id, one.role) for one in view.members][:2] == [("ann", "owner"), ("bob", "member")]


@both_kinds
@virtual_time
async def test_who_is_out_gets_nothing_and_sends_nothing(late: bool) -> None:
    async with checked(late=late) as made:
        node = made.node
        group = (await five(made)).conversation_id
        await node.send_to("ann", group, "for all", "1")
        assert (await node.change_group("ann", group, Remove("bob"))).changed
        await node.send_to("ann", group, "without bob", "2")
        await made.quiet()
        assert await told(node, "bob", group) == ["created:bob,cid,dan,eve", "for all", "removed:bob"]
        assert (await listed(node, "bob"))["membership"] == "removed"
        with pytest.raises(NotAMember):
            await node.send_to("bob", group, "still here", "b")
        with pytest.raises(NotAMember):
            await node.group("bob", group)
        with pytest.raises(UnknownConversation):
            await node.send_to("mallory", group, "hi", "m")
        with pytest.raises(UnknownConversation):
            await node.group("mallory", group)
        assert not (await node.change_group("ann", group, Remove("bob"))).changed
        assert (await node.change_group("ann", group, Add(("bob", "bob"), 100))).changed
        assert not (await node.change_group("ann", group, Add(("bob",), 100))).changed
        await node.send_to("bob", group, "back", "b2")
        await made.quiet()
        assert await told(node, "bob", group) == [
            "created:bob,cid,dan,eve",
            "for all",
            "removed:bob",
            "added:bob",
            "back",
        ]
        whole = ["created:bob,cid,dan,eve", "for all", "removed:bob", "without bob", "added:bob", "back"]
        assert await told(node, "ann", group) == await told(node, "eve", group) == whole


@both_kinds
@virtual_time
async def test_roles_and_the_owners_succession(late: bool) -> None:
    async with checked(late=late) as made:
        node = made.node
        group = (await five(made)).conversation_id
        for deed in (Remove("cid"), Add(("fay",), 100), Update("ours", None), SetRole("cid", "admin"), Delete()):
            with pytest.raises(NotAllowed):
                await node.change_group("bob", group, deed)
        await node.change_group("ann", group, SetRole("dan", "admin"))
        with pytest.raises(NotAllowed):
            await node.change_group("dan", group, Remove("ann"))
        with pytest.raises(UnknownMember):
            await node.change_group("ann", group, SetRole("mallory", "admin"))
        with pytest.raises(GroupFull):
            await node.change_group("dan", group, Add(("fay",), 5))
        await node.change_group("dan", group, Update("ours", None))
        await node.change_group("dan", group, Update(None, GroupSettings(who_can_send=WhoMay.ADMINS)))
        with pytest.raises(NotAllowed):
            await node.send_to("bob", group, "may I", "b")
        await node.change_group("ann", group, Leave())
        await made.quiet()
        assert (await listed(node, "dan"))["role"] == "owner"
        assert (await listed(node, "eve"))["name"] == "ours"
        assert (await listed(node, "ann"))["membership"] == "left"
        for user in ("ann", "bob", "dan"):
            (left, *_), _ = await all_messages(node, user, group, 3)
            assert left["event"] == {"type": "left", "actor": "ann", "users": ["ann"], "owner": "dan"}
        await node.change_group("dan", group, Leave())
        await made.quiet()
        assert (await listed(node, "bob"))["role"] == "owner"  # the longest in
        await node.change_group("bob", group, Delete())
        await made.quiet()
        for user in ("bob", "cid", "eve"):
            assert (await listed(node, user))["membership"] == "deleted"
            with pytest.raises(GroupDeleted):
                await node.send_to(user, group, "too late", "x")


@both_kinds
@virtual_time
async def test_the_last_one_who_leaves_deletes_the_group(late: bool) -> None:
    async with checked(late=late) as made:
        node = made.node
        group = (await node.create_group("ann")).conversation_id
        await node.send_to("ann", group, "alone", "1")
        await node.change_group("ann", group, Leave())
        await made.quiet()
        assert await told(node, "ann", group) == ["created:", "alone", "left:ann"]
        with pytest.raises(NotAMember):
            await node.send_to("ann", group, "more", "2")


@both_kinds
@virtual_time
async def test_unread_messages_are_others_texts(late: bool) -> None:
    async with checked(late=late) as made:
        node = made.node
        group = (await five(made)).conversation_id
        sent = [await node.send_to("ann", group, f"text {number}", str(number)) for number in range(3)]
        await node.change_group("ann", group, Update("renamed", None))
        await made.quiet()
        assert (await listed(node, "bob"))["unreadCount"] == 3
        marked = await node.mark_read("bob", group, sent[0].message_id)
        assert marked.unread_count == 2
        await made.restart()
        node = made.node
        assert (await listed(node, "bob"))["unreadCount"] == 2
        assert (await node.mark_read("bob", group, sent[1].message_id)).unread_count == 1


@both_kinds
@virtual_time
async def test_after_a_restart_everything_is_as_before(late: bool) -> None:
    async with checked(late=late) as made:
        group = (await five(made)).conversation_id
        sent = await made.node.send_to("ann", group, "before", "1")
        await made.quiet()
        before = {user: await told(made.node, user, group) for user in ("ann", "bob", "eve")}
        await made.restart()
        node = made.node
        assert {user: await told(node, user, group) for user in before} == before
        again = await node.send_to("ann", group, "before", "1")
        assert (again.message_id, again.duplicate) == (sent.message_id, True)
        await node.send_to("eve", group, "after", "1")
        await made.quiet()
        assert (await told(node, "bob", group))[-2:] == ["before", "after"]


@both_kinds
@virtual_time
async def test_deltas_and_the_feed_bring_a_groups_events(late: bool) -> None:
    async with checked(late=late) as made:
        node = made.node
        begun = await node.changes("bob")
        group = (await five(made)).conversation_id
        await node.send_to("ann", group, "hello", "1")
        await made.quiet()
        changes = await node.changes("bob", token=begun.token)
        assert len(changes.messages) == 2
        assert len(changes.conversations) == 1
        page = await node.messages("bob", group)
        await node.change_group("ann", group, Remove("bob"))
        await made.quiet()
        delta = parsed(await node.messages("bob", group, token=page.token))
        assert [text_of(item) for item in delta] == ["removed:bob"]


@virtual_time
async def test_messages_of_groups_have_a_limit() -> None:
    async with checked(late=True) as made:
        node = made.node
        group = (await five(made)).conversation_id
        with pytest.raises(MessageTooLarge):
            await node.send_to("ann", group, "x" * 16_385, "2")


@both_kinds
@virtual_time
async def test_a_send_names_a_conversation_of_two_as_well(late: bool) -> None:
    async with checked(late=late) as made:
        node = made.node
        first = await node.send("ann", "bob", "hello", "1")
        second = await node.send_to("bob", first.conversation_id, "hi", "1")
        assert second.conversation_id == first.conversation_id
        notes = await node.send("ann", "ann", "buy milk", "2")
        assert (await node.send_to("ann", notes.conversation_id, "and bread", "3")).pending_recipients == 0
        with pytest.raises(UnknownConversation):
            await node.send_to("mallory", first.conversation_id, "hi", "1")
