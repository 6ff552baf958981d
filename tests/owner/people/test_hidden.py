"""What is hidden of those whom a user blocks, for administrators: all of it, page by page, each look logged."""

import asyncio
import logging

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.people import hidden_reads
from rowbox.cacheserver.port import FetchHidden, HiddenPage, HiddenShown, SendResult
from rowbox.mailbox.errors import RateLimited
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import StoreSettings
from tests.owner.people.test_blocks import SOON_S, TOGETHER, block, both_kinds, comes_again, of, sends, servers, unblock
from tests.support.cluster import UNLIMITED, Cluster, Node, cluster
from tests.support.virtual_time import virtual_time

ROOT = Bearer("root", 1e12)
MUCH = 1 << 20


async def look(
    node: Node, behind: tuple[bytes, bytes] | None = None, most: int = 100, max_bytes: int = MUCH, user: str = "bob"
) -> HiddenPage:
    return await node.process.call(node.owner.fetch_hidden(FetchHidden(user, most, max_bytes, behind, ROOT)))


async def all_of_it(node: Node, most: int, max_bytes: int = MUCH) -> list[HiddenPage]:
    pages = [await look(node, most=most, max_bytes=max_bytes)]
    while pages[-1].next is not None:
        pages.append(await look(node, pages[-1].next, most, max_bytes))
    return pages


def said(page: HiddenPage) -> list[tuple[bytes, str]]:
    return [(one.message_id, one.content) for one in page.messages]


def place(sent: SendResult, text: str) -> tuple[bytes, str]:
    return sent.message_id, text


async def settled(made: Cluster) -> None:
    """What counts no more was removed."""
    await made.quiet()
    await asyncio.sleep(SOON_S)


@both_kinds
@virtual_time
async def test_an_administrator_sees_what_is_hidden_and_what_was_done_to_it(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        seen = await sends(node, "seen")
        assert await look(node) == HiddenPage((), None, None)
        await block(node)
        first, second = await sends(node, "insult"), await sends(node, "another")
        await node.change("ann", first, "praise")
        await node.change("ann", first, None)
        await node.react("ann", second, "\U0001f44d")
        await node.change("ann", seen, "an insult, too")
        await comes_again(node, of(first, "insult"), of(second, "another"))
        await unblock(node)
        await sends(node, "shown again")
        await settled(made)
        for _ in range(2):  # from memory, and by another owner
            page = await look(node)
            kept = [place(second, "another"), *[place(first, text) for text in ("insult", "praise", "")]]
            assert said(page) == [*kept, place(seen, "an insult, too")], "once, however often it came"
            assert page.next is None
            reacted, insult, praise, gone, edited = page.messages
            assert {one.conversation_id for one in page.messages} == {TOGETHER}
            assert {one.sender_id for one in page.messages} == {"ann"}
            assert [one.emoji for one in reacted.reactions] == ["\U0001f44d"]
            assert insult == HiddenShown(first.message_id, TOGETHER, "ann", "insult", insult.hidden_us)
            assert [one.change is not None and one.change.is_unsent for one in (praise, gone)] == [False, True]
            assert edited.change is not None
            assert insult.hidden_us < praise.hidden_us < gone.hidden_us
            assert await look(node, user="ann") == HiddenPage((), None, None)
            node = await made.restart()


@both_kinds
@virtual_time
async def test_pages_hold_whole_messages_and_all_of_them_once(*, late: bool) -> None:
    async with servers(late=late) as made:
        node = made.node
        for other in ("ann", "cem", "dan"):
            await block(node, other=other)
        for number in range(5):
            for other in ("ann", "dan"):  # of cem nothing comes
                sent = await sends(node, f"{other} {number}", other)
                await node.change(other, sent, f"{other} {number} edited")
        await settled(made)
        (whole,) = await all_of_it(node, 100)
        assert len(whole.messages) == 20
        in_order = [(one.conversation_id, [-part for part in one.message_id], one.hidden_us) for one in whole.messages]
        assert in_order == sorted(in_order)
        for most, max_bytes in ((1, MUCH), (2, MUCH), (3, MUCH), (100, 1), (100, 40)):
            pages = await all_of_it(node, most, max_bytes)
            assert [one for page in pages for one in page.messages] == list(whole.messages)
            for page in pages:
                ids = {one.message_id for one in page.messages}
                assert len(ids) <= most
                assert len(page.messages) == 2 * len(ids), "what was done to a message stands on its page"


@virtual_time
async def test_a_page_reads_few_conversations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hidden_reads, "MOST_READS", 2)
    async with servers(late=False) as made:
        node = made.node
        others = [f"u{number}" for number in range(5)]
        for other in others:
            await block(node, other=other)
            await sends(node, f"of {other}", other)
        pages = await all_of_it(node, 100)
        assert [len(page.messages) for page in pages] == [2, 2, 1]
        assert {one.content for page in pages for one in page.messages} == {f"of {other}" for other in others}


@virtual_time
async def test_what_retention_took_is_shown_to_nobody() -> None:
    settings = replace(UNLIMITED, store=StoreSettings(retention_ms=60_000))
    async with cluster(late=True, settings=settings) as made:
        node = made.node
        await block(node)
        await sends(node, "insult")
        assert len((await look(node)).messages) == 1
        await asyncio.sleep(61)
        assert await look(node) == HiddenPage((), None, None)


@virtual_time
async def test_each_look_is_logged_with_who_looked(caplog: pytest.LogCaptureFixture) -> None:
    async with servers(late=False) as made:
        node = made.node
        await block(node)
        await sends(node, "insult")
        for _ in range(2):
            await look(node)
        await node.process.call(node.owner.fetch_hidden(FetchHidden("bob", 1, MUCH)))
        said = [record.getMessage() for record in caplog.records if record.name == hidden_reads.log.name]
        looked = "looked at what is hidden from bob: 1 entries"
        assert said == [f"root {looked}", f"root {looked}", f"an operator {looked}"]
        assert hidden_reads.log.level == logging.INFO, "whatever server.log_level is"
        assert not any("insult" in record.getMessage() for record in caplog.records)


@virtual_time
async def test_a_look_that_is_refused_is_none(caplog: pytest.LogCaptureFixture) -> None:
    async with servers(late=False) as made:
        node = made.node
        await block(node)

        def refuse(*_: object) -> None:
            raise RateLimited("too many requests of this user", retry_after_ms=1000)

        node.owner.hidden._limits.take = refuse  # type: ignore[method-assign, assignment]
        with pytest.raises(RateLimited):
            await look(node)
        assert [record for record in caplog.records if record.name == hidden_reads.log.name] == []
