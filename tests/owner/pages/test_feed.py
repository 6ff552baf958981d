"""The feed: where it begins, what ends a wait for it, and when its answers are refused."""

import asyncio
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from rowbox.cacheserver.fetch.page_reader import PageReader
from rowbox.cacheserver.port import Changes
from rowbox.mailbox.errors import HandoverInProgress, RateLimited, TokenRevoked
from rowbox.mailbox.ids import to_text
from rowbox.mailbox.pages.feed import FIRST_CONVERSATIONS
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import RateLimitSettings, StoreSettings
from tests.owner.pages.test_polls import hold_pages, leave_memory
from tests.support.cluster import UNLIMITED, Node, cluster, gather_all, version_of
from tests.support.virtual_time import settle, virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
WEEK_S = 7 * 86_400


def poll(node: Node, user: str, token: str | int, wait_ms: int = 20_000, **how: Any) -> "asyncio.Task[Changes]":
    return asyncio.create_task(node.changes(user, token=token, wait_ms=wait_ms, **how))


def texts(changes: Changes) -> list[str]:
    return [orjson.loads(message)["messageContent"] for message in changes.messages]


def unread(changes: Changes) -> list[int]:
    return [orjson.loads(conversation)["unreadCount"] for conversation in changes.conversations]


@both_kinds
@virtual_time
async def test_without_a_token_there_are_the_newest_conversations_and_the_head(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        empty = await node.changes("bob")
        assert (list(empty.conversations), empty.is_delta, empty.next_cursor) == ([], False, None)
        for number in range(FIRST_CONVERSATIONS + 3):
            await node.send(f"friend-{number}", "bob", f"text {number}", "c")
        await servers.quiet()
        beginning = await node.changes("bob", wait_ms=50_000)
        assert (list(beginning.messages), beginning.is_delta, beginning.has_more) == ([], False, False)
        assert len(beginning.conversations) == FIRST_CONVERSATIONS
        rest = await node.conversations("bob", cursor=beginning.next_cursor)
        listed = await node.conversations("bob", page_size=100)
        assert [*beginning.conversations, *rest.items] == list(listed.items)
        assert version_of(beginning.token) == version_of(listed.token)
        assert (await node.changes("bob", token=beginning.token)).is_empty
        assert texts(await node.changes("bob", token=empty.token)) == [f"text {n}" for n in range(23)]


@both_kinds
@virtual_time
async def test_a_token_that_cannot_be_served_begins_anew_and_says_why(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        sent = await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        of_messages = (await node.messages("bob")).token
        assert of_messages is not None
        assert (await node.changes("bob", token=of_messages)).reset_reason == "foreign"
        assert (await node.changes("bob", token=node.owner.feed.bookmarks("ann").token(5))).reset_reason == "foreign"
        assert (await node.changes("bob", token=1 << 51)).reset_reason == "future"
        assert (await node.changes("bob", token="5.0123456789abcdef01234567")).reset_reason == "restored"
        old = (await node.changes("bob")).token
        await asyncio.sleep(WEEK_S + 60)
        assert (await node.changes("bob", token=old)).is_empty, "a token that is the head is always served"
        await node.mark_read("bob", sent.conversation_id, sent.message_id)
        expired = await node.changes("bob", token=old, wait_ms=50_000)
        assert (expired.reset_reason, expired.is_delta, unread(expired)) == ("expired", False, [0])


@both_kinds
@virtual_time
async def test_any_shown_change_wakes_it_and_a_hidden_one_does_not(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        sent = await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        token = (await node.changes("bob")).token
        waiting = poll(node, "bob", token)
        await settle()
        await node.revoke_user("bob")
        await settle()
        assert not waiting.done()
        await node.mark_read("bob", sent.conversation_id, sent.message_id)
        marked = await waiting
        assert (texts(marked), unread(marked)) == ([], [0])
        again = poll(node, "bob", marked.token)
        await settle()
        await node.send("ann", "bob", "more", "c2")
        assert (texts(await again), unread(await again)) == (["more"], [1])
        nothing = await poll(node, "bob", (await again).token, 5_000)
        assert (nothing.is_empty, nothing.token, nothing.retry_after_ms) == (True, (await again).token, None)
        assert node.owner.waiters.count == 0


@both_kinds
@virtual_time
async def test_a_wait_is_answered_with_what_came_while_its_mailbox_was_not_in_memory(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        waiting = poll(node, "bob", 0)
        await settle()
        leave_memory(node, "bob")
        await node.send("ann", "bob", "hi", "c")
        assert texts(await waiting) == ["hi"]


@both_kinds
@pytest.mark.parametrize("leaves", [False, True], ids=["stays", "leaves"])
@virtual_time
async def test_nothing_is_missed_that_came_while_the_page_before_the_wait_was_read(
    late: bool, leaves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither where memory knows of it, nor where the mailbox that knows of it has left again."""
    async with cluster(late=late) as servers:
        node = servers.node
        await node.send("ann", "bob", "of the past", "c")
        await servers.quiet()
        token = (await node.changes("bob")).token
        await node.revoke_user("bob")  # moves the head, and nothing that is shown
        leave_memory(node, "bob")
        reads, may_go_on = hold_pages(monkeypatch)
        waiting = poll(node, "bob", token)
        await reads.wait()
        leave_memory(node, "bob")
        await node.send("ann", "bob", "news", "c2")
        await servers.quiet()
        if leaves:
            leave_memory(node, "bob")
        may_go_on.set()
        assert texts(await waiting) == ["news"]


@both_kinds
@virtual_time
async def test_what_retention_ends_is_a_change_of_the_feed_and_wakes_it(late: bool) -> None:
    async with cluster(late=late, settings=replace(UNLIMITED, store=StoreSettings(retention_ms=60_000))) as servers:
        node = servers.node
        await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        waiting = poll(node, "bob", (await node.changes("bob")).token, 50_000_000)
        await settle()
        began = asyncio.get_running_loop().time()
        changes = await waiting
        assert asyncio.get_running_loop().time() - began == pytest.approx(60, abs=2)
        assert (texts(changes), unread(changes)) == ([], [0])
        assert orjson.loads(changes.conversations[0])["snippet"] is None
        assert texts(await node.changes("bob", token=0)) == []


@both_kinds
@virtual_time
async def test_what_has_ended_in_many_conversations_comes_in_parts(late: bool) -> None:
    """Each call settles a bounded number of them, and says that there is more."""
    async with cluster(late=late, settings=replace(UNLIMITED, store=StoreSettings(retention_ms=60_000))) as servers:
        node = servers.node
        for number in range(250):
            await node.send(f"friend-{number}", "bob", "hi", "c")
        await servers.quiet()
        token = (await node.changes("bob")).token
        await asyncio.sleep(120)
        counts = []
        has_more = True
        while has_more:
            page = await node.changes("bob", token=token)
            counts.append(len(page.conversations))
            token, has_more = page.token, page.has_more
        assert (sum(counts), max(counts)) == (250, 100)


@both_kinds
@virtual_time
async def test_a_revoked_token_gets_no_changes_and_ends_its_wait(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        await node.send("ann", "bob", "hi", "c")
        bearer = Bearer("bob", float(servers.clock.now_us() // 1_000_000 - 5))
        token = (await node.changes("bob", bearer=bearer)).token
        waiting = poll(node, "bob", token, bearer=bearer)
        await settle()
        await node.revoke_user("bob")
        for answer in await gather_all(waiting, node.changes("bob", token=0, bearer=bearer)):
            assert isinstance(answer, TokenRevoked)


@virtual_time
async def test_a_replaced_owner_answers_neither_a_page_nor_a_wait() -> None:
    async with cluster(late=True) as servers:
        old = servers.node
        await old.send("ann", "bob", "hi", "c")
        await servers.quiet()
        token = (await old.changes("bob")).token
        waiting = poll(old, "bob", token, 2_000)
        await settle()
        await servers.start()
        for answer in await gather_all(waiting, old.changes("bob", token=0), old.changes("bob")):
            assert isinstance(answer, HandoverInProgress)


@virtual_time
async def test_an_owner_that_is_replaced_while_a_page_is_read_does_not_answer_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The check of the grant before the answer: what was read may lack what the next owner has confirmed."""
    read = PageReader.changes
    async with cluster(late=True) as servers:
        old = servers.node
        await old.send("ann", "bob", "hi", "c")
        await servers.quiet()
        await old.changes("bob", token=0)
        leave_memory(old, "bob")

        async def replaced_meanwhile(*what: Any) -> Any:
            changes = await read(*what)
            old.revoke()
            return changes

        monkeypatch.setattr(PageReader, "changes", replaced_meanwhile)
        (answer,) = await gather_all(old.changes("bob", token=0))
        assert isinstance(answer, HandoverInProgress)


@virtual_time
async def test_an_owner_that_is_replaced_while_a_beginning_is_made_does_not_answer_with_it() -> None:
    async with cluster(late=True) as servers:
        old = servers.node
        first_page = old.owner.feed._first_page

        async def replaced_meanwhile(*asked: Any) -> Any:
            page = await first_page(*asked)
            old.revoke()
            return page

        old.owner.feed._first_page = replaced_meanwhile
        (answer,) = await gather_all(old.changes("bob"))
        assert isinstance(answer, HandoverInProgress)


@both_kinds
@virtual_time
async def test_a_token_that_is_revoked_while_a_page_is_read_is_not_told_it(
    late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = PageReader.changes
    async with cluster(late=late) as servers:
        node = servers.node
        await node.send("ann", "bob", "hi", "c")
        await servers.quiet()
        leave_memory(node, "bob")
        bearer = Bearer("bob", float(servers.clock.now_us() // 1_000_000 - 5))

        async def revoked_meanwhile(*what: Any) -> Any:
            changes = await read(*what)
            await node.revoke_user("bob")
            return changes

        monkeypatch.setattr(PageReader, "changes", revoked_meanwhile)
        (answer,) = await gather_all(node.changes("bob", token=0, bearer=bearer))
        assert isinstance(answer, TokenRevoked)


@both_kinds
@virtual_time
async def test_a_drain_ends_a_wait_with_the_time_to_come_back(late: bool) -> None:
    async with cluster(late=late) as servers:
        waiting = poll(servers.node, "bob", 0)
        await settle()
        servers.node.owner.begin_drain()
        answer = await waiting
        assert answer.is_empty
        assert answer.retry_after_ms is not None


@both_kinds
@virtual_time
async def test_it_counts_against_the_fetch_limit_with_what_it_reads(late: bool) -> None:
    limits = RateLimitSettings(fetch_burst=10, fetch_per_second=0.01)
    async with cluster(late=late, settings=replace(UNLIMITED, rate_limits=limits)) as servers:
        node = servers.node
        for number in range(4):
            await node.send("ann", "bob", "x" * 60_000, f"c{number}")
        await servers.quiet()
        warm = await node.changes("bob", token=0)
        assert warm.quota is not None
        assert warm.quota.remaining == 9
        await servers.restart()
        cold = await servers.node.changes("bob", token=0)
        assert cold.quota is not None
        assert cold.quota.remaining <= 7, "what was read from the store is paid for"
        answers = await gather_all(*[servers.node.changes("bob", token=cold.token) for _ in range(9)])
        assert any(isinstance(answer, RateLimited) for answer in answers)


@both_kinds
@virtual_time
async def test_a_page_ends_before_its_bytes_and_the_next_one_goes_on(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        sent = [await node.send("ann", "bob", "x" * 50_000, f"c{number}") for number in range(20)]
        await servers.quiet()
        token: str | int = 0
        found: list[str] = []
        conversations: list[int] = []
        has_more = True
        while has_more:
            page = await node.changes("bob", token=token, page_size=200, max_bytes=262_144)
            conversations.append(len(page.conversations))
            assert sum(map(len, [*page.messages, *page.conversations])) < 262_144
            assert len(page.messages) == 5 or not page.has_more
            found += [orjson.loads(message)["messageId"] for message in page.messages]
            token, has_more = page.token, page.has_more
        assert found == [to_text(one.message_id) for one in sent]
        assert conversations == [0, 0, 0, 1], "it comes once, where it changed last"
