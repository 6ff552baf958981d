"""Pages by number never skip a message, whatever the messages' sizes."""

import pytest

from rowbox.mailbox.errors import PageTooLarge
from tests.support.cluster import Node, all_messages, cluster, ids, parsed, version_of
from tests.support.virtual_time import virtual_time

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
