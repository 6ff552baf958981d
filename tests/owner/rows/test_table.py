"""The rows in memory: they stay within their bytes, busy ones stay, and a row of nothing stays for nobody."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.cache import table as table_module
from rowbox.cacheserver.cache.row import Row
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.cacheserver.stores.port import RowMutation
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import CONVERSATION, FenceCell
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.errors import Overloaded, StoreUnavailable
from rowbox.mailbox.fence import FenceEntry
from rowbox.mailbox.settings.config import CacheSettings
from rowbox.mailbox.two_states import IndexCell
from tests.support.cluster import SHARDS, UNLIMITED, Cluster, cluster, gather_all, parsed
from tests.support.parts import in_small_parts
from tests.support.virtual_time import settle, virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
SMALL = replace(UNLIMITED, cache=CacheSettings(bytes=20_000))


@both_kinds
@virtual_time
async def test_the_bytes_stay_under_the_limit_and_the_last_used_stay(late: bool) -> None:
    async with cluster(late=late, settings=SMALL) as servers:
        table = servers.node.owner.table
        for n in range(100):
            await servers.node.send(f"u{n}", f"u{n}", "x" * 500, "c")
            assert table.size_bytes <= 20_000
        await servers.quiet()
        assert table.evictions > 80
        assert len(table) < 12
        assert table.peek("u99") is not None
        assert table.size_bytes == sum(row.size_bytes for row in table.rows())


@both_kinds
@virtual_time
async def test_what_a_read_of_messages_leaves_in_memory_is_counted(late: bool) -> None:
    async with cluster(late=late) as servers:
        node, table = servers.node, servers.node.owner.table
        sent = await node.send("ann", "ann", "x" * 500, "c")
        for n in range(9):
            await node.send("ann", "ann", "x" * 500, f"c{n}")
        row = table.row("ann")
        table.drop(row)
        await node.conversations("ann")
        before = table.size_bytes
        await node.messages("ann", sent.conversation_id)
        assert row.mailbox is not None
        assert table.size_bytes == row.mailbox.size_bytes >= before + 10 * 500


@both_kinds
@virtual_time
async def test_a_row_at_work_stays(late: bool) -> None:
    async with cluster(late=late, settings=SMALL) as servers:
        node = servers.node
        await node.send("ann", "ann", "0", "c0")
        await node.conversations("ann")
        node.store.hold(Point.WRITE)
        sending = asyncio.create_task(node.send("ann", "ann", "1", "c1"))
        await settle()
        row = node.owner.table.peek("ann")
        if not late:  # there a load writes its claim, which the gate holds too
            for n in range(50):
                await node.conversations(f"u{n}")
        node.store.release(Point.WRITE)
        await sending
        assert node.owner.table.peek("ann") is row


@both_kinds
@virtual_time
async def test_reads_whose_load_fails_leave_nothing_behind(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        for n in range(20):
            node.store.faults.next(Fault.FAIL_BEFORE, Op.READ)
            (answer,) = await gather_all(node.messages(f"u{n}"))
            assert isinstance(answer, StoreUnavailable)
        assert len(node.owner.table) == 0


@both_kinds
@virtual_time
async def test_requests_refused_by_a_full_queue_of_loads_leave_nothing_behind(late: bool) -> None:
    settings = replace(UNLIMITED, cache=CacheSettings(load_concurrency=1, load_queue=1))
    async with cluster(late=late, settings=settings) as servers:
        node = servers.node
        node.store.hold(Point.READ)
        loading = [asyncio.create_task(node.conversations(f"first{n}")) for n in range(2)]
        await settle()
        refused = await gather_all(
            *(node.conversations(f"read{n}") for n in range(5)),
            *(node.send(f"sent{n}", f"to{n}", "x", "c") for n in range(5)),
        )
        for answer in refused:
            assert isinstance(answer, Overloaded)
            assert answer.retry_after_ms
        assert sorted(row.user_id for row in node.owner.table.rows()) == ["first0", "first1"]
        node.store.release(Point.READ)
        await asyncio.gather(*loading)


@both_kinds
@virtual_time
async def test_a_caller_that_leaves_before_its_row_is_loaded_leaves_nothing_behind(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        node.store.hold(Point.READ)
        sending = asyncio.create_task(node.send("ann", "ann", "x", "c"))
        await settle()
        sending.cancel()
        node.store.faults.next(Fault.FAIL_BEFORE, Op.READ)
        node.store.release(Point.READ)
        await gather_all(sending)
        await settle()
        assert len(node.owner.table) == 0


@virtual_time
async def test_a_mailbox_read_from_the_store_is_the_one_that_was_in_memory() -> None:
    """Byte for byte: a client must not see which."""
    for late in (False, True):
        async with cluster(late=late) as servers:
            sent = await servers.node.send("ann", "bob", "hi\u202e\0", "c1")
            await servers.node.send("bob", "ann", "hello", "c2")
            await servers.node.mark_read("ann", sent.conversation_id, sent.message_id)
            await servers.quiet()
            before = [
                (await servers.node.messages(user, conversation)).items
                for user in ("ann", "bob")
                for conversation in (None, sent.conversation_id)
            ] + [(await servers.node.conversations(user)).items for user in ("ann", "bob")]
            await servers.restart()
            after = [
                (await servers.node.messages(user, conversation)).items
                for user in ("ann", "bob")
                for conversation in (None, sent.conversation_id)
            ] + [(await servers.node.conversations(user)).items for user in ("ann", "bob")]
            assert [list(items) for items in after] == [list(items) for items in before]


@both_kinds
@virtual_time
async def test_a_long_conversation_is_paged_from_memory_and_store_alike(late: bool) -> None:
    settings = replace(UNLIMITED, cache=CacheSettings(window_messages=10))
    async with cluster(late=late, settings=settings) as servers:
        node = servers.node
        sent = await asyncio.gather(*(node.send("ann", "ann", str(n), f"c{n}") for n in range(600)))
        for size in (3, 10, 11, 200):
            page = await node.messages("ann", sent[0].conversation_id, page_size=size)
            assert [item["messageContent"] for item in parsed(page)] == [str(599 - n) for n in range(size)]
            far = await node.messages("ann", sent[0].conversation_id, page_size=size, page_number=2)
            assert [item["messageContent"] for item in parsed(far)] == [str(599 - 2 * size - n) for n in range(size)]
        delta = await node.messages("ann", token=sent[99].last_updated_timestamp, page_size=200)
        assert [item["messageContent"] for item in parsed(delta)] == [str(n) for n in range(100, 300)]
        assert delta.has_more


# ---- mailboxes larger than the cache

FEW = 200
"""Conversations of a mailbox that is larger than SMALL's cache; others' take 3 KB each."""


async def write_large(servers: Cluster, user: str) -> None:
    fence = [FenceCell(1, (FenceEntry(1, 0, 0),))] if servers.late else []
    now_us = servers.clock.now_us()
    states = [Conversation.new((user, f"other{n}"), now_us + n) for n in range(FEW)]
    cells = [
        IndexCell(CONVERSATION.letter, n.to_bytes(16, "big"), 1, replace(state, epoch=1), None)
        for n, state in enumerate(states)
    ]
    puts = [*map(codec.encode, cells), *map(codec.encode, fence)]
    mutation = RowMutation(row_key(user, SHARDS), puts)
    await servers.store.mutate([mutation], servers.clock.now_ms())


@both_kinds
@virtual_time
async def test_a_mailbox_larger_than_the_cache_evicts_neither_all_others_nor_itself_at_each_request(late: bool) -> None:
    async with cluster(late=late, settings=SMALL) as servers:
        node, table = servers.node, servers.node.owner.table
        await write_large(servers, "huge")
        for n in range(6):
            await node.conversations(f"u{n}")
        await node.conversations("huge")
        loads, kept = table.loads, [n for n in range(6) if table.peek(f"u{n}") is not None]
        assert len(kept) >= 3
        for _ in range(20):
            await node.conversations("huge")
            for n in kept:
                await node.conversations(f"u{n}")
        assert table.loads == loads, "nobody was read again"
        assert table.size_bytes == sum(row.size_bytes for row in table.rows())


@both_kinds
@virtual_time
async def test_two_mailboxes_larger_than_the_cache_are_not_kept_together(late: bool) -> None:
    async with cluster(late=late, settings=SMALL) as servers:
        node, table = servers.node, servers.node.owner.table
        for user in ("huge1", "huge2"):
            await write_large(servers, user)
            await node.conversations(user)
        assert table.peek("huge1") is None
        assert table.peek("huge2") is not None


@virtual_time
async def test_mailboxes_that_evict_one_another_are_read_half_of_the_time_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The place of a load in parts rests for as long as the load took."""
    in_small_parts(monkeypatch)
    monkeypatch.setattr(table_module, "LARGE_LOADS", 1)
    async with cluster(late=False, settings=SMALL) as servers:
        node, began_s = servers.node, asyncio.get_running_loop().time()
        for n in range(4):
            await write_large(servers, f"huge{n}")
        get_range = node.store.get_range

        async def slow(*arguments: Any, **options: Any) -> Any:
            await asyncio.sleep(0.001)
            return await get_range(*arguments, **options)

        monkeypatch.setattr(node.store, "get_range", slow)
        await asyncio.gather(*(node.conversations(f"huge{n}") for n in range(4)))
        one_s = 0.001 * (FEW // 3 + 1)
        assert asyncio.get_running_loop().time() - began_s >= 6 * one_s


@virtual_time
async def test_making_room_looks_at_a_bounded_number_of_rows_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each commit of each row looked at all of them."""
    async with cluster(late=False, settings=SMALL) as servers:
        node, table, looked = servers.node, servers.node.owner.table, 0
        await node.conversations("ann")
        for n in range(1000):
            table.row(f"busy{n}").lock()
        monkeypatch.setattr(table._room, "limit_bytes", 1)

        def counted(row: Row) -> bool:
            nonlocal looked
            looked += 1
            return not row.is_busy

        monkeypatch.setattr(Row, "is_evictable", property(counted))
        table.account(table.row("ann"))
        assert 0 < looked <= 100
        for _ in range(20):
            table.account(table.row("busy0"))
        assert table.peek("ann") is None, "they come round"
        for row in table.rows():
            row.unlock()
