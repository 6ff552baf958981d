"""Folding at a claim: when it may be, and what keeps it from being. That the rule is right is tests/model's to say."""

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.rows import folding
from rowbox.cacheserver.stores.port import Column, Put, RowMutation
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.cells import Cell, ChangeKind, DedupeCell, FenceCell, LogCell, MessageCell, OutboxCell
from rowbox.mailbox.conversation import NOTHING_UNREAD
from rowbox.mailbox.fence import FOLD_AFTER_MS, Fence, is_valid, newest
from rowbox.mailbox.message import Message
from rowbox.mailbox.two_states import IndexCell
from tests.checking import assert_no_findings
from tests.support.cluster import SHARDS, Cluster, all_messages, cluster
from tests.support.virtual_time import virtual_time

ANN = keys.row_key("ann", SHARDS)
DAY_S = FOLD_AFTER_MS / 1000
EPOCHS = 5


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "FOLD_AT", 3)


async def claim_anew(servers: Cluster) -> None:
    """The row is loaded for a fresh epoch."""
    node = servers.node
    node.owner.table.grant_of("ann").leave_epoch()
    row = node.owner.table.row("ann")
    node.owner.table.drop(row)
    node.owner.table.forget_if_empty(row)
    await node.conversations("ann")
    await node.process.call(node.owner.cleaner.flush())


async def write_under_several_epochs(servers: Cluster) -> None:
    for number in range(EPOCHS):
        await claim_anew(servers)
        await servers.node.send("ann", "ann", f"text {number}", f"c{number}")


async def columns(servers: Cluster, family: Family) -> list[Column]:
    return (await servers.store.get_row(ANN, (family,)))[family]


async def fence_of(servers: Cluster) -> Fence:
    cells = [codec.decode_index(*column) for column in await columns(servers, Family.INDEX)]
    return newest(cell.fence for cell in cells if isinstance(cell, FenceCell))


async def assert_unharmed(servers: Cluster) -> None:
    items, _ = await all_messages(servers.node, "ann", None, 10)
    assert [item["messageContent"] for item in items][::-1] == [f"text {number}" for number in range(EPOCHS)]
    await assert_no_findings(servers.store, servers.settings, servers.clock.now_us())


@virtual_time
async def test_a_claim_a_day_later_folds_what_had_ended() -> None:
    async with cluster(late=True) as servers:
        await write_under_several_epochs(servers)
        before = await fence_of(servers)
        assert len(before) == EPOCHS
        servers.clock.jump(DAY_S + 60)
        await claim_anew(servers)
        after = await fence_of(servers)
        assert (after[0].folded, after[0].epoch) == (True, before[-2].epoch)
        assert len(after) == 3, "the folded, the one that ended just now, the new one"
        await assert_unharmed(servers)


@virtual_time
async def test_nothing_is_folded_before_a_day_has_passed() -> None:
    async with cluster(late=True) as servers:
        await write_under_several_epochs(servers)
        servers.clock.jump(DAY_S - 60)
        await claim_anew(servers)
        assert not any(entry.folded for entry in await fence_of(servers))


@virtual_time
async def test_a_few_entries_are_not_worth_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "FOLD_AT", EPOCHS)
    async with cluster(late=True) as servers:
        await write_under_several_epochs(servers)
        servers.clock.jump(DAY_S + 60)
        await claim_anew(servers)
        assert not any(entry.folded for entry in await fence_of(servers))


async def late_cell(servers: Cluster, family: Family) -> tuple[Family, bytes, bytes]:
    """What a write of the first epoch leaves in `family` that executed after the second had claimed the row."""
    entry = (await fence_of(servers))[0]
    stored = codec.decode_message(*(await columns(servers, Family.MESSAGES))[0])
    epoch, version, conversation = entry.epoch, stored.version + 1, stored.conversation_id
    message = Message(b"\x09" * 16, conversation, "ann", ("ann", "bob"), "late")
    cells: dict[Family, Cell] = {
        Family.MESSAGES: MessageCell(conversation, message.message_id, epoch, version, "ann", "late", "late"),
        Family.LOG: LogCell(version, epoch, ChangeKind.MESSAGE, conversation, message.message_id),
        Family.DEDUPE: DedupeCell(b"\x09" * 16, epoch, version, message.message_id, conversation, b"\x09" * 16),
        Family.OUTBOX: OutboxCell(message.message_id, epoch, version, message),
    }
    assert not is_valid(await fence_of(servers), epoch, version)
    return codec.encode(cells[family])


@pytest.mark.parametrize("family", [Family.MESSAGES, Family.LOG, Family.DEDUPE, Family.OUTBOX])
@virtual_time
async def test_a_late_write_that_no_load_sees_keeps_it_from_folding_until_it_is_removed(family: Family) -> None:
    async with cluster(late=True) as servers:
        await write_under_several_epochs(servers)
        late = await late_cell(servers, family)
        await servers.store.mutate([RowMutation(ANN, [Put(*late)])], servers.clock.now_ms())
        servers.clock.jump(DAY_S + 60)
        await claim_anew(servers)
        assert not any(entry.folded for entry in await fence_of(servers))
        assert late[1] not in dict(await columns(servers, family)), "removed after the claim was confirmed"
        await claim_anew(servers)
        assert (await fence_of(servers))[0].folded
        await assert_unharmed(servers)


@virtual_time
async def test_a_late_state_beside_a_valid_one_keeps_it_from_folding() -> None:
    """No sweep removes that cell: it carries the newest valid state of a conversation that nobody wrote to since."""
    async with cluster(late=True) as servers:
        await claim_anew(servers)
        await servers.node.send("ann", "dan", "the last one", "d")
        await servers.quiet()
        await write_under_several_epochs(servers)
        index = [codec.decode_index(*column) for column in await columns(servers, Family.INDEX)]
        cell = next(cell for cell in index if isinstance(cell, IndexCell) and "dan" in cell.current.participants)
        late_state = cell.current.with_read_mark(b"\xff" * 16, NOTHING_UNREAD, cell.current.version + 10**9, cell.epoch)
        late = codec.encode(replace(cell, current=late_state, previous=cell.current))
        servers.clock.jump(60)  # the calls' timestamps are ahead of a clock that stood still
        await servers.store.mutate([RowMutation(ANN, [Put(*late)])], servers.clock.now_ms())
        servers.clock.jump(DAY_S)
        await claim_anew(servers)
        assert not any(entry.folded for entry in await fence_of(servers))
        await servers.node.send("ann", "dan", "another", "d2")
        await servers.quiet()
        await claim_anew(servers)
        await claim_anew(servers)
        assert (await fence_of(servers))[0].folded


@virtual_time
async def test_a_mailbox_of_too_many_keys_keeps_its_entries_and_is_not_read_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(folding, "MOST_PAGES", 3)
    monkeypatch.setattr(folding, "PAGE_COLUMNS", 2)
    async with cluster(late=True) as servers:
        await write_under_several_epochs(servers)
        servers.clock.jump(DAY_S + 60)
        await claim_anew(servers)
        assert not any(entry.folded for entry in await fence_of(servers))
        monkeypatch.setattr(folding, "MOST_PAGES", 64)
        await claim_anew(servers)
        assert not any(entry.folded for entry in await fence_of(servers))
        await servers.restart()
        await claim_anew(servers)
        assert (await fence_of(servers))[0].folded
        await assert_unharmed(servers)
