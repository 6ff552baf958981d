"""What a client may ask, as the contract says: read marks, statuses, notes to self, limits, and what time takes."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.errors import (
    BadRequest,
    RateLimited,
    StoreDamaged,
    UnknownClientMessageId,
    UnknownConversation,
    UnknownMessage,
)
from rowbox.mailbox.settings.config import CacheSettings, RateLimitSettings, StoreSettings
from tests.checking import assert_no_findings
from tests.support.cluster import (
    SHARDS,
    UNLIMITED,
    all_conversations,
    all_messages,
    cluster,
    gather_all,
    ids,
    parsed,
    version_of,
)
from tests.support.virtual_time import virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
DAY_S = 86_400.0
HOUR_MS = 3_600_000
SHORT = replace(
    UNLIMITED,
    store=StoreSettings(retention_ms=10 * HOUR_MS, token_life_ms=5 * HOUR_MS, dedupe_life_ms=2 * HOUR_MS),
)


@both_kinds
@virtual_time
async def test_a_note_to_self_is_one_copy_and_read(late: bool) -> None:
    async with cluster(late=late) as servers:
        result = await servers.node.send("ann", "ann", "note", "c")
        assert result.pending_recipients == 0
        items, _ = await all_messages(servers.node, "ann", None, 10)
        assert ids(items) == [result.message_id.hex()]
        assert items[0]["participants"] == ["ann"]
        (conversation,), _ = await all_conversations(servers.node, "ann", 10)
        assert conversation["unreadCount"] == 0


@both_kinds
@virtual_time
async def test_a_mailbox_of_nobody_is_empty_at_head_0(late: bool) -> None:
    async with cluster(late=late) as servers:
        for page in (await servers.node.messages("ann"), await servers.node.conversations("ann")):
            assert (list(page.items), version_of(page.token), page.is_delta) == ([], 0, False)
        for page in (await servers.node.messages("ann", token=0), await servers.node.conversations("ann", token=0)):
            assert (list(page.items), version_of(page.token), page.is_delta) == ([], 0, True)


@both_kinds
@virtual_time
async def test_a_status_tells_what_became_of_a_send(late: bool) -> None:
    async with cluster(late=late) as servers:
        with pytest.raises(UnknownClientMessageId):
            await servers.node.status("ann", "c")
        sent = await servers.node.send("ann", "bob", "x", "c")
        for _ in range(2):
            await servers.node.conversations("ann")
            await servers.quiet()
            status = await servers.node.status("ann", "c")
            assert status == sent
            await servers.restart()
        with pytest.raises(UnknownClientMessageId):
            await servers.node.status("bob", "c")


def beside(message_id: bytes) -> bytes:
    """An id that no message has, next to one that a message has."""
    return message_id[:-1] + bytes([message_id[-1] ^ 1])


@both_kinds
@virtual_time
async def test_a_read_mark_moves_forward_only_and_only_to_what_is_there(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        sent = [await node.send("bob", "ann", str(n), f"c{n}") for n in range(5)]
        await servers.quiet()
        conversation = sent[0].conversation_id
        marked = await node.mark_read("ann", conversation, sent[2].message_id)
        assert marked.unread_count == 2
        back = await node.mark_read("ann", conversation, sent[0].message_id)
        again = await node.mark_read("ann", conversation, sent[2].message_id)
        assert (back.unread_count, again.unread_count) == (2, 2)
        assert back.last_updated_timestamp == again.last_updated_timestamp == marked.last_updated_timestamp
        for unknown in (bytes(16), b"\xff" * 16, beside(sent[2].message_id), beside(sent[0].message_id)):
            (answer,) = await gather_all(node.mark_read("ann", conversation, unknown))
            assert isinstance(answer, UnknownMessage), unknown
        with pytest.raises(UnknownConversation):
            await node.mark_read("ann", bytes(16), sent[0].message_id)
        with pytest.raises(UnknownConversation):
            await node.mark_read("cem", conversation, sent[0].message_id)


@both_kinds
@virtual_time
async def test_no_message_with_an_id_of_zeros_can_be_read(late: bool) -> None:
    async with cluster(late=late) as servers:
        sent = await servers.node.send("bob", "ann", "x", "c")
        await servers.quiet()
        with pytest.raises(UnknownMessage):
            await servers.node.mark_read("ann", sent.conversation_id, bytes(16))


@both_kinds
@virtual_time
async def test_joined_marks_and_deliveries_count_together(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        sent = [await node.send("bob", "ann", str(n), f"c{n}") for n in range(4)]
        await servers.quiet()
        conversation = sent[0].conversation_id
        await asyncio.gather(
            *(node.mark_read("ann", conversation, one.message_id) for one in sent[:3]),
            node.send("bob", "ann", "more", "more"),
            node.send("ann", "cem", "elsewhere", "e"),
        )
        await servers.quiet()
        listed, _ = await all_conversations(node, "ann", 10)
        assert {item["conversationId"]: item["unreadCount"] for item in listed}[conversation.hex()] == 2


@both_kinds
@virtual_time
async def test_unread_is_exact_to_999_then_1000(late: bool) -> None:
    settings = replace(UNLIMITED, cache=CacheSettings(window_messages=2000, window_bytes_per_mailbox=1 << 24))
    async with cluster(late=late, settings=settings) as servers:
        node = servers.node
        sent = await asyncio.gather(*(node.send("bob", "ann", str(n), f"c{n}") for n in range(1203)))
        await servers.quiet()
        conversation = sent[0].conversation_id

        async def unread() -> int:
            (item,), _ = await all_conversations(node, "ann", 10)
            return int(item["unreadCount"])

        assert await unread() == 1000
        assert (await node.mark_read("ann", conversation, sent[10].message_id)).unread_count == 1000
        assert (await node.mark_read("ann", conversation, sent[202].message_id)).unread_count == 1000
        assert (await node.mark_read("ann", conversation, sent[203].message_id)).unread_count == 999
        await node.send("bob", "ann", "more", "more")
        await servers.quiet()
        assert await unread() == 1000
        await servers.restart()
        node = servers.node
        assert (await node.mark_read("ann", conversation, sent[303].message_id)).unread_count == 900


@both_kinds
@virtual_time
async def test_more_than_200_changed_conversations_are_a_full_page(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        first = await node.send("ann", "ann", "x", "c")
        token = first.last_updated_timestamp
        await asyncio.gather(*(node.send("ann", f"u{n}", "x", f"c{n}") for n in range(200)))
        page = await node.conversations("ann", token=token, page_size=20)
        assert (page.is_delta, len(page.items)) == (True, 200)
        await node.send("ann", "one-more", "x", "c-more")
        page = await node.conversations("ann", token=token, page_size=20)
        assert (page.is_delta, len(page.items), page.reset_reason) == (False, 20, "too_many")
        assert page.next_cursor is not None


@both_kinds
@virtual_time
async def test_a_token_of_the_future_gets_a_full_page_that_says_so(late: bool) -> None:
    async with cluster(late=late) as servers:
        sent = await servers.node.send("ann", "ann", "x", "c")
        for page in (
            await servers.node.messages("ann", token=sent.last_updated_timestamp + 1),
            await servers.node.conversations("ann", token=sent.last_updated_timestamp + 1),
        ):
            assert (page.is_delta, len(page.items), page.reset_reason) == (False, 1, "future")
            assert version_of(page.token) == sent.last_updated_timestamp


@both_kinds
@virtual_time
async def test_an_old_token_is_served_as_long_as_it_lives(late: bool) -> None:
    async with cluster(late=late, settings=SHORT) as servers:
        first = await servers.node.send("ann", "ann", "0", "c0")
        await asyncio.sleep(3 * 3600)
        second = await servers.node.send("ann", "ann", "1", "c1")
        await asyncio.sleep(1.9 * 3600)
        for _ in range(2):
            page = await servers.node.messages("ann", token=first.last_updated_timestamp)
            assert page.is_delta
            assert ids(parsed(page)) == [second.message_id.hex()]
            page = await servers.node.messages("ann", token=0)
            assert len(page.items) == 2, "the log reaches back to the first change"
            await servers.restart()
        await asyncio.sleep(0.2 * 3600)
        for _ in range(2):
            page = await servers.node.messages("ann", token=first.last_updated_timestamp)
            assert (page.is_delta, page.reset_reason, len(page.items)) == (False, "expired", 1)
            page = await servers.node.messages("ann", first.conversation_id, token=first.last_updated_timestamp)
            assert (page.is_delta, page.reset_reason, len(page.items)) == (False, "expired", 2)
            head = await servers.node.messages("ann", token=second.last_updated_timestamp)
            assert (head.is_delta, list(head.items)) == (True, []), "token == head is always served"
            listed = await servers.node.conversations("ann", token=first.last_updated_timestamp)
            assert (listed.is_delta, len(listed.items)) == (True, 1), "the index never expires"
            await servers.restart()


@both_kinds
@virtual_time
async def test_all_messages_reach_back_as_far_as_the_tokens_live_in_memory_and_store_alike(late: bool) -> None:
    async with cluster(late=late, settings=SHORT) as servers:
        await servers.node.send("ann", "ann", "old", "c0")
        await asyncio.sleep(6 * 3600)
        recent = await servers.node.send("ann", "ann", "recent", "c1")
        for _ in range(2):
            items, _ = await all_messages(servers.node, "ann", None, 10)
            assert ids(items) == [recent.message_id.hex()]
            await servers.restart()


@both_kinds
@virtual_time
async def test_retention_takes_messages_and_snippets_and_leaves_the_conversation(late: bool) -> None:
    async with cluster(late=late, settings=SHORT) as servers:
        sent = await servers.node.send("bob", "ann", "short-lived", "c0")
        await servers.quiet()
        await asyncio.sleep(10 * 3600 + 60)
        for _ in range(2):
            page = await servers.node.messages("ann", sent.conversation_id)
            assert list(page.items) == []
            (conversation,), token = await all_conversations(servers.node, "ann", 5)
            assert conversation["snippet"] is None
            assert conversation["lastMessageId"] == sent.message_id.hex()
            assert version_of(token) == conversation["lastUpdatedTimestamp"]
            await servers.restart()
        again = await servers.node.send("bob", "ann", "anew", "c1")
        assert again.message_id > sent.message_id
        await servers.quiet()
        await assert_no_findings(servers.store, SHORT, servers.clock.now_us())


@both_kinds
@virtual_time
async def test_a_client_message_id_may_be_used_again_after_its_life(late: bool) -> None:
    async with cluster(late=late, settings=SHORT) as servers:
        first = await servers.node.send("ann", "bob", "x", "c")
        await asyncio.sleep(1.9 * 3600)
        assert (await servers.node.send("ann", "bob", "x", "c")).duplicate
        await asyncio.sleep(0.2 * 3600)
        second = await servers.node.send("ann", "bob", "another payload", "c")
        assert not second.duplicate
        assert second.message_id != first.message_id
        await servers.restart()
        assert (await servers.node.send("ann", "bob", "another payload", "c")).duplicate


@both_kinds
@virtual_time
async def test_cursors_of_other_lists_are_refused(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        sent = [await node.send("ann", "ann", str(n), f"c{n}") for n in range(3)]
        await node.send("ann", "bob", "x", "c9")
        conversation = sent[0].conversation_id
        cursors = {
            "conversations": (await node.conversations("ann", page_size=1)).next_cursor,
            "messages": (await node.messages("ann", conversation, page_size=1)).next_cursor,
            "all": (await node.messages("ann", page_size=1)).next_cursor,
            "nonsense": "bm9uc2Vuc2U",
            "empty": "",
            "unicode": "\u00e4",
        }
        for name, cursor in cursors.items():
            assert cursor is not None
            answers = await gather_all(
                node.conversations("ann", cursor=cursor),
                node.messages("ann", conversation, cursor=cursor),
                node.messages("ann", cursor=cursor),
            )
            for answer, own in zip(answers, ("conversations", "messages", "all"), strict=True):
                assert isinstance(answer, BadRequest) == (own != name), (name, own, answer)


@virtual_time
async def test_a_user_beyond_the_limit_is_refused_and_told_when_to_come_back() -> None:
    settings = replace(UNLIMITED, rate_limits=RateLimitSettings(send_burst=2, send_per_second=0.001, fetch_burst=3))
    async with cluster(late=False, settings=settings) as servers:
        node = servers.node
        assert (await node.send("ann", "bob", "0", "c0")).quota is not None
        await node.send("ann", "bob", "1", "c1")
        with pytest.raises(RateLimited) as refused:
            await node.send("ann", "bob", "2", "c2")
        assert refused.value.retry_after_ms
        await node.send("bob", "ann", "3", "c3")
        pages = [await node.messages("ann"), await node.conversations("ann"), await node.messages("ann")]
        quotas = [page.quota.remaining for page in pages if page.quota is not None]
        assert quotas == [2, 1, 0]
        for fetch in (node.messages("ann"), node.conversations("ann"), node.status("ann", "c0")):
            with pytest.raises(RateLimited):
                await fetch


@both_kinds
@virtual_time
async def test_a_damaged_cell_is_named_and_nothing_is_left_out_silently(late: bool) -> None:
    async with cluster(late=late) as servers:
        sent = await servers.node.send("ann", "ann", "x", "c")
        row = row_key("ann", SHARDS)
        await servers.restart()
        asks: dict[Family, Callable[[], Awaitable[object]]] = {
            Family.MESSAGES: lambda: servers.node.messages("ann", sent.conversation_id),
            Family.LOG: lambda: servers.node.messages("ann", token=0),
            Family.DEDUPE: lambda: servers.node.send("ann", "ann", "x", "c"),
            Family.INDEX: lambda: servers.node.conversations("ann"),
        }
        for family, ask in asks.items():
            cells = servers.store._cells._rows[row][family]
            kept = dict(cells)
            for qualifier, cell in kept.items():
                cells[qualifier] = cell._replace(value=b"\xc1")
            if family is Family.INDEX:
                await servers.restart()
            (answer,) = await gather_all(ask())
            assert isinstance(answer, StoreDamaged), (family, answer)
            cells.update(kept)


@virtual_time
async def test_a_token_of_the_head_makes_no_conversation_known() -> None:
    async with cluster(late=False) as servers:
        node = servers.node
        sent = await node.send("ann", "bob", "x", "c")
        unknown = bytes(16)
        for conversation, wait_ms in ((unknown, 0), (unknown, 1000)):
            with pytest.raises(UnknownConversation):
                await node.messages("ann", conversation, token=sent.last_updated_timestamp, wait_ms=wait_ms)
        assert (await node.messages("ann", sent.conversation_id, token=sent.last_updated_timestamp)).items == ()
