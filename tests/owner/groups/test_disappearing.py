"""Disappearing messages in groups: the group's row says for how long, and all members' copies end at once."""

import asyncio
from typing import Final

import orjson
import pytest

from rowbox.cacheserver.port import SendResult
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.mailbox.errors import NotAllowed, UnknownMessage
from rowbox.mailbox.group import SENDS_KEPT_US, GroupSettings, History, WhoMay, group_name
from rowbox.mailbox.groups.requests import Add, Remove, Update
from tests.checking import assert_no_findings
from tests.owner.groups.test_groups import both_kinds
from tests.support.cluster import Cluster, Json, Node, all_conversations, cluster, parsed
from tests.support.virtual_time import virtual_time

HOUR_MS: Final = 3_600_000
MEMBERS: Final = ("ann", "bob", "cid")


async def a_group(servers: Cluster) -> bytes:
    group = (await servers.node.create_group("ann", "bob", "cid")).conversation_id
    await servers.quiet()
    return group


async def said(servers: Cluster, group: bytes, text: str, sender: str = "ann") -> SendResult:
    sent = await servers.node.send_to(sender, group, text, text)
    await servers.quiet()
    return sent


async def texts(node: Node, user: str, group: bytes) -> list[str]:
    items = parsed(await node.messages(user, group))
    return [item["messageContent"] for item in items if "event" not in item]


async def listed(node: Node, user: str) -> Json:
    (item,), _ = await all_conversations(node, user, 10)
    return item


async def no_findings(servers: Cluster) -> None:
    await servers.quiet()
    await assert_no_findings(servers.store, servers.settings, servers.clock.now_us(), slack_us=1_000_000)


@both_kinds
@virtual_time
async def test_all_members_have_a_message_until_one_moment_and_none_after_it(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        group = await a_group(servers)
        with pytest.raises(NotAllowed):
            await node.set_ttl("bob", group, HOUR_MS)
        await said(servers, group, "kept")
        assert (await node.set_ttl("ann", group, HOUR_MS)).changed
        assert not (await node.set_ttl("ann", group, HOUR_MS)).changed
        await servers.quiet()
        sent = await said(servers, group, "secret", "bob")
        ends_us = sent.sent_timestamp + HOUR_MS * 1000
        await node.react("cid", sent, "\U0001f44d")
        await asyncio.sleep(2)
        await node.change("bob", sent, "secret, edited")
        await servers.quiet()
        for user in MEMBERS:
            newest = parsed(await node.messages(user, group))[0]
            assert (newest["expiresTimestamp"], newest["messageContent"]) == (ends_us, "secret, edited")
            item = await listed(node, user)
            assert (item["ttlMs"], item["snippetExpiresTimestamp"]) == (HOUR_MS, ends_us)
        await asyncio.sleep((ends_us - servers.clock.now_us()) / 1_000_000 - 1)
        assert [len(await texts(node, user, group)) for user in MEMBERS] == [2, 2, 2]
        await asyncio.sleep(2)
        for user in MEMBERS:
            assert await texts(node, user, group) == ["kept"]
            assert (await listed(node, user))["snippet"] is None
        assert (await listed(node, "cid"))["unreadCount"] == 1
        with pytest.raises(UnknownMessage):
            await node.change("bob", sent, "secret, edited again")
        await no_findings(servers)


@both_kinds
@virtual_time
async def test_other_settings_of_a_group_leave_its_ttl_as_it_is(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        group = await a_group(servers)
        await node.set_ttl("ann", group, HOUR_MS)
        await servers.quiet()
        await node.change_group("ann", group, Update("Books", GroupSettings(who_can_send=WhoMay.ADMINS)))
        await servers.quiet()
        await node.change_group("ann", group, Add(("dan",), 100))
        await servers.quiet()
        assert {(await listed(node, user))["ttlMs"] for user in (*MEMBERS, "dan")} == {HOUR_MS}
        assert (await node.set_ttl("ann", group, 0)).changed
        await servers.quiet()
        assert "ttlMs" not in await listed(node, "dan")
        assert "expiresTimestamp" not in parsed(await node.messages("dan", group))[0]
        await no_findings(servers)


@virtual_time
async def test_an_event_that_comes_after_its_message_has_ended_moves_the_chain_alone() -> None:
    async with cluster(late=True) as servers:
        group = await a_group(servers)
        await servers.node.set_ttl("ann", group, HOUR_MS)
        await servers.quiet()
        sent = await said(servers, group, "secret")
        await servers.kill()
        row = group_name(group)
        await asyncio.sleep(HOUR_MS / 1000 + 60)
        node = await servers.start()
        assert await texts(node, "bob", group) == []
        later = await said(servers, group, "later", "bob")
        await node.change_group("ann", group, Remove("cid"))
        await servers.quiet()
        assert await texts(node, "ann", group) == ["later"]
        assert later.message_id > sent.message_id
        assert node.owner.table.row(row).mailbox is not None
        await no_findings(servers)


@virtual_time
async def test_a_send_that_reaches_its_own_sender_after_its_end_is_known_for_the_whole_dedupe_life() -> None:
    """The group's row forgets it an hour after everybody has taken the event, and nobody has the message."""
    async with cluster(late=True) as servers:
        group = await a_group(servers)
        await servers.node.set_ttl("ann", group, HOUR_MS)
        await servers.quiet()
        store = servers.node.store
        store.hold()
        sending = asyncio.ensure_future(servers.node.send_to("ann", group, "secret", "c1"))
        while not store.gates[Point.WRITE].waiting:  # noqa: ASYNC110 - nobody but tests waits for it
            await asyncio.sleep(0.01)
        store.release()
        await asyncio.sleep(0)
        store.hold()
        await asyncio.sleep(1)
        await servers.kill()
        await asyncio.gather(sending, return_exceptions=True)
        await asyncio.sleep(HOUR_MS / 1000 + 60)
        node = await servers.start()
        assert await texts(node, "ann", group) == await texts(node, "bob", group) == []
        await servers.quiet()
        first = await node.send_to("ann", group, "secret", "c1")
        assert first.duplicate
        await said(servers, group, "later", "bob")
        await asyncio.sleep(SENDS_KEPT_US / 1_000_000 + 1800)
        node = await servers.restart()
        again = await node.send_to("ann", group, "secret", "c1")
        assert (again.message_id, again.duplicate) == (first.message_id, True)
        assert await texts(node, "bob", group) == []
        await no_findings(servers)


@both_kinds
@virtual_time
async def test_what_a_joiner_is_given_of_before_ends_with_the_other_copies_also_in_deltas(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        recent = GroupSettings(history=History.RECENT)
        group = (await node.create_group("ann", "bob", "cid", settings=recent)).conversation_id
        await node.set_ttl("ann", group, HOUR_MS)
        sent = await said(servers, group, "secret")
        await node.change("ann", sent, "secret, edited")
        await said(servers, group, "another secret")
        await servers.quiet()
        await node.change_group("ann", group, Add(("dan",), 100))
        await servers.quiet()
        for seconds, count in ((0.0, 2), (HOUR_MS / 1000 + 60, 0)):
            await asyncio.sleep(seconds)
            messages = [orjson.loads(one) for one in (await node.changes("dan", token=0)).messages]
            by_feed = [one["messageContent"] for one in messages if "secret" in one["messageContent"]]
            items = parsed(await node.messages("dan", group, token=0))
            by_delta = [one["messageContent"] for one in items if "secret" in one["messageContent"]]
            assert (len(by_feed), len(by_delta)) == (count, count)
        await no_findings(servers)
