"""Long polls: what wakes them, what ends them, and what token they answer with."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.fetch.page_reader import PageReader
from rowbox.cacheserver.port import Page
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.mailbox.errors import Overloaded, StoreOutcomeUnknown
from rowbox.mailbox.settings.config import PollSettings
from tests.support.cluster import UNLIMITED, Node, cluster, gather_all, parsed, version_of
from tests.support.virtual_time import settle, virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])


def poll(node: Node, user: str, token: str | int | None, wait_ms: int = 20_000) -> "asyncio.Task[Page]":
    return asyncio.create_task(node.messages(user, token=token, wait_ms=wait_ms))


@both_kinds
@virtual_time
async def test_a_message_wakes_both_kinds_of_poll(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        messages = poll(node, "bob", 0)
        conversations = asyncio.create_task(node.conversations("bob", token=0, wait_ms=20_000))
        await settle()
        assert node.owner.waiters.count == 2
        sent = await node.send("ann", "bob", "hi", "c")
        assert [item["messageId"] for item in parsed(await messages)] == [sent.message_id.hex()]
        assert [item["lastMessageId"] for item in parsed(await conversations)] == [sent.message_id.hex()]
        assert version_of((await messages).token) == version_of((await conversations).token)
        assert node.owner.waiters.count == 0


@both_kinds
@virtual_time
async def test_a_poll_for_messages_sleeps_through_read_marks_and_answers_with_the_head(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        sent = await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        token = version_of((await node.messages("bob")).token)
        messages = poll(node, "bob", token, 5000)
        conversations = asyncio.create_task(node.conversations("bob", token=token, wait_ms=5000))
        await settle()
        began = asyncio.get_running_loop().time()
        marked = await node.mark_read("bob", sent.conversation_id, sent.message_id)
        assert [item["unreadCount"] for item in parsed(await conversations)] == [0]
        page = await messages
        assert asyncio.get_running_loop().time() - began == pytest.approx(5, abs=0.1)
        assert (list(page.items), page.is_delta) == ([], True)
        assert version_of(page.token) == marked.last_updated_timestamp


@both_kinds
@virtual_time
async def test_a_poll_of_one_conversation_sleeps_through_the_others(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        sent = await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        token = (await node.messages("bob", sent.conversation_id)).token
        waiting = asyncio.create_task(node.messages("bob", sent.conversation_id, token=token, wait_ms=20_000))
        await settle()
        await node.send("cem", "bob", "elsewhere", "c")
        await servers.quiet()
        await settle()
        assert not waiting.done()
        await node.send("ann", "bob", "here", "c2")
        assert [item["messageContent"] for item in parsed(await waiting)] == ["here"]


@virtual_time
async def test_a_poll_for_messages_that_is_woken_for_nothing_ends_when_it_would_have() -> None:
    """A write of unknown outcome has landed in another conversation: whoever reads the row anew wakes all polls."""
    async with cluster(late=True) as servers:
        node = servers.node
        sent = await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        token = (await node.messages("bob", sent.conversation_id)).token
        began = asyncio.get_running_loop().time()
        waiting = asyncio.create_task(node.messages("bob", sent.conversation_id, token=token, wait_ms=5000))
        await asyncio.sleep(3)
        node.store.faults.next(Fault.FAIL_AFTER, Op.MUTATE)
        (unknown,) = await gather_all(node.send("bob", "bob", "elsewhere", "c2"))
        assert isinstance(unknown, StoreOutcomeUnknown)
        head = version_of((await node.conversations("bob")).token)
        page = await waiting
        assert (list(page.items), version_of(page.token)) == ([], head), "it was woken, and found nothing"
        assert asyncio.get_running_loop().time() - began == pytest.approx(5, abs=0.1)


@both_kinds
@virtual_time
async def test_a_ninth_poll_ends_the_oldest(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        token = (await node.messages("bob")).token
        polls = [poll(node, "bob", token) for _ in range(8)]
        await settle()
        ninth = poll(node, "bob", token)
        await settle()
        assert [one.done() for one in polls] == [True] + [False] * 7
        assert (list((await polls[0]).items), (await polls[0]).token) == ([], token)
        await node.send("ann", "bob", "more", "c2")
        for one in [*polls[1:], ninth]:
            assert [item["messageContent"] for item in parsed(await one)] == ["more"]


@virtual_time
async def test_polls_beyond_the_servers_are_refused() -> None:
    settings = replace(UNLIMITED, poll=PollSettings(max_per_server=2))
    async with cluster(late=False, settings=settings) as servers:
        node = servers.node
        held = [poll(node, f"u{n}", 0) for n in range(2)]
        await settle()
        (refused,) = await gather_all(poll(node, "u2", 0))
        assert isinstance(refused, Overloaded)
        assert refused.retry_after_ms is not None
        held[0].cancel()
        await settle()
        third = poll(node, "u2", 0, 1000)
        assert (await third).is_delta
        await gather_all(*held)
        assert node.owner.waiters.count == 0


@both_kinds
@virtual_time
async def test_drain_answers_everybody_at_once_and_spreads_their_return(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        polls = [poll(node, f"u{n}", 0, 50_000) for n in range(40)]
        await settle(200)
        assert node.owner.waiters.count == 40
        began = asyncio.get_running_loop().time()
        node.owner.begin_drain()
        pages = await asyncio.gather(*polls)
        assert asyncio.get_running_loop().time() == began
        later = [page.retry_after_ms for page in pages if page.retry_after_ms is not None]
        assert len(later) == 40
        assert len(set(later)) > 20
        assert all(0 <= one <= 3000 for one in later)
        page = await poll(node, "u1", 0, 50_000)
        assert page.retry_after_ms is not None
        assert asyncio.get_running_loop().time() == began
        assert (await node.send("ann", "bob", "still served", "c")).message_id


@both_kinds
@virtual_time
async def test_a_poll_of_an_evicted_mailbox_is_woken(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        waiting = poll(node, "bob", 0)
        await settle()
        node.owner.table._room.limit_bytes = 1
        await node.conversations("cem")
        assert node.owner.table.peek("bob") is None
        await node.send("ann", "bob", "hi", "c")
        assert [item["messageContent"] for item in parsed(await waiting)] == ["hi"]


@both_kinds
@virtual_time
async def test_a_poll_misses_nothing_where_its_mailbox_left_while_its_page_was_read(
    late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came then woke nobody: the poll did not wait yet, and the mailbox that knows of it has left again."""
    async with cluster(late=late) as servers:
        node = servers.node
        sent = await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        token = (await node.messages("bob", sent.conversation_id)).token
        await node.send("cem", "bob", "elsewhere", "c")
        await servers.quiet()
        leave_memory(node, "bob")
        reads, may_go_on = hold_pages(monkeypatch)
        waiting = asyncio.create_task(node.messages("bob", sent.conversation_id, token=token, wait_ms=20_000))
        await reads.wait()
        leave_memory(node, "bob")
        await node.send("ann", "bob", "here", "c2")
        await servers.quiet()
        leave_memory(node, "bob")
        began = asyncio.get_running_loop().time()
        may_go_on.set()
        assert [item["messageContent"] for item in parsed(await waiting)] == ["here"]
        assert asyncio.get_running_loop().time() == began


def hold_pages(monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """From now on pages of what changed are read, which sets the first event, and held until the second one is set."""
    reads, may_go_on = asyncio.Event(), asyncio.Event()
    read = PageReader.changes

    async def slow(*what: Any) -> Any:
        changes = await read(*what)
        reads.set()
        await may_go_on.wait()
        return changes

    monkeypatch.setattr(PageReader, "changes", slow)
    return reads, may_go_on


def leave_memory(node: Node, user: str) -> None:
    table = node.owner.table
    row = table.row(user)
    table.drop(row)
    table.forget_if_empty(row)
    assert table.peek(user) is None


@both_kinds
@virtual_time
async def test_a_replaced_owner_ends_a_poll_with_an_error_and_not_with_an_empty_page(late: bool) -> None:
    if not late:
        return
    async with cluster(late=True) as servers:
        old = servers.node
        waiting = poll(old, "bob", 0, 2000)
        await settle()
        await servers.start()
        (answer,) = await gather_all(waiting)
        assert not isinstance(answer, Page)
