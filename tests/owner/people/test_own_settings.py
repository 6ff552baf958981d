"""How users set their conversations for themselves, as owners keep it and tell their devices."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.port import AccountResult, ChangeAccount, Changed, Changes, Lost
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.account.deeds import SetConversation
from rowbox.mailbox.errors import RowboxError, StoreOutcomeUnknown, TooManyPinned, UnknownConversation
from rowbox.mailbox.groups.requests import Leave, Update
from rowbox.mailbox.people.own_settings import MOST_PINNED
from tests.checking import assert_no_findings
from tests.support.cluster import CRAMPED, SHARDS, UNLIMITED, Cluster, Node, cluster, parsed
from tests.support.virtual_time import virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
SHOWN = ("mutedUntil", "archived", "pinned", "markedUnread")


@asynccontextmanager
async def servers(*, late: bool, cramped: bool = False) -> AsyncIterator[Cluster]:
    """In the end no mailbox has anything that the check finds."""
    async with cluster(late=late, settings=CRAMPED if cramped else UNLIMITED) as made:
        yield made
        await made.quiet()
        await assert_no_findings(made.store, made.settings, made.clock.now_us())


async def done(node: Node, user: str, conversation: bytes, **settings: Any) -> AccountResult:
    deed = SetConversation(conversation, **settings)
    return await node.process.call(node.owner.change_account(ChangeAccount(user, deed)))


def own_of(conversation: Any) -> dict[str, Any]:
    return {name: conversation[name] for name in SHOWN if name in conversation}


async def shown(node: Node, user: str) -> dict[str, Any]:
    """The settings of the user's newest conversation, the same by a list and by the feed's beginning."""
    (listed,) = parsed(await node.conversations(user, page_size=1))
    (begun, *_) = map(json.loads, (await node.changes(user)).conversations)
    assert begun == listed
    return own_of(listed)


def told(changes: Changes) -> list[dict[str, Any]]:
    return [own_of(json.loads(one)) for one in changes.conversations]


@both_kinds
@virtual_time
async def test_what_is_set_stays_set_and_what_is_left_out_stays(*, late: bool) -> None:
    async with servers(late=late, cramped=True) as made:
        node = made.node
        talk = (await node.send("bob", "ann", "hello", "c1")).conversation_id
        assert await shown(node, "ann") == {}
        until = made.clock.now_us() + 3_600_000_000
        first = await done(node, "ann", talk, muted_until=until, is_pinned=True)
        second = await done(node, "ann", talk, is_archived=True, is_marked_unread=True)
        assert first.changed
        assert first.version < second.version
        assert await done(node, "ann", talk, muted_until=until, is_archived=True) == replace(second, changed=False)
        for _ in range(2):
            assert await shown(node, "ann") == {
                "mutedUntil": until,
                "archived": True,
                "pinned": True,
                "markedUnread": True,
            }
            assert await shown(node, "bob") == {}, "nobody else sees it"
            node = await made.restart()
        await done(node, "ann", talk, muted_until=0, is_archived=False, is_pinned=False, is_marked_unread=False)
        assert await shown(node, "ann") == {}


@both_kinds
@virtual_time
async def test_what_is_refused_or_is_so_already_writes_nothing(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        talk = (await node.send("bob", "ann", "hello", "c1")).conversation_id
        await done(node, "ann", talk, is_pinned=True)
        row = row_key("ann", SHARDS)
        before = await made.store.get_row(row, tuple(Family))
        await done(node, "ann", talk, is_pinned=True)
        await done(node, "ann", talk, is_archived=False, muted_until=0)
        with pytest.raises(UnknownConversation):
            await done(node, "ann", bytes(16), is_pinned=True)
        with pytest.raises(UnknownConversation):
            await done(node, "cem", talk, is_pinned=True)
        assert await made.store.get_row(row, tuple(Family)) == before


@both_kinds
@virtual_time
async def test_the_users_devices_are_told_by_every_way(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        talk = (await node.send("bob", "ann", "hello", "c1")).conversation_id
        tokens = {user: (await node.changes(user)).token for user in ("ann", "bob")}
        heard: list[Changed | Lost] = []
        following = await node.follow("ann", heard.append)
        poll = asyncio.create_task(node.changes("ann", token=tokens["ann"], wait_ms=50_000))
        listed = (await node.conversations("ann")).token
        listing = asyncio.create_task(node.conversations("ann", token=listed, wait_ms=50_000))
        await asyncio.sleep(1)
        result = await done(node, "ann", talk, is_archived=True)
        answer, page = await asyncio.wait_for(poll, 1), await asyncio.wait_for(listing, 1)
        (one,) = heard
        assert isinstance(one, Changed)
        assert one.frame is not None
        (by_frame,) = json.loads(one.frame)["conversations"]
        (by_poll,) = map(json.loads, answer.conversations)
        assert [by_frame] == [by_poll] == parsed(page)
        assert (own_of(by_poll), by_poll["lastUpdatedTimestamp"]) == ({"archived": True}, result.version)
        assert (answer.account, answer.messages) == (False, [])
        assert not (await node.changes("bob", token=tokens["bob"])).conversations
        following.close()


@both_kinds
@virtual_time
async def test_a_message_takes_out_of_the_archive_what_is_not_muted(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        talk = (await node.send("bob", "ann", "hello", "c1")).conversation_id
        await done(node, "ann", talk, is_archived=True)
        token = (await node.changes("ann")).token
        await node.send("bob", "ann", "again", "c2")
        assert told(await node.changes("ann", token=token)) == [{}]
        muted = {"mutedUntil": made.clock.now_us() + 60_000_000}
        await done(node, "ann", talk, is_archived=True, muted_until=muted["mutedUntil"])
        await node.send("bob", "ann", "and again", "c3")
        await node.send("ann", "bob", "what is it?", "c4")
        assert await shown(node, "ann") == {"archived": True, **muted}
        await asyncio.sleep(61)
        assert await shown(node, "ann") == {"archived": True, **muted}, "the time that passes is no change"
        await node.send("bob", "ann", "hello?", "c5")
        assert await shown(node, "ann") == muted
        await done(node, "ann", talk, is_archived=True)
        await node.send("ann", "bob", "here I am", "c6")
        assert await shown(node, "ann") == muted


@both_kinds
@virtual_time
async def test_what_is_marked_unread_is_read_by_a_mark_that_does_not_move_and_by_writing(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        sent = await node.send("bob", "ann", "hello", "c1")
        talk = sent.conversation_id
        await node.mark_read("ann", talk, sent.message_id)
        await done(node, "ann", talk, is_marked_unread=True)
        token = (await node.changes("ann")).token
        marked = await node.mark_read("ann", talk, sent.message_id)
        changes = await node.changes("ann", token=token)
        assert told(changes) == [{}]
        assert json.loads(changes.conversations[0])["lastUpdatedTimestamp"] == marked.last_updated_timestamp
        assert await node.mark_read("ann", talk, sent.message_id) == marked
        await done(node, "ann", talk, is_marked_unread=True)
        newer = await node.send("bob", "ann", "again", "c2")
        assert await shown(node, "ann") == {"markedUnread": True}
        await node.mark_read("ann", talk, newer.message_id)
        assert await shown(node, "ann") == {}
        await done(node, "ann", talk, is_marked_unread=True)
        await node.send("ann", "bob", "yes?", "c3")
        assert await shown(node, "ann") == {}


@both_kinds
@virtual_time
async def test_the_order_of_the_list_stays_and_few_are_pinned(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        talks = [(await node.send("ann", f"u{one}", "hello", f"c{one}")).conversation_id for one in range(22)]
        order = [one["conversationId"] for one in parsed(await node.conversations("ann", page_size=30))]
        for talk in talks[:MOST_PINNED]:
            await done(node, "ann", talk, is_pinned=True)
        for _ in range(2):
            with pytest.raises(TooManyPinned):
                await done(node, "ann", talks[-1], is_pinned=True)
            assert not (await done(node, "ann", talks[0], is_pinned=True)).changed
            assert (await done(node, "ann", talks[-1], is_marked_unread=True)).changed
            await done(node, "ann", talks[-1], is_marked_unread=False)
            node = await made.restart()
        await done(node, "ann", talks[0], is_pinned=False)
        both = await asyncio.gather(
            *(done(node, "ann", talk, is_pinned=True) for talk in talks[-2:]), return_exceptions=True
        )
        assert [type(one) for one in both] == [AccountResult, TooManyPinned], "one plan counts what it has planned"
        assert [one["conversationId"] for one in parsed(await node.conversations("ann", page_size=30))] == order


@both_kinds
@virtual_time
async def test_a_group_is_set_as_any_conversation_and_what_nobody_wrote_leaves_it_archived(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        group = (await node.create_group("ann", "bob")).conversation_id
        await made.quiet()
        await done(node, "bob", group, is_archived=True, is_marked_unread=True)
        await node.change_group("ann", group, Update("Books", None))
        await made.quiet()
        assert await shown(node, "bob") == {"archived": True, "markedUnread": True}
        await node.send_to("ann", group, "hello", "c1")
        await made.quiet()
        assert await shown(node, "bob") == {"markedUnread": True}
        await done(node, "bob", group, is_archived=True)
        await node.send_to("bob", group, "hello", "c1")
        assert await shown(node, "bob") == {}
        await done(node, "bob", group, is_archived=True, is_pinned=True)
        await node.change_group("bob", group, Leave())
        await made.quiet()
        assert await shown(node, "bob") == {"archived": True, "pinned": True}
        await done(node, "bob", group, is_pinned=False)
        assert await shown(node, "ann") == {}


@virtual_time
async def test_a_write_of_unknown_outcome_that_is_sent_again_is_one_change() -> None:
    async with servers(late=True) as made:
        node = made.node
        talk = (await node.send("bob", "ann", "hello", "c1")).conversation_id
        await made.quiet()
        node.store.faults.next(Fault.FAIL_AFTER, Op.MUTATE)
        outcomes: list[AccountResult | RowboxError] = []
        for _ in range(2):
            try:
                outcomes.append(await done(node, "ann", talk, is_pinned=True))
            except StoreOutcomeUnknown as error:
                outcomes.append(error)
        assert isinstance(outcomes[0], StoreOutcomeUnknown)
        assert isinstance(outcomes[1], AccountResult)
        assert not outcomes[1].changed
        assert await shown(node, "ann") == {"pinned": True}


@both_kinds
@virtual_time
async def test_who_asks_whether_somebody_is_to_be_called_is_told_by_the_time(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        talk = (await node.send("bob", "ann", "hello", "c1")).conversation_id
        until = made.clock.now_us() + 60_000_000
        await done(node, "ann", talk, muted_until=until)
        _, mailbox = await node.process.call(node.owner.table.loaded("ann"))
        assert [mailbox.index.is_muted(talk, at) for at in (until - 1, until)] == [True, False]
        assert not mailbox.index.is_muted(bytes(16), until - 1)
