"""The rows in memory: they stay within their bytes, busy ones stay, and a row of nothing stays for nobody."""

import asyncio

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.stores.memory_faults import Fault, Op
from rowbox.cacheserver.stores.memory_gates import Point
from rowbox.mailbox.config import CacheSettings
from rowbox.mailbox.errors import Overloaded, StoreUnavailable
from tests.support.cluster import UNLIMITED, cluster, gather_all, parsed
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
