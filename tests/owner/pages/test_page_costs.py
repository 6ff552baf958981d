"""What a page costs: calls to the store and what they return, work between two turns of others, tokens."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from rowbox.cacheserver.fetch import page_reader
from rowbox.cacheserver.fetch.page_reader import SLICE_BYTES
from rowbox.cacheserver.rows.view import TOKEN_COLUMNS
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.cacheserver.stores.port import Part, RowMutation
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import CONVERSATION, Cell, ChangeKind, FenceCell, LogCell, MessageCell
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.errors import PageTooLarge, RateLimited
from rowbox.mailbox.fence import FenceEntry
from rowbox.mailbox.ids import direct_conversation_id, message_id
from rowbox.mailbox.pages.page_cut import PAGE_BYTES
from rowbox.mailbox.settings.config import RateLimitSettings, Settings
from rowbox.mailbox.two_states import IndexCell
from tests.support.cluster import SHARDS, Cluster, Node, all_messages, cluster, ids, parsed
from tests.support.virtual_time import settle, virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
ANN, BOB = row_key("ann", SHARDS), direct_conversation_id("ann", "bob")
EPOCH = 1
"""Lower than a cluster's first one; of the embedded kind any epoch counts."""
LARGEST = 65_535
HOUR_US = 3_600_000_000


class Reads:
    """What a node's store has returned, by call: how often, how many columns, how many bytes of values."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.columns: Counter[str] = Counter()
        self.value_bytes = 0
        self.values = 0
        self.large_values = 0

    def note(self, name: str, answer: Any) -> None:
        columns = answer.columns if isinstance(answer, Part) else answer
        self.calls[name] += 1
        self.columns[name] += len(columns)
        self.values += sum(1 for _, value in columns if value)
        self.large_values += sum(1 for _, value in columns if len(value) >= LARGEST)
        self.value_bytes += sum(len(value) for _, value in columns)

    @property
    def total(self) -> int:
        return sum(self.calls.values())


@contextmanager
def reads_of(node: Node) -> Iterator[Reads]:
    """Counts while it is open."""
    reads = Reads()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("get_range", "get_part", "get_columns"):
            _watch(node, patch, name, reads)
        yield reads


def _watch(node: Node, patch: pytest.MonkeyPatch, name: str, reads: Reads) -> None:
    call = getattr(node.store, name)

    async def watched(*arguments: Any, **options: Any) -> Any:
        answer = await call(*arguments, **options)
        reads.note(name, answer)
        return answer

    patch.setattr(node.store, name, watched)


async def fill(servers: Cluster, versions: Sequence[int], content: str) -> list[str]:
    """Ann's mailbox as an owner before left it: a message of bob's for each version; their ids, newest first."""
    cells: list[Cell] = [FenceCell(EPOCH, (FenceEntry(EPOCH, 0, 0),))] if servers.late else []
    found = []
    for version in versions:
        one = message_id(version, 0)
        cells.append(MessageCell(BOB, one, EPOCH, version, "bob", content, None))
        cells.append(LogCell(version, EPOCH, ChangeKind.MESSAGE, BOB, one))
        found.append(one.hex())
    newest = message_id(versions[-1], 0)
    state = Conversation(versions[-1], EPOCH, ("ann", "bob"), newest, versions[-1], "x", newest, 0, versions[0])
    cells.append(IndexCell(CONVERSATION.letter, BOB, EPOCH, state, None))
    await servers.store.mutate([RowMutation(ANN, [codec.encode(cell) for cell in cells])], servers.clock.now_ms())
    return found[::-1]


def every(step_us: int, count: int, until: int) -> list[int]:
    return [until - step_us * place for place in range(count)][::-1]


async def loaded(servers: Cluster) -> Node:
    """The node, with ann's mailbox in memory and nothing of its messages."""
    await servers.node.conversations("ann")
    return servers.node


# ------------------------------------------------------------------ reads stop where the page does


@both_kinds
@virtual_time
async def test_a_page_of_large_messages_reads_what_it_gives_and_not_what_was_asked_for(late: bool) -> None:
    async with cluster(late=late) as servers:
        now = servers.clock.now_us()
        for content, most_values in (("x" * LARGEST, 17), ("\0" * LARGEST, 5)):
            sent = await fill(servers, every(1000, 300, now), content)
            for how in ({}, {"conversation": BOB}, {"token": 0}):
                await servers.restart()
                node = await loaded(servers)
                with reads_of(node) as reads:
                    page = await node.messages("ann", page_size=200, **how)
                assert page.has_more
                assert ids(parsed(page)) == (sent[::-1] if "token" in how else sent)[: len(page.items)]
                # Of log entries the sizes are not known before: the first are read together.
                most = most_values if "conversation" in how else page_reader.FIRST_COPIES + 1
                assert reads.large_values <= most
                assert reads.value_bytes < PAGE_BYTES + 2 * LARGEST + 100_000


@both_kinds
@virtual_time
async def test_whether_there_is_more_is_seen_by_a_key(late: bool) -> None:
    async with cluster(late=late) as servers:
        await fill(servers, every(1000, 300, servers.clock.now_us()), "x" * 1000)
        node = await loaded(servers)
        with reads_of(node) as reads:
            page = await node.messages("ann", BOB, page_size=100)
        assert (page.has_more, len(page.items), reads.values, reads.total) == (True, 100, 100, 1)
        with reads_of(node) as reads:
            page = await node.messages("ann", BOB, page_size=100, cursor=page.next_cursor)
        assert (page.has_more, len(page.items), reads.values, reads.total) == (True, 100, 100, 1)


@both_kinds
@virtual_time
async def test_a_deep_numbered_page_reads_the_keys_before_it_and_no_values(late: bool) -> None:
    async with cluster(late=late) as servers:
        sent = await fill(servers, every(1000, 3000, servers.clock.now_us()), "x" * 1000)
        node = await loaded(servers)
        with reads_of(node) as reads:
            page = await node.messages("ann", BOB, page_number=2500, page_size=1)
        assert ids(parsed(page)) == [sent[2500]]
        assert (reads.values, reads.columns["get_range"]) == (1, 2500)


@both_kinds
@virtual_time
async def test_what_memory_holds_of_a_page_is_not_read(late: bool) -> None:
    async with cluster(late=late) as servers:
        sent = await fill(servers, every(1000, 300, servers.clock.now_us()), "x")
        node = await loaded(servers)
        await node.messages("ann", BOB, page_size=50)
        with reads_of(node) as reads:
            page = await node.messages("ann", BOB, page_size=200)
        assert ids(parsed(page)) == sent[:200]
        assert reads.values == 150


# ------------------------------------------------------------------ the newest of all


@both_kinds
@pytest.mark.parametrize(("name", "most_cold"), [("few", 1), ("even", 2), ("just now", 2)])
@virtual_time
async def test_the_newest_page_without_a_conversation_costs_few_reads_and_then_one(
    late: bool, name: str, most_cold: int
) -> None:
    async with cluster(late=late) as servers:
        now = servers.clock.now_us()
        shapes = {
            "few": lambda: every(3600_000_000, 160, now),
            "even": lambda: every(60_000_000, 9000, now),
            "just now": lambda: every(200, 9000, now),
        }
        sent = await fill(servers, shapes[name](), "x")
        node = await loaded(servers)
        with reads_of(node) as reads:
            page = await node.messages("ann", page_size=50)
        assert ids(parsed(page)) == sent[:50]
        # The messages themselves are two reads: 16 by their exact columns, then the others.
        assert reads.total <= most_cold + 2
        for _ in range(2):
            with reads_of(node) as reads:
                again = await node.messages("ann", page_size=50)
            assert again == page
            assert dict(reads.calls) == {"get_columns": 2}
        listed, _ = await all_messages(node, "ann", None, 200)
        assert ids(listed) == sent


@both_kinds
@virtual_time
async def test_what_comes_in_while_the_log_is_read_back_leaves_no_hole_in_it(late: bool) -> None:
    async with cluster(late=late) as servers:
        sent = await fill(servers, every(60_000_000, 1000, servers.clock.now_us() - HOUR_US), "x")
        node = await loaded(servers)
        node.store.hold(Point.READ)
        fetching = asyncio.create_task(node.messages("ann", page_size=50))
        await settle()
        news = [(await node.send("ann", "ann", str(n), f"c{n}")).message_id.hex() for n in range(300)]
        node.store.release(Point.READ)
        await fetching
        found, _ = await all_messages(node, "ann", None, 100)
        assert ids(found) == news[::-1] + sent
        _, mailbox = await node.owner.table.loaded("ann")
        for token in (mailbox.log_floor, mailbox.log[5].version):
            page = await node.messages("ann", token=token, page_size=200)
            later = sum(entry.version > token for entry in mailbox.log)
            assert ids(parsed(page)) == [*sent[::-1], *news][-later:][:200]


@both_kinds
@virtual_time
async def test_two_who_read_the_log_back_at_once_double_nothing(late: bool) -> None:
    async with cluster(late=late) as servers:
        sent = await fill(servers, every(60_000_000, 1000, servers.clock.now_us()), "x")
        node = await loaded(servers)
        pages = await asyncio.gather(*(node.messages("ann", page_size=50) for _ in range(3)))
        assert [ids(parsed(page)) for page in pages] == [sent[:50]] * 3
        _, mailbox = await node.owner.table.loaded("ann")
        assert len(mailbox.log) >= 200
        delta = await node.messages("ann", token=mailbox.log_floor, page_size=200)
        assert ids(parsed(delta)) == sent[: len(mailbox.log)][::-1][:200]


# ------------------------------------------------------------------ others have their turns


@both_kinds
@virtual_time
async def test_however_many_large_pages_are_made_at_once_no_turn_makes_more_than_a_slice(late: bool) -> None:
    made: Counter[int] = Counter()
    turn = 0
    decode = page_reader._copy

    def noted(*arguments: Any) -> Any:
        copy = decode(*arguments)
        made[turn] += len(copy.json)
        return copy

    async def count_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    with pytest.MonkeyPatch.context() as patch:
        async with cluster(late=late) as servers:
            await fill(servers, every(1000, 100, servers.clock.now_us()), "\0" * 30_000)
            node = await loaded(servers)
            patch.setattr(page_reader, "_copy", noted)
            counting = asyncio.create_task(count_turns())
            asked: list[dict[str, Any]] = [{}, {"conversation": BOB}, {"token": 0}]
            await asyncio.gather(*(node.messages("ann", page_size=200, **how) for how in asked * 5))
            counting.cancel()
    assert sum(made.values()) > 5 * PAGE_BYTES
    assert max(made.values()) <= SLICE_BYTES + 6 * 30_000 + 1000, "a slice, and the message with which it is over"


# ------------------------------------------------------------------ tokens


LIMITED = RateLimitSettings(fetch_burst=120, fetch_per_second=20, send_burst=0)


def remaining(page: Any) -> int:
    assert page.quota is not None
    return int(page.quota.remaining)


@both_kinds
@virtual_time
async def test_a_page_from_memory_costs_one_token_and_a_large_one_from_the_store_what_it_reads(late: bool) -> None:
    settings = Settings(rate_limits=LIMITED)
    async with cluster(late=late, settings=settings) as servers:
        await fill(servers, every(1000, 100, servers.clock.now_us()), "x" * LARGEST)
        node = await loaded(servers)
        cold = await node.messages("ann", BOB, page_size=3)
        assert remaining(cold) == 120 - 1 - 1 - 3, "the list, the page, and three times 64 KiB"
        warm = await node.messages("ann", BOB, page_size=2)
        assert remaining(warm) == remaining(cold) - 1
        await asyncio.sleep(10)
        page = await node.messages("ann", BOB, page_size=200)
        spent = 120 - remaining(page)
        assert 1 + 11 <= spent <= 1 + 17
        with pytest.raises(PageTooLarge):
            await node.messages("ann", BOB, page_number=1, page_size=50)
        after = await node.conversations("ann")
        assert remaining(after) < 120 - spent - 2, "a refusal that read costs what it read"


@virtual_time
async def test_three_large_pages_a_second_are_more_than_the_bucket_gives() -> None:
    settings = Settings(rate_limits=LIMITED)
    async with cluster(late=True, settings=settings) as servers:
        await fill(servers, every(1000, 300, servers.clock.now_us()), "x" * LARGEST)
        node = await loaded(servers)
        cursor = (await node.messages("ann", BOB, page_size=20)).next_cursor
        answered = refused = 0
        for _ in range(60):
            await asyncio.sleep(1 / 3)
            try:
                await node.messages("ann", BOB, page_size=200, cursor=cursor)
                answered += 1
            except RateLimited:
                refused += 1
        assert answered <= (120 + 20 * 20) / 15 + 1
        assert refused > 20


@virtual_time
async def test_a_deep_numbered_page_is_paid_for_before_it_is_read() -> None:
    settings = Settings(rate_limits=LIMITED)
    async with cluster(late=True, settings=settings) as servers:
        await fill(servers, every(1000, 10_001, servers.clock.now_us()), "x")
        node = await loaded(servers)
        deep = {"page_number": 10_000, "page_size": 1}
        answers = await asyncio.gather(*(node.messages("ann", BOB, **deep) for _ in range(10)), return_exceptions=True)
        served = [answer for answer in answers if not isinstance(answer, BaseException)]
        assert len(served) == 119 // (1 + 10_000 // TOKEN_COLUMNS)
        assert all(isinstance(answer, RateLimited) for answer in answers if answer not in served)
