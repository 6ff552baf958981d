"""More late writes of replaced owners than one read returns stand before the cell that counts, and do not hide it."""

import pytest

from rowbox.cacheserver.check.row_cells import PAGE_COLUMNS, RowCells, ignore
from rowbox.cacheserver.rows.row_reader import OUTBOX_COLUMNS, READ_COLUMNS
from rowbox.cacheserver.rows.view import View
from rowbox.cacheserver.stores.port import RowMutation
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import Cell, DedupeCell, FenceCell, MessageCell, OutboxCell
from rowbox.mailbox.ids import client_id_hash, message_id
from rowbox.mailbox.message import Message
from rowbox.mailbox.settings.config import CacheSettings, Settings
from tests.support.cluster import SHARDS, UNLIMITED, Cluster, all_messages, cluster, ids
from tests.support.virtual_time import virtual_time

ANN = row_key("ann", SHARDS)
DEAD_EPOCHS = range(1, 2 * READ_COLUMNS + 2)
"""All lower than a cluster's first epoch, and in no fence."""
TINY_WINDOWS = Settings(rate_limits=UNLIMITED.rate_limits, cache=CacheSettings(window_messages=1))


async def land(servers: Cluster, cells: list[Cell]) -> None:
    """Writes of owners before the present one execute now."""
    mutation = RowMutation(ANN, [codec.encode(cell) for cell in cells])
    await servers.store.mutate([mutation], servers.clock.now_ms())


def copies(conversation: bytes, message: bytes, epochs: range) -> list[Cell]:
    return [MessageCell(conversation, message, epoch, 1, "ann", "late", None) for epoch in epochs]


@virtual_time
async def test_a_read_mark_on_a_message_behind_many_dead_copies_is_taken() -> None:
    async with cluster(late=True, settings=TINY_WINDOWS) as servers:
        sent = [await servers.node.send("bob", "ann", str(n), f"c{n}") for n in range(3)]
        await servers.quiet()
        conversation = sent[0].conversation_id
        await land(servers, copies(conversation, sent[0].message_id, DEAD_EPOCHS))
        marked = await servers.node.mark_read("ann", conversation, sent[0].message_id)
        assert marked.unread_count == 2


@virtual_time
async def test_a_delivery_of_a_message_behind_many_dead_copies_does_not_double_it() -> None:
    async with cluster(late=True, settings=TINY_WINDOWS) as servers:
        node = servers.node
        sent = [await node.send("bob", "ann", str(n), f"c{n}") for n in range(3)]
        await servers.quiet()
        conversation, first = sent[0].conversation_id, sent[0].message_id
        await land(servers, copies(conversation, first, DEAD_EPOCHS))
        again = Message(first, conversation, "bob", ("ann", "bob"), "0")

        async def deliver() -> None:
            await node.owner._deliver("ann", [again])

        await node.process.call(deliver())
        await servers.restart()
        found, _ = await all_messages(servers.node, "ann", conversation, 10)
        assert ids(found) == [one.message_id.hex() for one in reversed(sent)]


@virtual_time
async def test_a_retry_whose_record_stands_behind_many_dead_ones_is_the_same_message() -> None:
    async with cluster(late=True) as servers:
        first = await servers.node.send("ann", "bob", "x", "c")
        await servers.quiet()
        records: list[Cell] = [
            DedupeCell(client_id_hash("c"), epoch, 1, bytes(16), bytes(16), bytes(16)) for epoch in DEAD_EPOCHS
        ]
        await land(servers, records)
        assert (await servers.node.status("ann", "c")).message_id == first.message_id
        again = await servers.node.send("ann", "bob", "x", "c")
        assert (again.message_id, again.duplicate) == (first.message_id, True)


@virtual_time
async def test_an_outbox_is_read_in_parts_and_to_its_end() -> None:
    with pytest.MonkeyPatch.context() as patch:
        await outbox_in_parts(patch)


async def outbox_in_parts(patch: pytest.MonkeyPatch) -> None:
    async with cluster(late=True) as servers:
        await servers.node.conversations("ann")
        now_us, (_, mailbox) = servers.clock.now_us(), await servers.node.owner.table.loaded("ann")
        parcels: list[Cell] = []
        for place in range(2 * OUTBOX_COLUMNS + 1):
            message = Message(message_id(now_us + place, 0), bytes(16), "ann", ("ann", "bob"), "x")
            parcels.append(OutboxCell(message.message_id, mailbox.epoch, place + 1, message))
        await land(servers, parcels)
        patch.setattr(servers.node.store, "get_row", None)  # a whole outbox, or more, in one reply
        view = View(ANN, mailbox, now_us)
        view.as_of = 1 << 60
        found = await servers.node.owner._reader.outbox(view)
        assert found == parcels
        patch.undo()


@virtual_time
async def test_the_checker_sees_every_fence_and_every_copy() -> None:
    async with cluster(late=True) as servers:
        many, one = range(1, PAGE_COLUMNS + 2), message_id(servers.clock.now_us(), 0)
        await land(servers, [*copies(bytes(16), one, many), *(FenceCell(epoch, ()) for epoch in many)])
        cells = RowCells(servers.store, ignore)
        assert [copy.epoch for copy in await cells.copies(ANN, bytes(16), one)] == list(many)
        assert [fence.epoch for fence in await cells.fences(ANN)] == list(many)
