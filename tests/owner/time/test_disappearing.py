"""Disappearing messages: gone from every answer at one moment, in every mailbox, and some time later from the store."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import orjson
import pytest
from msgspec.structs import replace

from rowbox.cacheserver.port import SendResult
from rowbox.cacheserver.rows.disappeared import FIRST_WALK_S, MARGIN_US, WALK_S
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import TTL
from rowbox.mailbox.errors import BadRequest, UnknownConversation, UnknownMessage
from rowbox.mailbox.ids import direct_conversation_id
from rowbox.mailbox.settings.config import Settings, StoreSettings
from tests.checking import assert_no_findings
from tests.owner.search.searching import searching
from tests.support.cluster import (
    CRAMPED,
    SHARDS,
    UNLIMITED,
    Cluster,
    Json,
    Node,
    all_conversations,
    all_messages,
    cluster,
    parsed,
)
from tests.support.virtual_time import virtual_time

HOUR_MS: Final = 3_600_000
HOUR_S: Final = 3600.0
DAY_MS: Final = 24 * HOUR_MS
WITH_BOB: Final = direct_conversation_id("ann", "bob")

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
both_sizes = pytest.mark.parametrize("how", [UNLIMITED, CRAMPED], ids=["roomy", "cramped"])


async def no_findings(servers: Cluster) -> None:
    await servers.quiet()
    await assert_no_findings(servers.store, servers.settings, servers.clock.now_us(), slack_us=1_000_000)


async def said(servers: Cluster, text: str, sender: str = "ann", recipient: str = "bob") -> SendResult:
    result = await servers.node.send(sender, recipient, text, text)
    await servers.quiet()
    return result


async def an_hour(servers: Cluster, setter: str = "ann") -> None:
    """Ann and Bob have spoken; what they write from now on lasts for an hour."""
    await said(servers, "kept")
    await servers.node.set_ttl(setter, WITH_BOB, HOUR_MS)
    await servers.quiet()


async def until(servers: Cluster, sent: SendResult, *, seconds: float) -> None:
    """Sleeps until so long after a message of an hour has ended; before it, where that is less than 0."""
    ends_us = sent.sent_timestamp + HOUR_MS * 1000
    await asyncio.sleep((ends_us - servers.clock.now_us()) / 1_000_000 + seconds)


def texts(items: list[Json]) -> list[str]:
    return [item["messageContent"] for item in items]


async def listed(node: Node, user: str) -> Json:
    (item,), _ = await all_conversations(node, user, 10)
    return item


# Every way to read, one second before the end and one second after it


async def by_pages(node: Node, user: str, _: SendResult) -> list[str]:
    return texts((await all_messages(node, user, WITH_BOB, 1))[0])


async def by_the_first_page(node: Node, user: str, _: SendResult) -> list[str]:
    return texts(parsed(await node.messages(user, WITH_BOB)))


async def by_a_number(node: Node, user: str, _: SendResult) -> list[str]:
    pages = [await node.messages(user, WITH_BOB, page_number=number, page_size=1) for number in range(3)]
    return [text for page in pages for text in texts(parsed(page))]


async def by_pages_of_all(node: Node, user: str, _: SendResult) -> list[str]:
    return texts((await all_messages(node, user, None, 1))[0])


async def by_a_delta(node: Node, user: str, _: SendResult) -> list[str]:
    return texts(parsed(await node.messages(user, WITH_BOB, token=0)))


async def by_a_delta_of_all(node: Node, user: str, _: SendResult) -> list[str]:
    return texts(parsed(await node.messages(user, token=0)))


async def by_the_feed(node: Node, user: str, _: SendResult) -> list[str]:
    return [orjson.loads(one)["messageContent"] for one in (await node.changes(user, token=0)).messages]


async def by_the_snippet(node: Node, user: str, _: SendResult) -> list[str]:
    item = await listed(node, user)
    return [item["snippet"]] if item["snippet"] else []


async def by_the_snippet_in_a_delta(node: Node, user: str, _: SendResult) -> list[str]:
    items = parsed(await node.conversations(user, token=0))
    return [item["snippet"] for item in items if item["snippet"]]


async def by_the_snippet_in_the_feed(node: Node, user: str, _: SendResult) -> list[str]:
    items = [orjson.loads(one) for one in (await node.changes(user)).conversations]
    return [item["snippet"] for item in items if item["snippet"]]


async def by_a_search(node: Node, user: str, _: SendResult) -> list[str]:
    return [orjson.loads(one)["messageContent"] for one in (await node.search(user, "secret")).messages]


async def by_a_reaction(node: Node, user: str, sent: SendResult) -> list[str]:
    try:
        await node.react(user, sent, "")
    except UnknownMessage:
        return []
    return ["secret"]


READS: Final[tuple[Callable[[Node, str, SendResult], Awaitable[list[str]]], ...]] = (
    by_pages,
    by_the_first_page,
    by_a_number,
    by_pages_of_all,
    by_a_delta,
    by_a_delta_of_all,
    by_the_feed,
    by_the_snippet,
    by_the_snippet_in_a_delta,
    by_the_snippet_in_the_feed,
    by_a_search,
    by_a_reaction,
)


@both_kinds
@both_sizes
@pytest.mark.parametrize("is_edited", [False, True], ids=["as sent", "edited"])
@virtual_time
async def test_no_way_to_read_shows_a_message_a_second_after_its_end_and_each_does_a_second_before(
    late: bool, how: Settings, is_edited: bool, tmp_path: Path
) -> None:
    async with searching(tmp_path, late=late, settings=how) as servers:
        node = servers.node
        await an_hour(servers)
        sent = await said(servers, "secret")
        if is_edited:
            await asyncio.sleep(60)
            await node.change("ann", sent, "secret, edited")
            await servers.quiet()
        await until(servers, sent, seconds=-1)
        for user in ("ann", "bob"):
            for read in READS:
                shown = await read(node, user, sent)
                assert any(text.startswith("secret") for text in shown), read.__name__
        await asyncio.sleep(2)
        for user in ("ann", "bob"):
            for read in READS:
                shown = await read(node, user, sent)
                assert not any(text.startswith("secret") for text in shown), read.__name__
            assert (await listed(node, user))["unreadCount"] == (1 if user == "bob" else 0)
        await no_findings(servers)


@both_kinds
@virtual_time
async def test_all_copies_say_when_they_end_and_an_edit_does_not_change_it(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await an_hour(servers)
        sent = await said(servers, "secret")
        ends = sent.sent_timestamp + HOUR_MS * 1000
        await asyncio.sleep(600)
        await node.set_ttl("bob", WITH_BOB, DAY_MS)
        await node.change("ann", sent, "secret, edited")
        await node.react("bob", sent, "\U0001f44d")
        await servers.quiet()
        for user in ("ann", "bob"):
            newest, kept = parsed(await node.messages(user, WITH_BOB))
            assert newest["expiresTimestamp"] == ends
            assert "expiresTimestamp" not in kept
            item = await listed(node, user)
            assert (item["ttlMs"], item["snippetExpiresTimestamp"]) == (DAY_MS, ends)
        await servers.restart()
        for user in ("ann", "bob"):
            assert parsed(await servers.node.messages(user, WITH_BOB))[0]["expiresTimestamp"] == ends
        await no_findings(servers)


@both_kinds
@virtual_time
async def test_the_earlier_end_wins_where_retention_is_shorter(late: bool) -> None:
    store = StoreSettings(retention_ms=HOUR_MS // 2, token_life_ms=7 * DAY_MS, dedupe_life_ms=7 * DAY_MS)
    async with cluster(late=late, settings=replace(UNLIMITED, store=store)) as servers:
        await an_hour(servers)
        sent = await said(servers, "secret")
        await until(servers, sent, seconds=-HOUR_S / 2 - 1)
        assert await by_pages(servers.node, "bob", sent) == ["secret", "kept"]
        await asyncio.sleep(2)
        assert await by_pages(servers.node, "bob", sent) == []
        assert (await listed(servers.node, "bob"))["snippet"] is None
        await no_findings(servers)


# Who sets it


@both_kinds
@virtual_time
async def test_either_side_sets_it_for_both_and_the_same_again_changes_nothing(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        with pytest.raises(UnknownConversation):
            await node.set_ttl("ann", WITH_BOB, HOUR_MS)
        await an_hour(servers, "bob")
        token = (await node.changes("ann")).token
        again = await node.set_ttl("ann", WITH_BOB, HOUR_MS)
        assert not again.changed
        assert (await node.set_ttl("ann", WITH_BOB, 0)).changed
        await servers.quiet()
        (told,) = (orjson.loads(one) for one in (await node.changes("ann", token=token)).conversations)
        assert "ttlMs" not in told
        sent = await said(servers, "for long", "bob", "ann")
        await until(servers, sent, seconds=1)
        assert await by_pages(node, "ann", sent) == ["for long", "kept"]
        await no_findings(servers)


@both_kinds
@virtual_time
async def test_what_joins_the_mutation_of_the_first_ttl_of_a_mailbox_has_its_end(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await said(servers, "kept")
        _, secret, _ = await asyncio.gather(
            node.set_ttl("ann", WITH_BOB, HOUR_MS),
            node.send("ann", "bob", "secret", "c1"),
            node.set_ttl("ann", WITH_BOB, 0),
        )
        await node.send("ann", "bob", "kept, too", "c2")
        await servers.quiet()
        for user in ("ann", "bob"):
            items = parsed(await node.messages(user, WITH_BOB))
            ends = {item["messageContent"]: item.get("expiresTimestamp") for item in items}
            assert ends == {"kept, too": None, "secret": secret.sent_timestamp + HOUR_MS * 1000, "kept": None}
        await no_findings(servers)


@virtual_time
async def test_nobody_sets_a_ttl_that_the_server_does_not_let_be_set() -> None:
    how = replace(UNLIMITED, messages=replace(UNLIMITED.messages, max_ttl_ms=HOUR_MS))
    async with cluster(late=True, settings=how) as servers:
        await said(servers, "kept")
        with pytest.raises(BadRequest):
            await servers.node.set_ttl("ann", WITH_BOB, HOUR_MS + 1)
        assert (await servers.node.set_ttl("ann", WITH_BOB, HOUR_MS)).changed


@virtual_time
async def test_of_two_settings_at_one_time_both_mailboxes_come_to_the_same() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await said(servers, "kept")
        for round_ in range(20):
            settings = (node.set_ttl(user, WITH_BOB, ttl_ms) for user, ttl_ms in (("ann", HOUR_MS), ("bob", DAY_MS)))
            await asyncio.gather(*settings)
            await servers.quiet()
            ann, bob = [(await listed(node, user))["ttlMs"] for user in ("ann", "bob")]
            assert ann == bob
            await node.set_ttl("ann" if round_ % 2 else "bob", WITH_BOB, 0)
            await servers.quiet()
        await no_findings(servers)


@virtual_time
async def test_a_setting_that_waits_for_its_recipient_comes_behind_what_was_sent_before() -> None:
    async with cluster(late=True) as servers:
        await said(servers, "kept")
        node = await servers.restart()
        await node.conversations("ann")
        node.store.hold(Point.READ)  # bob's row is cold and cannot be read
        assert (await node.send("ann", "bob", "before", "before")).pending_recipients == 1
        assert (await node.set_ttl("ann", WITH_BOB, HOUR_MS)).changed
        assert (await node.send("ann", "bob", "after", "after")).pending_recipients == 1
        node = await servers.restart()
        await asyncio.sleep(10)
        for user in ("ann", "bob"):
            after, before, _ = parsed(await node.messages(user, WITH_BOB))
            assert ("expiresTimestamp" in after, "expiresTimestamp" in before) == (True, False)
            assert (await listed(node, user))["ttlMs"] == HOUR_MS
        await no_findings(servers)


@virtual_time
async def test_a_delivery_that_comes_after_the_end_is_acknowledged_and_dropped() -> None:
    async with cluster(late=True) as servers:
        await an_hour(servers)
        node = await servers.restart()
        await node.conversations("ann")
        node.store.hold(Point.READ)
        sent = await node.send("ann", "bob", "secret", "secret")
        assert sent.pending_recipients == 1
        await servers.kill()
        await until(servers, sent, seconds=60)
        await servers.start()
        await asyncio.sleep(10)
        assert await by_pages(servers.node, "bob", sent) == ["kept"]
        assert await cells(servers, "bob") == 1
        assert (await servers.node.status("ann", "secret")).pending_recipients == 0
        assert await servers.store.get_row(row_key("ann", SHARDS), (Family.OUTBOX,)) == {Family.OUTBOX: []}
        await no_findings(servers)


# Counts, and who is told


@both_kinds
@both_sizes
@virtual_time
async def test_those_of_the_unread_that_have_ended_are_not_counted(late: bool, how: Settings) -> None:
    async with cluster(late=late, settings=how) as servers:
        node = servers.node
        await an_hour(servers)
        first = await said(servers, "one")
        await said(servers, "two")
        await asyncio.sleep(1800)
        await node.set_ttl("ann", WITH_BOB, 0)
        await said(servers, "three")
        assert (await listed(node, "bob"))["unreadCount"] == 4
        token = (await node.changes("bob")).token
        await until(servers, first, seconds=5)
        item = await listed(node, "bob")
        assert (item["unreadCount"], item["snippet"]) == (2, "three")
        (told,) = (orjson.loads(one) for one in (await node.changes("bob", token=token)).conversations)
        assert told == item
        await no_findings(servers)


@both_kinds
@virtual_time
async def test_a_mark_at_a_message_that_has_ended_is_taken(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await an_hour(servers)
        earlier = await said(servers, "secret")
        sent = await said(servers, "another secret")
        await until(servers, sent, seconds=1)
        await node.set_ttl("ann", WITH_BOB, 0)
        await said(servers, "kept, too")
        node = await servers.restart()
        for message in (earlier, sent):
            marked = await node.mark_read("bob", WITH_BOB, message.message_id)
            assert marked.unread_count == 1
        await no_findings(servers)


@both_kinds
@virtual_time
async def test_a_parked_poll_and_a_follower_are_told_when_an_unread_message_ends(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await an_hour(servers)
        sent = await said(servers, "secret")
        told: list[object] = []
        following = await node.follow("bob", told.append)
        page = await node.conversations("ann")
        await until(servers, sent, seconds=-10)
        poll = asyncio.create_task(node.conversations("ann", token=page.token, wait_ms=50_000))
        began = asyncio.get_running_loop().time()
        (item,) = parsed(await poll)
        assert item["snippet"] is None
        assert asyncio.get_running_loop().time() - began == pytest.approx(10, abs=0.2)
        assert not told
        await asyncio.sleep(60)
        assert len(told) == 1
        following.close()


# The store


@both_kinds
@virtual_time
async def test_cells_of_what_has_ended_are_removed_and_no_others(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await an_hour(servers)
        sent = await said(servers, "secret")
        await node.change("ann", sent, "secret, edited")
        await node.react("bob", sent, "\U0001f44d")
        await said(servers, "to others", "ann", "cem")
        await until(servers, sent, seconds=MARGIN_US / 1_000_000 - 60)
        assert await cells(servers, "ann") == 3
        await asyncio.sleep(FIRST_WALK_S + WALK_S)
        await asyncio.sleep(WALK_S)
        await node.owner.cleaner.flush()
        assert [await cells(servers, user) for user in ("ann", "bob", "cem")] == [2, 1, 1]
        assert await by_pages(node, "bob", sent) == ["kept"]
        await no_findings(servers)


@both_kinds
@virtual_time
async def test_a_mailbox_that_comes_into_memory_is_looked_at_soon(late: bool) -> None:
    async with cluster(late=late) as servers:
        await an_hour(servers)
        sent = await said(servers, "secret")
        for seconds, left in ((-60, 2), (1, 1)):  # what is to be removed is left for as long as clocks may differ
            await until(servers, sent, seconds=MARGIN_US / 1_000_000 + seconds)
            await servers.restart()
            await by_pages(servers.node, "bob", sent)
            await asyncio.sleep(5)
            await servers.node.owner.cleaner.flush()
            assert await cells(servers, "bob") == left
            assert servers.node.owner.disappeared.walks == 0


@virtual_time
async def test_of_rows_without_a_ttl_no_message_is_looked_at() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await said(servers, "kept")
        ranges: list[Family] = []
        get_range = node.store.get_range

        async def watched(row: bytes, family: Family, *of: object, **how: object) -> object:
            ranges.append(family)
            return await get_range(row, family, *of, **how)  # type: ignore[arg-type]

        node.store.get_range = watched  # type: ignore[method-assign, assignment]
        await asyncio.sleep(FIRST_WALK_S + 60)
        assert node.owner.disappeared.walks == 1
        assert ranges == [Family.INDEX, Family.INDEX]
        mailbox = node.owner.table.row("ann").mailbox
        assert mailbox is not None
        assert TTL.letter not in mailbox.others


async def cells(servers: Cluster, user: str) -> int:
    found = await servers.store.get_row(row_key(user, SHARDS), (Family.MESSAGES,))
    return len(found[Family.MESSAGES])


# What goes along


@virtual_time
async def test_a_mailbox_that_is_handed_over_goes_on_as_it_was() -> None:
    async with cluster(late=True) as servers:
        await an_hour(servers)
        sent = await said(servers, "secret")
        node = await servers.move()
        later = await said(servers, "secret, too")
        assert parsed(await node.messages("bob", WITH_BOB))[0]["expiresTimestamp"] == (
            later.sent_timestamp + HOUR_MS * 1000
        )
        await until(servers, sent, seconds=-1)
        assert await by_pages(node, "bob", sent) == ["secret, too", "secret", "kept"]
        await until(servers, later, seconds=1)
        for read in (by_pages, by_the_first_page, by_a_delta, by_the_feed):
            assert await read(node, "bob", sent) == ["kept"]
        await no_findings(servers)
