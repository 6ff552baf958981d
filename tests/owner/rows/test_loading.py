"""Loading a large row: in parts, each within a bound, by the rules that hold for a small one."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.cache.table import LARGE_LOADS
from rowbox.cacheserver.port import Page
from rowbox.cacheserver.rows.claimed_row import ClaimedRow
from rowbox.cacheserver.rows.loader import Loader
from rowbox.cacheserver.rows.row_states import decoded
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.cacheserver.stores.port import RowMutation
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import CONVERSATION, KINDS, Cell, DedupeCell, FenceCell, OutboxCell
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.errors import HandoverInProgress
from rowbox.mailbox.fence import Fence, FenceEntry, newest
from rowbox.mailbox.ids import client_id_hash, direct_conversation_id, message_id
from rowbox.mailbox.message import Message
from rowbox.mailbox.two_states import IndexCell
from tests.any_kind import NOTE, ONE, Note
from tests.checking import assert_no_findings
from tests.support.cluster import SHARDS, Cluster, Node, all_conversations, all_messages, cluster, gather_all, parsed
from tests.support.parts import in_small_parts
from tests.support.virtual_time import settle, virtual_time

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late_writes"])
MOST_COLUMNS = 1001
"""That any one read of a load may give: some milliseconds of decoding."""
READS = ("get_row", "get_row_within", "get_columns", "get_range")
ANN = row_key("ann", SHARDS)
EPOCH = 1


def fill_in(
    node: Node, patch: pytest.MonkeyPatch, before: Callable[[str, Family | None], Awaitable[None]]
) -> list[int]:
    """Has `before(name, family)` run before each read; the columns of each read, as they are made."""
    sizes: list[int] = []

    def watch(name: str) -> None:
        call = getattr(node.store, name)

        async def watched(row: bytes, what: Any, *rest: Any, **options: Any) -> Any:
            await before(name, what if isinstance(what, Family) else None)
            found = await call(row, what, *rest, **options)
            sizes.append(sum(map(len, found.values())) if isinstance(found, dict) else len(found or ()))
            return found

        patch.setattr(node.store, name, watched)

    for name in READS:
        if hasattr(node.store, name):
            watch(name)
    return sizes


async def nothing(_name: str, _family: Family | None) -> None:
    pass


async def write(servers: Cluster, cells: Iterable[Cell]) -> None:
    """Cells of an owner before the one that runs."""
    fence = [FenceCell(EPOCH, (FenceEntry(EPOCH, 0, 0),))] if servers.late else []
    mutation = RowMutation(ANN, list(map(codec.encode, [*cells, *fence])))
    await servers.store.mutate([mutation], servers.clock.now_ms())


def conversations(servers: Cluster, count: int) -> list[IndexCell[Conversation]]:
    first_us = servers.clock.now_us()
    cells = []
    for number in range(count):
        users = ("ann", f"user{number}")
        state = Conversation.new(users, first_us + number)
        message = Message(message_id(first_us + number, number), direct_conversation_id(*users), users[1], users, "hi")
        shown = state.with_delivered(message, first_us + number, EPOCH)
        cells.append(IndexCell(CONVERSATION.letter, message.conversation_id, EPOCH, shown, None))
    return cells


def sends(servers: Cluster, count: int) -> list[DedupeCell]:
    now_us = servers.clock.now_us()
    ids = [client_id_hash(f"c{number}") for number in range(count)]
    return [DedupeCell(one, EPOCH, now_us + place, bytes(16), bytes(16), bytes(16)) for place, one in enumerate(ids)]


def parcels(servers: Cluster, count: int) -> list[OutboxCell]:
    now_us = servers.clock.now_us()
    both = ("ann", "bob")
    texts = [
        Message(message_id(now_us + n, n), direct_conversation_id(*both), "ann", both, str(n)) for n in range(count)
    ]
    return [OutboxCell(text.message_id, EPOCH, text.sent_us, text) for text in texts]


async def largest_read(cells: Callable[[Cluster, int], Sequence[Cell]], count: int, *, late: bool) -> int:
    """The most columns that any read of a load gave."""
    with pytest.MonkeyPatch.context() as patch:
        async with cluster(late=late) as servers:
            await write(servers, cells(servers, count))
            sizes = fill_in(servers.node, patch, nothing)
            await gather_all(servers.node.conversations("ann"))
            return max(sizes)


@both_kinds
@pytest.mark.parametrize("cells", [conversations, sends], ids=["conversations", "sends"])
@virtual_time
async def test_no_read_of_a_load_gives_more_columns_than_are_decoded_in_some_milliseconds(
    late: bool, cells: Callable[[Cluster, int], Sequence[Cell]]
) -> None:
    assert await largest_read(cells, 10_000, late=late) <= MOST_COLUMNS


@virtual_time
async def test_an_outbox_is_read_in_parts_when_the_row_is_large() -> None:
    assert await largest_read(parcels, 3000, late=True) <= MOST_COLUMNS


@both_kinds
@virtual_time
async def test_others_have_their_turns_while_a_large_row_is_loaded(late: bool) -> None:
    async def turns_of_others(count: int) -> int:
        async with cluster(late=late) as servers:
            await write(servers, conversations(servers, count))
            loading = asyncio.create_task(servers.node.conversations("ann"))
            turns = 0
            while not loading.done():
                await asyncio.sleep(0)
                turns += 1
            assert len((await loading).items)
            return turns

    assert await turns_of_others(5000) >= await turns_of_others(1) + 10


@both_kinds
@virtual_time
async def test_a_mailbox_of_many_conversations_is_the_same_from_the_store(
    monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    async with cluster(late=late) as servers:
        for number in range(40):
            await servers.node.send("ann", f"user{number}", f"hello {number}", f"c{number}")
        for number in range(0, 40, 7):
            await servers.node.send(f"user{number}", "ann", f"hi {number}", f"d{number}")
        await servers.quiet()
        before = await all_conversations(servers.node, "ann", 7), await all_messages(servers.node, "ann", None, 50)
        in_small_parts(monkeypatch)
        await servers.restart()
        assert await all_conversations(servers.node, "ann", 7) == before[0]
        assert await all_messages(servers.node, "ann", None, 50) == before[1]
        await servers.quiet()
        await assert_no_findings(servers.store, servers.settings, servers.clock.now_us())


# ---- clientMessageIds


@both_kinds
@virtual_time
async def test_a_retry_is_a_duplicate_whatever_part_of_the_ids_has_been_read(
    monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    async with cluster(late=late) as servers:
        sent = [await servers.node.send("ann", "bob", str(number), f"c{number}") for number in range(30)]
        await servers.quiet()
        in_small_parts(monkeypatch)
        await servers.restart()
        for number in range(30):
            again = await servers.node.send("ann", "bob", str(number), f"c{number}")
            assert (again.message_id, again.duplicate) == (sent[number].message_id, True)
            fresh = await servers.node.send("ann", "bob", f"new {number}", f"new{number}")
            assert not fresh.duplicate
        mailbox = (await servers.node.owner.table.loaded("ann"))[1]
        assert mailbox.client_ids.unread_from is None, "each command that had to ask read on"
        assert mailbox.client_ids.count >= 60


@virtual_time
async def test_who_only_reads_does_not_read_the_ids_of_a_busy_sender() -> None:
    with pytest.MonkeyPatch.context() as patch:
        async with cluster(late=True) as servers:
            await write(servers, sends(servers, 10_000))
            sizes = fill_in(servers.node, patch, nothing)
            await servers.node.conversations("ann")
            assert sum(sizes) < 2000


# ---- the index, read in parts while a replaced owner's write lands


async def shown_after_a_late_write(
    patch: pytest.MonkeyPatch, before_read: int, order: Sequence[int]
) -> tuple[int, int]:
    """How many late texts are shown, by an owner that loads in parts, and by the one after it.

    Before a read of the index, the one of this number, the last write of the replaced owner lands: a text into each of
    three conversations, the `order`th of those that are read, with rising versions.
    """
    count = 0
    async with cluster(late=True) as servers:
        cells = sorted(conversations(servers, 12), key=lambda cell: cell.key)
        await write(servers, cells)
        newest = max(cell.current.version for cell in cells)
        late = [
            replace(cell, current=replace(cell.current, version=newest + n, snippet="late"), previous=cell.current)
            for n, cell in enumerate((cells[place] for place in order), 1)
        ]

        async def land(name: str, family: Family | None) -> None:
            nonlocal count
            if name == "get_range" and family is Family.INDEX:
                count += 1
                if count == before_read:
                    await write(servers, late)

        in_small_parts(patch)
        fill_in(servers.node, patch, land)
        first = await servers.node.conversations("ann", page_size=50)
        assert count >= before_read
        await servers.restart()
        second = await servers.node.conversations("ann", page_size=50)
        return late_texts(first), late_texts(second)


def late_texts(page: Page) -> int:
    return [item["snippet"] for item in parsed(page)].count("late")


READS_OF_THE_INDEX = 11
"""In parts of three columns: the fences, and twice the twelve conversations and the fence."""
orders = pytest.mark.parametrize("order", [(0, 5, 11), (11, 5, 0), (5, 0, 11), (0, 11, 5)], ids=str)


@orders
@pytest.mark.parametrize("before_read", range(1, READS_OF_THE_INDEX + 1))
@virtual_time
async def test_a_late_write_that_lands_between_parts_counts_as_a_whole_or_nowhere(
    before_read: int, order: Sequence[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        first, second = await shown_after_a_late_write(patch, before_read, order)
    assert first in (0, 3)
    assert second == first, "what was shown once is never taken back"


@virtual_time
async def test_half_of_a_late_write_is_shown_if_the_first_reading_of_the_index_decides() -> None:
    outcomes = set()
    for before_read in range(2, 7):
        with pytest.MonkeyPatch.context() as patch:
            the_first_head_stands(patch)
            outcomes.add(await shown_after_a_late_write(patch, before_read, (11, 5, 0)))
    assert any(first not in (0, 3) or first != second for first, second in outcomes)


def the_first_head_stands(patch: pytest.MonkeyPatch) -> None:
    read_index = Loader._read_index
    heads: dict[Loader, int] = {}

    async def once(self: Loader, row: bytes, read: Fence, into: ClaimedRow | None) -> int:
        return heads.setdefault(self, await read_index(self, row, read, into))

    patch.setattr(Loader, "_read_index", once)


@pytest.mark.parametrize("at_read", range(1, READS_OF_THE_INDEX + 1))
@virtual_time
async def test_an_epoch_that_is_left_while_a_row_is_read_in_parts_is_not_that_of_its_mailbox(at_read: int) -> None:
    """Another row's write was of unknown outcome meanwhile. What is written then counts by the list claimed with."""
    count = 0
    with pytest.MonkeyPatch.context() as patch:
        async with cluster(late=True) as servers:
            await write(servers, conversations(servers, 12))

            async def leave(name: str, family: Family | None) -> None:
                nonlocal count
                if name == "get_range" and family is Family.INDEX:
                    count += 1
                    if count == at_read:
                        servers.node.owner.table.grant_of("ann").leave_epoch()

            in_small_parts(patch)
            fill_in(servers.node, patch, leave)
            sent = await servers.node.send("ann", "ann", "meanwhile", "c1")
            assert count >= at_read
            _, mailbox = await servers.node.owner.table.loaded("ann")
            cells = decoded((await servers.store.get_row(ANN, (Family.INDEX,)))[Family.INDEX])
            assert mailbox.fence == newest(cell.fence for cell in cells if isinstance(cell, FenceCell))
            await servers.restart()
            again = await servers.node.send("ann", "ann", "meanwhile", "c1")
            assert (again.message_id, again.duplicate) == (sent.message_id, True)


# ---- what a load that comes too late may remove


@virtual_time
async def test_an_owner_that_wakes_in_a_load_removes_no_clients_id_that_the_next_one_counts() -> None:
    """It has read the index, and its claim is on its way. A write of the owner before it lands, the next owner counts
    it and answers by it. Then the claim is confirmed to the woken one, by whose list that write never counted.
    """
    with pytest.MonkeyPatch.context() as patch:
        async with cluster(late=True) as servers:
            woken = servers.node
            cells = conversations(servers, 4)
            await write(servers, cells)
            last, version = cells[-1], cells[-1].current.version + 1
            state = replace(last.current, version=version)
            text = message_id(version, 0)
            record = DedupeCell(client_id_hash("late"), EPOCH, version, text, last.key, bytes(16))
            in_small_parts(patch)
            woken.store.hold(Point.WRITE)
            loading = asyncio.create_task(woken.conversations("ann"))
            await settle()
            await write(servers, [replace(last, current=state, previous=last.current), record])
            next_one = await servers.start()
            assert (await next_one.status("ann", "late")).message_id == text
            woken.store.release(Point.WRITE)
            with pytest.raises(HandoverInProgress):
                await loading
            await asyncio.sleep(1.0)
            assert (await next_one.status("ann", "late")).message_id == text


# ---- large rows and the others


@virtual_time
async def test_small_rows_are_loaded_while_large_ones_wait_for_their_turn() -> None:
    async with cluster(late=False) as servers:
        node = servers.node
        for user in [f"large{n}" for n in range(LARGE_LOADS + 2)]:
            cells = [*map(codec.encode, conversations(servers, 1200))]
            await servers.store.mutate([RowMutation(row_key(user, SHARDS), cells)], servers.clock.now_ms())
        with pytest.MonkeyPatch.context() as patch:
            waiting = asyncio.Event()

            async def stop(name: str, _family: Family | None) -> None:
                if name == "get_range" and not waiting.is_set():
                    await waiting.wait()

            fill_in(node, patch, stop)
            large = [asyncio.create_task(node.conversations(f"large{n}")) for n in range(LARGE_LOADS + 2)]
            await settle()
            patch.undo()
            assert not (await node.conversations("bob")).items
            assert not any(task.done() for task in large)
            waiting.set()
            assert all(page.items for page in await asyncio.gather(*large))


@both_kinds
@virtual_time
async def test_the_head_of_a_row_in_parts_is_the_highest_version_of_all_parts(late: bool) -> None:
    async with cluster(late=late) as servers:
        found = conversations(servers, 1200)
        newest_first = sorted(found, key=lambda cell: cell.key, reverse=True)
        states = sorted((cell.current for cell in found), key=lambda state: state.version, reverse=True)
        ordered = [
            replace(cell, current=state) for cell, state in zip(newest_first[::-1], states, strict=True)
        ]  # the first part has the highest versions
        await write(servers, ordered)
        _, mailbox = await servers.node.owner.table.loaded("ann")
        assert mailbox.head == states[0].version


@both_kinds
@virtual_time
async def test_what_the_first_part_says_of_another_kind_is_kept(late: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    early = NOTE._replace(letter=b"a")  # before all conversations
    monkeypatch.setitem(KINDS, early.letter, early)
    async with cluster(late=late) as servers:
        found = conversations(servers, 1200)
        note = Note(found[0].current.version, found[0].epoch, ("text",))
        await write(servers, [IndexCell(early.letter, ONE, found[0].epoch, note, None), *found])
        _, mailbox = await servers.node.owner.table.loaded("ann")
        assert mailbox.state(early, ONE) == note
