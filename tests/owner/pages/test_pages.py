"""Pages by number never skip a message, whatever the messages' sizes; and none leaves a hole in memory."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.mailbox.aggregate.mailbox import LOG_ENTRIES
from rowbox.mailbox.errors import PageTooLarge
from rowbox.mailbox.ids import message_id
from rowbox.mailbox.message import Message
from rowbox.mailbox.settings.config import CacheSettings
from tests.support.cluster import UNLIMITED, Node, all_messages, cluster, gather_all, ids, parsed, version_of
from tests.support.virtual_time import settle, virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
both_lists = pytest.mark.parametrize("of_all", [False, True], ids=["conversation", "all"])


async def by_number(node: Node, conversation: bytes | None, size: int) -> tuple[list[str], int]:
    """Every message's id, as a client gets them that asks page by page and does as a refusal says; the refusals."""
    found: list[str] = []
    number, refusals, has_more = 0, 0, True
    while has_more:
        try:
            page = await node.messages("ann", conversation, page_number=number, page_size=size)
        except PageTooLarge as refusal:
            number, size, refusals = refusal.page_number, refusal.page_size, refusals + 1
            continue
        found += ids(parsed(page))
        has_more = page.has_more
        number += 1
    return found, refusals


@both_kinds
@both_lists
@pytest.mark.parametrize(("count", "length", "size"), [(17, 65_535, 50), (200, 8_000, 200), (200, 8_000, 130)])
@virtual_time
async def test_large_messages_are_not_skipped_by_number(
    late: bool, of_all: bool, count: int, length: int, size: int
) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        sent = [await node.send("ann", "ann", "x" * length, f"c{n}") for n in range(count)]
        found, refusals = await by_number(node, None if of_all else sent[0].conversation_id, size)
        assert found == [one.message_id.hex() for one in reversed(sent)]
        assert refusals > 0


@both_kinds
@both_lists
@virtual_time
async def test_a_first_page_without_a_number_is_never_an_error_and_goes_on_by_cursor(late: bool, of_all: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        sent = [await node.send("ann", "ann", "x" * 65_535, f"c{n}") for n in range(50)]
        conversation = None if of_all else sent[0].conversation_id
        page = await node.messages("ann", conversation)
        assert (len(page.items), page.has_more) == (15, True)
        assert version_of(page.token) == sent[-1].last_updated_timestamp
        found, _ = await all_messages(node, "ann", conversation, 50)
        assert len(found) == 50
        again = await node.messages("ann", conversation, token=sent[-1].last_updated_timestamp + 1, page_number=0)
        assert (again.reset_reason, len(again.items), again.has_more) == ("future", 15, True)


@both_kinds
@both_lists
@virtual_time
async def test_a_page_that_is_too_large_by_number_says_which_one_fits(late: bool, of_all: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        sent = [await node.send("ann", "ann", "x" * 65_535, f"c{n}") for n in range(50)]
        conversation = None if of_all else sent[0].conversation_id
        with pytest.raises(PageTooLarge) as refused:
            await node.messages("ann", conversation, page_number=0, page_size=50)
        assert (refused.value.page_number, refused.value.page_size) == (0, 15)
        with pytest.raises(PageTooLarge) as refused:
            await node.messages("ann", conversation, page_number=2, page_size=16)
        assert (refused.value.page_number, refused.value.page_size) == (4, 8)
        page = await node.messages("ann", conversation, cursor=refused.value.cursor)
        assert page.token is None
        assert ids(parsed(page)) == [one.message_id.hex() for one in reversed(sent[3:18])]


@both_kinds
@virtual_time
async def test_a_message_that_comes_late_while_a_numbered_page_is_read_is_in_the_next_page(late: bool) -> None:
    """It sorts below the window while the page's place is looked for, and the page is the mailbox as it was before."""
    with pytest.MonkeyPatch.context() as patch:
        await a_message_comes_late(late, patch)


async def a_message_comes_late(late: bool, patch: pytest.MonkeyPatch) -> None:
    settings = replace(UNLIMITED, cache=CacheSettings(window_messages=9))
    async with cluster(late=late, settings=settings) as servers:
        for n in range(20):
            await servers.node.send("bob", "ann", str(n), f"c{n}")
            await asyncio.sleep(1)
        await servers.quiet()
        node = await servers.restart()
        conversation = bytes.fromhex(parsed(await node.messages("ann", page_size=1))[0]["conversationId"])
        await node.messages("ann", conversation, page_size=3)  # these three are in memory
        go_on = asyncio.Event()
        patch.setattr(node.store, "get_range", pausing(node.store.get_range, go_on))
        asking = asyncio.create_task(node.messages("ann", conversation, page_number=1, page_size=2))
        await settle()
        came_late = Message(
            message_id(servers.clock.now_us() - 3_500_000, 7), conversation, "bob", ("ann", "bob"), "late"
        )
        await node.process.call(deliver(node, came_late))
        go_on.set()
        await asking
        page = await node.messages("ann", conversation, page_size=5)
        assert [item["messageContent"] for item in parsed(page)] == ["19", "18", "17", "late", "16"]


def pausing(read: Any, go_on: asyncio.Event) -> Any:
    """A read whose first call returns what it found when `go_on` is set."""
    calls = 0

    async def paused(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        is_first = calls == 1
        found = await read(*arguments, **options)
        if is_first:
            await go_on.wait()
        return found

    return paused


async def deliver(node: Node, message: Message) -> None:
    await node.owner._deliver("ann", [message])


@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late_writes"])
@virtual_time
async def test_the_first_message_of_all_is_listed_though_its_conversation_went_on_behind_the_second_ones(
    late: bool,
) -> None:
    """All three are of one mutation, and the log in memory then begins behind it."""
    async with cluster(late=late) as servers:
        node = servers.node
        await gather_all(*(node.messages(user) for user in ("ann", "bob", "cat")))
        to = ("bob", "cat", "bob")
        await gather_all(*(node.send("ann", user, "hi", f"first {place}") for place, user in enumerate(to)))
        for number in range(LOG_ENTRIES):
            await node.send("ann", "bob", "hi", f"{number}")
        items, _ = await all_messages(node, "ann", None, 100)
        assert len(set(ids(items))) == len(items) == len(to) + LOG_ENTRIES
