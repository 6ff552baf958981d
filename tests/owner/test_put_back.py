"""A store that was put back from a copy: whoever went on from a token of the lost time would miss what came instead."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from rowbox.cacheserver.port import Page
from rowbox.cacheserver.stores.history import begin_history, history_of
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import SCHEMA_ROW
from rowbox.hbase_schema.schema_row import HISTORY_QUALIFIER
from rowbox.mailbox.errors import BadRequest, StoreDamaged, StoreOutcomeUnknown
from tests.support.cluster import SHARDS, Cluster, Node, cluster, gather_all, ids, parsed, version_of
from tests.support.virtual_time import virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
LISTS = ("conversations", "messages", "all")
_HISTORY = SCHEMA_ROW, Family.INDEX, HISTORY_QUALIFIER
every_list = pytest.mark.parametrize("which", LISTS)


class Lost(NamedTuple):
    """The store as of a copy, with new writes; and what ann's client was given in the time between."""

    servers: Cluster
    conversation: bytes
    tokens: dict[str, str]
    cursors: dict[str, str]
    kept: list[str]
    """The messages that a fresh fetch shows, the newest first."""

    async def ask(self, which: str, *, token: str | None = None, cursor: str | None = None, wait_ms: int = 0) -> Page:
        return await ask(self.servers.node, self.conversation, which, token=token, cursor=cursor, wait_ms=wait_ms)


async def ask(
    node: Node,
    conversation: bytes,
    which: str,
    *,
    user: str = "ann",
    token: str | None = None,
    cursor: str | None = None,
    wait_ms: int = 0,
    page_size: int = 50,
) -> Page:
    if which == "conversations":
        return await node.conversations(user, token=token, cursor=cursor, wait_ms=wait_ms, page_size=page_size)
    of = conversation if which == "messages" else None
    return await node.messages(user, of, token=token, cursor=cursor, wait_ms=wait_ms, page_size=page_size)


@asynccontextmanager
async def put_back(*, late: bool, announced: bool = True) -> AsyncIterator[Lost]:
    """`announced`: the verb that ends a restore was run."""
    async with cluster(late=late) as servers:
        before = [
            await servers.node.send("ann", "bob", "before", "c1"),
            await servers.node.send("ann", "cem", "y", "c2"),
        ]
        await servers.quiet()
        copy = servers.store.snapshot()
        for number in range(3):
            await servers.node.send("bob", "ann", f"lost {number}", f"l{number}")
        await servers.quiet()
        pages = {which: await ask(servers.node, before[0].conversation_id, which, page_size=1) for which in LISTS}
        await servers.kill()
        servers.store = servers.store.beside(copy)
        if announced:
            await begin_history(servers.store)
        await servers.start()
        after = await servers.node.send("bob", "ann", "instead", "c3")
        await servers.quiet()
        await asyncio.sleep(1)
        await servers.node.send("ann", "cem", "later", "c4")  # ann's head is now beyond all that was lost
        await servers.quiet()
        yield Lost(
            servers,
            before[0].conversation_id,
            {which: str(page.token) for which, page in pages.items()},
            {which: str(page.next_cursor) for which, page in pages.items()},
            [after.message_id.hex(), before[0].message_id.hex()],
        )


@both_kinds
@every_list
@virtual_time
async def test_a_token_of_the_lost_time_resets_and_says_why(late: bool, which: str) -> None:
    async with put_back(late=late) as lost:
        page = await lost.ask(which, token=lost.tokens[which])
        assert (page.is_delta, page.reset_reason) == (False, "restored")
        fresh = await lost.ask(which)
        assert (page.items, page.token) == (fresh.items, fresh.token)
        delta = await lost.ask(which, token=page.token)
        assert (delta.is_delta, list(delta.items)) == (True, [])


@both_kinds
@virtual_time
async def test_what_came_in_place_of_the_lost_is_shown_to_who_was_there_before(late: bool) -> None:
    """The fault itself: the delta began behind the message that took the lost one's version, and left it out."""
    async with put_back(late=late) as lost:
        page = await lost.ask("messages", token=lost.tokens["messages"])
        assert ids(parsed(page)) == lost.kept


@virtual_time
async def test_without_the_announcement_the_same_delta_has_a_gap() -> None:
    """Why the verb is needed: nothing in a copy says that it is one."""
    async with put_back(late=True, announced=False) as lost:
        page = await lost.ask("messages", token=lost.tokens["messages"])
        assert page.is_delta
        assert set(ids(parsed(page))) < set(lost.kept)


@both_kinds
@every_list
@virtual_time
async def test_a_cursor_of_the_lost_time_gives_the_first_page_and_says_why(late: bool, which: str) -> None:
    async with put_back(late=late) as lost:
        page = await lost.ask(which, cursor=lost.cursors[which])
        assert (page.is_delta, page.reset_reason) == (False, "restored")
        fresh = await lost.ask(which)
        assert (page.items, page.token) == (fresh.items, fresh.token)


@both_kinds
@every_list
@virtual_time
async def test_a_poll_with_a_token_of_the_lost_time_is_answered_at_once(late: bool, which: str) -> None:
    async with put_back(late=late) as lost:
        async with asyncio.timeout(1):
            page = await lost.ask(which, token=lost.tokens[which], wait_ms=50_000)
        assert page.reset_reason == "restored"


@both_kinds
@virtual_time
async def test_a_restart_of_a_store_that_was_not_put_back_keeps_every_token(late: bool) -> None:
    async with cluster(late=late) as servers:
        sent = await servers.node.send("ann", "bob", "x", "c1")
        tokens = {which: (await ask(servers.node, sent.conversation_id, which)).token for which in LISTS}
        await servers.restart()
        for which, token in tokens.items():
            page = await ask(servers.node, sent.conversation_id, which, token=token)
            assert (page.is_delta, page.token) == (True, token)


# Tokens that are not of this list


@both_kinds
@virtual_time
async def test_a_token_of_another_user_call_or_filter_resets_and_is_never_an_error(late: bool) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        one = (await node.send("ann", "bob", "x", "c1")).conversation_id
        other = (await node.send("ann", "cem", "x", "c2")).conversation_id
        await servers.quiet()
        tokens = [
            (user, conversation, which, str((await ask(node, conversation, which, user=user)).token))
            for user, conversation in (("ann", one), ("ann", other), ("bob", one))
            for which in LISTS
        ]
        for user, conversation, which, _ in tokens:
            for of_user, of_conversation, of_which, token in tokens:
                page = await ask(node, conversation, which, user=user, token=token)
                is_own = (of_user, of_which) == (user, which) and (
                    which != "messages" or of_conversation == conversation
                )
                assert (page.is_delta, page.reset_reason) == ((True, None) if is_own else (False, "foreign"))
                assert page.token == (await ask(node, conversation, which, user=user)).token


@both_kinds
@every_list
@virtual_time
async def test_a_number_as_the_first_rowbox_gave_it_resets_and_0_is_the_beginning(late: bool, which: str) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        sent = await node.send("ann", "bob", "x", "c1")
        for number in (1, sent.last_updated_timestamp - 1, sent.last_updated_timestamp, 1 << 53):
            page = await ask(node, sent.conversation_id, which, token=str(number))
            assert (page.is_delta, page.reset_reason, len(page.items)) == (False, "foreign", 1)
        page = await ask(node, sent.conversation_id, which, token="0")
        assert (page.is_delta, page.reset_reason, len(page.items)) == (True, None, 1)


@both_kinds
@every_list
@virtual_time
async def test_a_text_that_no_server_gave_is_a_bad_request(late: bool, which: str) -> None:
    async with cluster(late=late) as servers:
        sent = await servers.node.send("ann", "bob", "x", "c1")
        (refused,) = await gather_all(ask(servers.node, sent.conversation_id, which, token="yesterday"))
        assert isinstance(refused, BadRequest)


@both_kinds
@every_list
@virtual_time
async def test_a_cursor_of_another_user_is_refused(late: bool, which: str) -> None:
    async with cluster(late=late) as servers:
        node = servers.node
        sent = [await node.send("ann", "bob", str(n), f"c{n}") for n in range(2)]
        await node.send("ann", "cem", "x", "c9")
        await node.send("bob", "dan", "x", "c9")
        await servers.quiet()
        conversation = sent[0].conversation_id
        cursor = (await ask(node, conversation, which, page_size=1)).next_cursor
        assert cursor is not None
        (refused,) = await gather_all(ask(node, conversation, which, user="bob", cursor=cursor))
        assert isinstance(refused, BadRequest)


# The history itself


@both_kinds
@virtual_time
async def test_a_store_keeps_its_history_until_another_one_is_begun(late: bool) -> None:
    async with cluster(late=late) as servers:
        first = await history_of(servers.store)
        await servers.restart()
        assert await history_of(servers.store) == first
        second = await begin_history(servers.store)
        assert second != first
        assert await history_of(servers.store) == second


@virtual_time
async def test_servers_that_meet_a_store_without_a_history_agree_on_one() -> None:
    async with cluster(late=True) as servers:
        fresh = MemoryStore(SHARDS, {}, late_writes=True, now_ms=servers.clock.now_ms)
        stores = [fresh.beside() for _ in range(5)]
        assert len(set(await asyncio.gather(*map(history_of, stores)))) == 1


@virtual_time
async def test_a_history_whose_writing_is_unknown_is_begun_by_the_next_try() -> None:
    async with cluster(late=True) as servers:
        store = servers.store
        before = await history_of(store)
        store.faults.next(Fault.EXECUTE_LATE, Op.COMPARE_AND_SET)
        (unknown,) = await gather_all(begin_history(store))
        assert isinstance(unknown, StoreOutcomeUnknown)
        now = await begin_history(store)
        store.land()  # it expected what stood before, so it changes nothing
        assert await history_of(store) == now != before


@virtual_time
async def test_a_retry_that_meets_its_own_first_try_has_begun_one() -> None:
    async with cluster(late=True) as servers:
        before = await history_of(servers.store)
        servers.store.faults.next(Fault.EXECUTE_TWICE, Op.COMPARE_AND_SET)
        assert await begin_history(servers.store) == await history_of(servers.store) != before


@virtual_time
async def test_a_history_that_is_none_is_damage() -> None:
    async with cluster(late=False) as servers:
        store = servers.store
        stands = (await history_of(store)).hex().encode()
        assert await store.compare_and_set(*_HISTORY, stands, b"nonsense")
        with pytest.raises(StoreDamaged, match="nonsense"):
            await history_of(store)


@both_kinds
@virtual_time
async def test_versions_stay_numbers_in_what_is_sent_and_listed(late: bool) -> None:
    async with cluster(late=late) as servers:
        sent = await servers.node.send("ann", "bob", "x", "c1")
        page = await servers.node.messages("ann")
        assert parsed(page)[0]["lastUpdatedTimestamp"] == sent.last_updated_timestamp == version_of(page.token)
