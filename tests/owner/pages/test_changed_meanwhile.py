"""A page of all conversations while one of its messages is being changed: it has the message, as before or as after."""

import asyncio

import pytest

from rowbox.cacheserver.fetch.message_pages import MessagePage
from rowbox.cacheserver.rows.view import View
from rowbox.cacheserver.stores.port import Column
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.pages.page_request import PageRequest
from tests.support.cluster import CRAMPED, all_messages, cluster, parsed
from tests.support.virtual_time import virtual_time


@virtual_time
@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
async def test_a_message_that_is_edited_while_a_page_of_all_is_read_is_in_the_page(late: bool) -> None:
    """P5: what every fetch has shown before is not missing from one because its author edits it at that moment."""
    async with cluster(late=late, settings=CRAMPED) as made:
        node = made.node
        sent = [await node.send("ann", "bob", f"text {number}", str(number)) for number in range(6)]
        await made.quiet()
        store, read = node.store, node.store.get_columns
        edits = [sent[1], sent[2]]

        async def edited_before(row: bytes, family: Family, qualifiers: list[bytes]) -> list[Column]:
            while family is Family.MESSAGES and edits:
                await node.change("ann", edits.pop(), "edited")
                await asyncio.sleep(10)
            return await read(row, family, qualifiers)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "get_columns", edited_before)
            page = await node.messages("ann", page_size=10)
        assert not edits
        assert {item["messageId"] for item in parsed(page)} == {one.message_id.hex() for one in sent}
        delta = await node.messages("ann", token=page.token)
        shown = {item["messageId"]: item for item in [*parsed(page), *parsed(delta)]}
        assert [item["messageContent"] for item in shown.values()].count("edited") == 2


@virtual_time
async def test_pages_of_what_was_changed_before_are_read_once() -> None:
    async with cluster(late=True, settings=CRAMPED) as made:
        node = made.node
        sent = [await node.send("ann", "bob", f"text {number}", str(number)) for number in range(12)]
        for one in sent[:6]:
            await node.change("ann", one, "edited")
        await asyncio.sleep(10)
        pages = node.owner.fetches._pages
        read, reads = pages.page, list[object]()

        async def counted(view: View, asked: PageRequest) -> MessagePage:
            reads.append(asked)
            return await read(view, asked)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pages, "page", counted)
            items, _ = await all_messages(node, "ann", None, 4)
        assert len({item["messageId"] for item in items}) == 12
        assert len(items) == 12
        assert len(reads) == 5, "eighteen entries, four on a page"
