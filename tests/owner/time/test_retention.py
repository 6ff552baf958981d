"""What is derived from messages ends with them, and says so: in the list, in deltas, to polls, after restarts."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from msgspec.structs import replace

from rowbox.cacheserver.fetch import settling
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.port import Put, RowMutation
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.clocks.clock import US_PER_MS
from rowbox.mailbox.errors import UnknownMessage
from rowbox.mailbox.pages.conversation_pages import MAX_DELTA
from rowbox.mailbox.settings.config import Settings, StoreSettings
from tests.checking import assert_no_findings
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
    gather_all,
    ids,
    parsed,
    version_of,
)
from tests.support.virtual_time import virtual_time

HOUR_S = 3600.01
"""The retention and a little more: messages sent in one moment have versions one after the other."""
STORE = StoreSettings(retention_ms=3_600_000, token_life_ms=7 * 86_400_000, dedupe_life_ms=7 * 86_400_000)
SHORT = replace(UNLIMITED, store=STORE)
SHORT_CRAMPED = replace(CRAMPED, store=STORE)

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
both_sizes = pytest.mark.parametrize("how", [SHORT, SHORT_CRAMPED], ids=["roomy", "cramped"])


async def sent(servers: Cluster, count: int, sender: str = "ann", recipient: str = "bob") -> list[tuple[bytes, bytes]]:
    """(conversationId, messageId) of messages that have just been sent."""
    begin = int(servers.clock.now_us())
    results = [await servers.node.send(sender, recipient, f"text {n}", f"{begin}-{n}") for n in range(count)]
    await servers.quiet()
    return [(result.conversation_id, result.message_id) for result in results]


async def only(node: Node, user: str = "bob") -> Json:
    """The user's one conversation as a fresh fetch shows it."""
    (item,), _ = await all_conversations(node, user, 10)
    return item


async def no_findings(servers: Cluster) -> None:
    await servers.quiet()
    await assert_no_findings(servers.store, servers.settings, servers.clock.now_us(), slack_us=1_000_000)


@both_kinds
@both_sizes
@virtual_time
async def test_a_count_and_a_snippet_end_with_their_messages_and_the_delta_says_so(late: bool, how: Settings) -> None:
    async with cluster(late=late, settings=how) as servers:
        node = servers.node
        await sent(servers, 3)
        token = (await node.conversations("bob")).token
        await asyncio.sleep(HOUR_S)
        assert (await all_messages(node, "bob", None, 10))[0] == []
        delta = await node.conversations("bob", token=token)
        (item,) = parsed(delta)
        assert (item["unreadCount"], item["snippet"], delta.is_delta) == (0, None, True)
        assert item == await only(node)
        assert item["lastUpdatedTimestamp"] == version_of(delta.token)
        assert parsed(await node.conversations("bob", token=delta.token)) == []
        await servers.restart()
        assert await only(servers.node) == item
        await no_findings(servers)


@both_kinds
@both_sizes
@virtual_time
async def test_of_the_unread_messages_those_that_are_there_are_counted(late: bool, how: Settings) -> None:
    async with cluster(late=late, settings=how) as servers:
        node = servers.node
        await sent(servers, 3)
        await asyncio.sleep(HOUR_S / 2)
        await sent(servers, 2)
        token = (await node.conversations("bob")).token
        await asyncio.sleep(HOUR_S / 2)
        delta = await node.conversations("bob", token=token)
        (item,) = parsed(delta)
        assert (item["unreadCount"], item["snippet"]) == (2, "text 1")
        assert item == await only(node)
        await sent(servers, 1)
        assert (await only(node))["unreadCount"] == 3
        await asyncio.sleep(HOUR_S / 2)
        assert (await only(node))["unreadCount"] == 1
        await no_findings(servers)


@both_kinds
@both_sizes
@virtual_time
async def test_a_message_that_comes_where_all_have_expired_is_the_only_one_that_is_unread(
    late: bool, how: Settings
) -> None:
    async with cluster(late=late, settings=how) as servers:
        await sent(servers, 3)
        await asyncio.sleep(HOUR_S)
        await sent(servers, 1)
        item = await only(servers.node)
        assert (item["unreadCount"], item["snippet"]) == (1, "text 0")
        await no_findings(servers)


@both_kinds
@both_sizes
@virtual_time
async def test_a_mark_at_a_message_that_has_expired_is_taken_and_may_be_repeated(late: bool, how: Settings) -> None:
    async with cluster(late=late, settings=how) as servers:
        node = servers.node
        (conversation, first), (_, second), *_ = await sent(servers, 3)
        await asyncio.sleep(HOUR_S / 2)
        ((_, newest),) = await sent(servers, 1)
        await asyncio.sleep(HOUR_S / 2)
        marked = await node.mark_read("bob", conversation, second)
        assert marked.unread_count == 1
        for again in (first, second):
            assert await node.mark_read("bob", conversation, again) == marked
        unknown = newest[:-1] + bytes([newest[-1] ^ 1])
        for one in (unknown, bytes(16), b"\xff" * 16):
            (answer,) = await gather_all(node.mark_read("bob", conversation, one))
            assert isinstance(answer, UnknownMessage)
        await asyncio.sleep(HOUR_S / 2)
        gone = await node.mark_read("bob", conversation, newest)
        assert gone.unread_count == 0
        assert await node.mark_read("bob", conversation, newest) == gone
        await no_findings(servers)


@both_kinds
@both_sizes
@virtual_time
async def test_a_mark_that_does_not_move_answers_with_what_is_there_now(late: bool, how: Settings) -> None:
    async with cluster(late=late, settings=how) as servers:
        node = servers.node
        (conversation, first), *_ = await sent(servers, 4)
        assert (await node.mark_read("bob", conversation, first)).unread_count == 3
        await asyncio.sleep(HOUR_S / 2)
        await sent(servers, 2)
        token = (await node.conversations("bob")).token
        await asyncio.sleep(HOUR_S / 2)
        again = await node.mark_read("bob", conversation, first)
        assert again.unread_count == 2
        (item,) = parsed(await node.conversations("bob", token=token))
        assert (item["unreadCount"], item["lastUpdatedTimestamp"]) == (2, again.last_updated_timestamp)
        await no_findings(servers)


@both_kinds
@virtual_time
async def test_a_parked_poll_is_told_when_a_snippet_ends(late: bool) -> None:
    async with cluster(late=late, settings=SHORT) as servers:
        node = servers.node
        await sent(servers, 1)
        token = (await node.conversations("bob")).token
        await asyncio.sleep(HOUR_S - 10)
        conversations = asyncio.create_task(node.conversations("bob", token=token, wait_ms=50_000))
        messages = asyncio.create_task(node.messages("bob", token=version_of(token), wait_ms=20_000))
        began = asyncio.get_running_loop().time()
        page = await conversations
        assert asyncio.get_running_loop().time() - began == pytest.approx(10, abs=0.2)
        (item,) = parsed(page)
        assert (item["unreadCount"], item["snippet"]) == (0, None)
        empty = await messages
        assert asyncio.get_running_loop().time() - began == pytest.approx(20, abs=0.2)
        assert (list(empty.items), empty.is_delta, version_of(empty.token)) == ([], True, version_of(page.token))


@both_kinds
@virtual_time
async def test_a_poll_waits_on_where_what_ends_was_ended_by_something_newer(late: bool) -> None:
    async with cluster(late=late, settings=SHORT) as servers:
        node = servers.node
        await sent(servers, 1)
        await asyncio.sleep(HOUR_S - 20)
        await sent(servers, 1, sender="bob", recipient="ann")
        token = (await node.conversations("bob")).token
        began = asyncio.get_running_loop().time()
        page = await node.conversations("bob", token=token, wait_ms=50_000)
        assert asyncio.get_running_loop().time() - began == pytest.approx(50, abs=0.2)
        assert (list(page.items), page.token) == ([], token)


@both_kinds
@virtual_time
async def test_polls_of_several_devices_are_told_of_one_settlement(late: bool) -> None:
    async with cluster(late=late, settings=SHORT) as servers:
        node = servers.node
        await sent(servers, 1)
        token = (await node.conversations("bob")).token
        await asyncio.sleep(HOUR_S - 1)
        polls = [asyncio.create_task(node.conversations("bob", token=token, wait_ms=50_000)) for _ in range(5)]
        pages = [await one for one in polls]
        assert {page.token for page in pages} == {pages[0].token}
        assert [parsed(page) for page in pages] == [parsed(pages[0])] * 5
        changes = [change for change in node.owner.table.row("bob").mailbox.log if change.version > version_of(token)]  # type: ignore[union-attr]
        assert len(changes) == 1


async def many(servers: Cluster, count: int) -> None:
    """Bob gets a message from each of `count` people."""
    sends = (servers.node.send(f"u{n:04}", "bob", "hi", "c") for n in range(count))
    await asyncio.gather(*sends)
    await servers.quiet()


@both_kinds
@virtual_time
async def test_a_mailbox_of_which_all_expires_is_settled_in_parts(late: bool) -> None:
    async with cluster(late=late, settings=SHORT) as servers:
        node = servers.node
        await many(servers, 1000)
        token = (await node.conversations("bob")).token
        assert token is not None
        await asyncio.sleep(HOUR_S)
        parts: list[int] = []
        mutate = node.store.mutate

        async def watched(mutations: list[RowMutation], timestamp_ms: int) -> None:
            parts.extend(len(puts) for row, puts in mutations if row == row_key("bob", SHARDS))
            await mutate(mutations, timestamp_ms)

        node.store.mutate = watched  # type: ignore[method-assign, assignment]
        page = await node.conversations("bob", page_size=20)
        assert [(item["unreadCount"], item["snippet"]) for item in parsed(page)] == [(0, None)] * 20
        assert parts == [40], "a page has what it shows settled: a state and a log entry of each"
        page = await node.conversations("bob", token=token)
        assert (page.is_delta, page.reset_reason) == (False, "too_many")
        assert sum(parts) <= 2 * (MAX_DELTA + 3 * settling.AT_ONCE)
        await asyncio.sleep(60)
        assert sum(parts) == 2000, "the rest followed by itself, each once"
        assert max(parts) <= 2 * settling.AT_ONCE
        assert {item["unreadCount"] for item in (await all_conversations(node, "bob", 100))[0]} == {0}
        await no_findings(servers)


@both_kinds
@virtual_time
async def test_deltas_of_a_mailbox_of_which_all_expires_end_in_what_a_fresh_fetch_shows(late: bool) -> None:
    async with cluster(late=late, settings=SHORT) as servers:
        node = servers.node
        await many(servers, 450)
        held = {item["conversationId"]: item for item in (await all_conversations(node, "bob", 100))[0]}
        token = (await node.conversations("bob")).token
        await asyncio.sleep(HOUR_S)
        while (page := await node.conversations("bob", token=token)).items or not page.is_delta:
            if not page.is_delta:
                listed, token = await all_conversations(node, "bob", 100)
                held = {}
            else:
                listed, token = parsed(page), page.token
            held |= {item["conversationId"]: item for item in listed}
        assert held == {item["conversationId"]: item for item in (await all_conversations(node, "bob", 100))[0]}


@both_kinds
@virtual_time
async def test_a_store_that_takes_no_writes_shows_no_snippet_that_has_expired(late: bool) -> None:
    async with cluster(late=late, settings=SHORT) as servers:
        node = servers.node
        await sent(servers, 3)
        token = (await node.conversations("bob")).token
        await asyncio.sleep(HOUR_S)
        for page in ({}, {"token": token}):
            node.store.faults.next(Fault.FAIL_BEFORE, Op.MUTATE)
            shown = parsed(await node.conversations("bob", **page))
            assert [(item["unreadCount"], item["snippet"]) for item in shown] == ([] if page else [(0, None)])
        (item,) = parsed(await node.conversations("bob", token=token))
        assert (item["unreadCount"], item["snippet"]) == (0, None)


@both_kinds
@virtual_time
async def test_a_fetch_does_not_wait_for_ever_for_a_settlement_and_a_poll_does_not_spin(late: bool) -> None:
    async with cluster(late=late, settings=SHORT) as servers:
        node = servers.node
        await sent(servers, 3)
        token = (await node.conversations("bob")).token
        await asyncio.sleep(HOUR_S)
        node.store.hold()
        began = asyncio.get_running_loop().time()
        assert [item["snippet"] for item in parsed(await node.conversations("bob"))] == [None]
        assert asyncio.get_running_loop().time() - began == pytest.approx(settling.PATIENCE_S, abs=0.1)
        page = await node.conversations("bob", token=token, wait_ms=5000)
        assert (list(page.items), page.token) == ([], token)
        node.store.release()
        await servers.quiet()
        assert [item["unreadCount"] for item in parsed(await node.conversations("bob", token=token))] == [0]


@both_kinds
@virtual_time
async def test_a_count_at_its_cap_is_exact_again_when_enough_has_expired(late: bool) -> None:
    async with cluster(late=late, settings=SHORT) as servers:
        node = servers.node
        await asyncio.gather(*(node.send("ann", "bob", "x", f"old {n}") for n in range(300)))
        await asyncio.sleep(HOUR_S / 2)
        await asyncio.gather(*(node.send("ann", "bob", "x", f"new {n}") for n in range(900)))
        await servers.quiet()
        assert (await only(node))["unreadCount"] == 1000
        await asyncio.sleep(HOUR_S / 2)
        assert (await only(node))["unreadCount"] == 900
        await asyncio.sleep(HOUR_S / 2)
        assert (await only(node))["unreadCount"] == 0
        await no_findings(servers)


def as_80c87b5_wrote_it(value: bytes) -> bytes:
    """The value of an index cell without the fields that came later."""
    states = msgspec.msgpack.decode(value)
    return msgspec.msgpack.encode([state if state is None else state[:9] for state in states])


@both_kinds
@pytest.mark.parametrize("left", [2, 0])
@virtual_time
async def test_a_mailbox_that_80c87b5_wrote_is_settled_at_its_first_fetch(late: bool, left: int) -> None:
    async with cluster(late=late, settings=SHORT) as servers:
        await sent(servers, 3)
        await asyncio.sleep(HOUR_S / 2)
        await sent(servers, left)
        await asyncio.sleep(HOUR_S / 2)
        await servers.kill()
        row = row_key("bob", SHARDS)
        columns = (await servers.store.get_row(row, (Family.INDEX,)))[Family.INDEX]
        puts = [Put(Family.INDEX, q, as_80c87b5_wrote_it(value)) for q, value in columns if q[:1] == b"c"]
        await servers.store.mutate([RowMutation(row, puts)], servers.clock.now_ms() + 1)
        await servers.start()
        item = await only(servers.node)
        assert (item["unreadCount"], item["snippet"]) == (left, "text 1" if left else None)
        await no_findings(servers)


@virtual_time
async def test_a_settlement_that_lands_late_is_the_write_of_a_replaced_owner() -> None:
    async with cluster(late=True, settings=SHORT) as servers:
        first = servers.node
        (conversation, _), *_ = await sent(servers, 3)
        await asyncio.sleep(HOUR_S)
        first.store.faults.next(Fault.EXECUTE_LATE, Op.MUTATE)
        page = await first.conversations("bob")
        assert [item["snippet"] for item in parsed(page)] == [None]
        await servers.start()
        marked = await servers.node.mark_read("bob", conversation, (await sent(servers, 1))[0][1])
        item = await only(servers.node)
        servers.store.land()
        await servers.restart()
        assert await only(servers.node) == item
        assert item["lastUpdatedTimestamp"] == marked.last_updated_timestamp
        await no_findings(servers)


@both_kinds
@virtual_time
async def test_a_retry_after_its_message_has_expired_is_still_the_same_send(late: bool) -> None:
    async with cluster(late=late, settings=SHORT) as servers:
        node = servers.node
        first = await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        await asyncio.sleep(HOUR_S)
        again = await node.send("ann", "bob", "hi", "c")
        assert (again.duplicate, again.message_id) == (True, first.message_id)
        assert (await node.status("ann", "c")).message_id == first.message_id
        await servers.quiet()
        assert (await only(node))["unreadCount"] == 0
        assert (await all_messages(node, "bob", None, 10))[0] == []
        await no_findings(servers)


@both_kinds
@both_sizes
@virtual_time
async def test_a_delta_of_messages_goes_on_over_those_that_have_expired(late: bool, how: Settings) -> None:
    async with cluster(late=late, settings=how) as servers:
        node = servers.node
        await sent(servers, 5)
        await asyncio.sleep(HOUR_S / 2)
        kept = await sent(servers, 2)
        await asyncio.sleep(HOUR_S / 2)
        page = await node.messages("bob", token=0, page_size=1)
        found = parsed(page)
        while page.has_more:
            page = await node.messages("bob", token=page.token, page_size=1)
            assert page.is_delta
            found += parsed(page)
        assert ids(found) == [message.hex() for _, message in kept]
        assert page.token == (await node.messages("bob")).token


Read = Callable[[Node, bytes], Awaitable[list[Json]]]


async def by_conversation(node: Node, conversation: bytes) -> list[Json]:
    return (await all_messages(node, "bob", conversation, 10))[0]


async def over_all(node: Node, _conversation: bytes) -> list[Json]:
    return (await all_messages(node, "bob", None, 10))[0]


async def by_delta(node: Node, _conversation: bytes) -> list[Json]:
    return parsed(await node.messages("bob", token=0))


@both_kinds
@both_sizes
@pytest.mark.parametrize("read", [by_conversation, over_all, by_delta])
@virtual_time
async def test_pages_and_counts_agree_though_the_store_keeps_a_message_longer(
    late: bool, how: Settings, read: Read
) -> None:
    async with cluster(late=late, settings=how) as servers:
        node = servers.node
        servers.store._cells.ttl_ms = {}
        conversation, first = (await sent(servers, 3))[0]
        assert (await node.mark_read("bob", conversation, first)).unread_count == 2
        await asyncio.sleep(HOUR_S / 2)
        await sent(servers, 2)
        assert len(await read(node, conversation)) == 5
        await asyncio.sleep(HOUR_S / 2)
        assert len(await read(node, conversation)) == 2
        assert (await only(node))["unreadCount"] == 2
        assert (await node.mark_read("bob", conversation, first)).unread_count == 2
        await asyncio.sleep(HOUR_S / 2)
        assert await read(node, conversation) == []
        item = await only(node)
        assert (item["unreadCount"], item["snippet"]) == (0, None)


@both_kinds
@virtual_time
async def test_a_parked_poll_does_not_look_again_and_again_while_no_time_is_seen_to_pass(late: bool) -> None:
    """As where the clock is in doubt: what ends in a moment goes on ending in a moment."""
    async with cluster(late=late, settings=SHORT) as servers:
        node = servers.node
        await sent(servers, 1)
        token = (await node.conversations("bob")).token
        row = node.owner.table.peek("bob")
        assert row is not None
        assert row.mailbox is not None
        stands_us = row.mailbox.index.endings.first + SHORT.store.retention_ms * US_PER_MS - 1
        looks = 0

        def stopped() -> int:
            nonlocal looks
            looks += 1
            return stands_us

        node.owner.fetches._now_us = stopped
        await node.conversations("bob", token=token, wait_ms=20_000)
        assert looks < 100
