"""Rules of the owner that no promise shows broken at once: what they prevent grows slowly, or needs a day."""

import asyncio

import pytest

from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.errors import HandoverInProgress, PageTooLarge, StoreOutcomeUnknown
from rowbox.mailbox.pages.cursor import ListKind
from rowbox.mailbox.pages.page_cut import PAGE_BYTES, TAIL_BYTES
from tests.support.cluster import SHARDS, Node, cluster, gather_all
from tests.support.virtual_time import virtual_time

ANN = row_key("ann", SHARDS)


async def cells(node: Node, family: Family) -> int:
    return len((await node.store.get_row(ANN, (family,)))[family])


@virtual_time
async def test_an_owner_that_was_replaced_does_not_even_send_its_write() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.send("ann", "ann", "before", "c1")
        node.revoke()
        (answer,) = await gather_all(node.send("ann", "ann", "after", "c2"))
        assert isinstance(answer, HandoverInProgress)
        assert await cells(node, Family.MESSAGES) == 1


@pytest.mark.parametrize("max_bytes", [PAGE_BYTES, 256 << 10])
@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
@virtual_time
async def test_a_page_is_bounded_in_bytes_and_its_cursor_and_token_go_on(late: bool, max_bytes: int) -> None:
    room_bytes = max_bytes - TAIL_BYTES
    async with cluster(late=late) as servers:
        node = servers.node
        first = await node.send("ann", "ann", "first", "c")
        token = node.token("ann", first.last_updated_timestamp, ListKind.ALL_MESSAGES)
        for number in range(40):
            await node.send("ann", "ann", "x" * 60_000, f"c{number}")
        for conversation_id in (first.conversation_id, None):
            count, cursor, has_more = 0, None, True
            while has_more:
                page = await node.messages("ann", conversation_id, page_size=200, cursor=cursor, max_bytes=max_bytes)
                assert room_bytes - 61_000 < sum(map(len, page.items)) <= room_bytes or not page.has_more
                count, cursor, has_more = count + len(page.items), page.next_cursor, page.has_more
            assert count == 41
            with pytest.raises(PageTooLarge) as refused:
                await node.messages("ann", conversation_id, page_number=0, page_size=41, max_bytes=max_bytes)
            assert refused.value.page_size == room_bytes // 60_000
        caught_up = 0
        while (delta := await node.messages("ann", token=token, page_size=200, max_bytes=max_bytes)).items:
            assert sum(map(len, delta.items)) <= room_bytes
            assert delta.token is not None
            caught_up, token = caught_up + len(delta.items), delta.token
        assert caught_up == 40


@virtual_time
async def test_a_row_loaded_again_before_its_outbox_is_cleared_delivers_nothing_twice() -> None:
    async with cluster(late=True) as servers:
        node = servers.node
        await node.send("ann", "bob", "x", "c")
        delivered = node.owner.delivery.delivered
        row = node.owner.table.row("ann")
        assert await cells(node, Family.OUTBOX) == 1, "its removal waits for company"
        node.owner.table.drop(row)
        await node.conversations("ann")
        assert node.owner.delivery.pending == 0
        assert node.owner.delivery.delivered == delivered
        await asyncio.sleep(1)
        assert await cells(node, Family.OUTBOX) == 0


@virtual_time
async def test_a_late_write_goes_when_a_read_meets_it() -> None:
    async with cluster(late=True) as servers:
        kept = await servers.node.send("ann", "ann", "kept", "c1")
        servers.node.store.faults.next(Fault.EXECUTE_LATE, Op.MUTATE)
        (lost,) = await gather_all(servers.node.send("ann", "ann", "lost", "c2"))
        assert isinstance(lost, StoreOutcomeUnknown)
        await servers.node.conversations("ann")  # claims the row anew
        servers.store.land()
        assert await cells(servers.node, Family.MESSAGES) == 2
        await servers.node.messages("ann", kept.conversation_id)
        await asyncio.sleep(1)
        assert await cells(servers.node, Family.MESSAGES) == 1


@pytest.mark.parametrize("is_in_memory", [True, False], ids=["in_memory", "from_the_row"])
@virtual_time
async def test_a_replaced_owner_does_not_say_that_a_page_is_too_large(is_in_memory: bool) -> None:
    """Rule 5 is for refusals too: the mailbox may have changed since, and the cursor in it leads into the past."""
    async with cluster(late=True) as servers:
        node = servers.node
        sent = await node.send("ann", "ann", "first", "c")
        for number in range(20):
            await node.send("ann", "ann", "x" * 60_000, f"c{number}")
        conversation = sent.conversation_id if is_in_memory else None
        with pytest.raises(PageTooLarge):
            await node.messages("ann", conversation, page_number=0, page_size=20)
        await servers.start()
        with pytest.raises(HandoverInProgress):
            await node.messages("ann", conversation, page_number=0, page_size=20)
