"""Claims: whose row it is, and what follows from a claim of which nobody knows whether it was written."""

import pytest

from rowbox.cacheserver.node.tenure import EpochOwnership
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import FetchConversations, FetchMessages, MarkRead, Send
from rowbox.cacheserver.stores.memory.faults import Fault, Op
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cacheserver.stores.port import RowMutation
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.families import Family, ttl_ms
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import FenceCell
from rowbox.mailbox.errors import HandoverInProgress, StoreOutcomeUnknown
from rowbox.mailbox.fence import Fence, FenceEntry, make_epoch, newest
from tests.checking import assert_no_findings
from tests.support.cluster import SHARDS, UNLIMITED, gather_all
from tests.support.parts import in_small_parts
from tests.support.virtual_time import WallClock, virtual_time


class Claimers:
    """Owners over one store, each under the epoch and the name that a test gives it."""

    def __init__(self) -> None:
        self.clock = WallClock()
        self.store = MemoryStore(SHARDS, ttl_ms(UNLIMITED.store), late_writes=True, now_ms=self.clock.now_ms)
        self.owners: list[Owner] = []

    async def add(self, ownership: EpochOwnership) -> Owner:
        owner = Owner(self.store, UNLIMITED, ownership=ownership, now_us=self.clock.now_us)
        await owner.start()
        await owner.recovery.scan()
        self.owners.append(owner)
        return owner

    async def fence(self, user_id: str) -> Fence:
        """The list that stands in a user's row."""
        columns = (await self.store.get_row(row_key(user_id, SHARDS), (Family.INDEX,)))[Family.INDEX]
        cells = [codec.decode_index(*column) for column in columns]
        return newest(cell.fence for cell in cells if isinstance(cell, FenceCell))

    async def close(self) -> None:
        for owner in self.owners:
            await owner.close()
        await assert_no_findings(self.store, UNLIMITED, self.clock.now_us())


def give_anew(owner: Owner, ownership: EpochOwnership, version: int) -> None:
    """A version of the map that gives the owner all that it has once more."""
    changed = ownership.apply(version, dict.fromkeys(ownership.shards, version))
    owner.give_away(changed.lost)
    owner.take(changed.gained)


@pytest.mark.parametrize("is_large", [False, True], ids=["in_one_piece", "in_parts"])
@virtual_time
async def test_a_row_that_another_incarnation_claimed_under_the_same_epoch_is_not_served(is_large: bool) -> None:
    """Two own under one epoch, which must never be. Yet they do not write one row."""
    with pytest.MonkeyPatch.context() as patch:
        if is_large:
            in_small_parts(patch)
        await two_under_one_epoch()


async def two_under_one_epoch() -> None:
    claimers = Claimers()
    first_ownership, second_ownership = EpochOwnership(5, "first"), EpochOwnership(5, "second")
    first, second = await claimers.add(first_ownership), await claimers.add(second_ownership)
    await first.send(Send("ann", "ann", "hello", "c1"))
    before = await claimers.fence("ann")
    with pytest.raises(HandoverInProgress):
        await second.fetch_messages(FetchMessages("ann"))
    with pytest.raises(HandoverInProgress):
        await second.send(Send("ann", "ann", "world", "c2"))
    assert await claimers.fence("ann") == before
    assert second_ownership.needed_above == 5, "it needs a higher map version, or was replaced"
    assert first_ownership.needed_above == 0
    first_ownership.revoke()
    give_anew(second, second_ownership, 6)
    assert len((await second.fetch_messages(FetchMessages("ann"))).items) == 1
    assert [entry.incarnation for entry in await claimers.fence("ann")] == ["first", "second"]
    await claimers.close()


@pytest.mark.parametrize("call", ["fetch", "mark_read"])
@virtual_time
async def test_a_mailbox_whose_read_met_another_owners_claim_is_not_kept(call: str) -> None:
    """Else every such read of it would be refused, for as long as the mailbox stays."""
    claimers = Claimers()
    first_ownership, second_ownership = EpochOwnership(5, "first"), EpochOwnership(6, "second")
    first, second = await claimers.add(first_ownership), await claimers.add(second_ownership)
    sent = await first.send(Send("ann", "bob", "0", "c0"))
    await first.send(Send("ann", "bob", "1", "c1"))
    await first.delivery.idle()
    first.table.drop(first.table.row("bob"))
    await first.fetch_conversations(FetchConversations("bob"))
    await second.send(Send("ann", "bob", "2", "c2"))
    await second.delivery.idle()
    (answer,) = await gather_all(
        first.fetch_messages(FetchMessages("bob", sent.conversation_id))
        if call == "fetch"
        else first.mark_read(MarkRead("bob", sent.conversation_id, sent.message_id))
    )
    assert isinstance(answer, HandoverInProgress)
    assert first.table.row("bob").mailbox is None
    second_ownership.revoke()
    give_anew(first, first_ownership, 7)
    assert len((await first.fetch_messages(FetchMessages("bob", sent.conversation_id))).items) == 3
    await claimers.close()


@virtual_time
async def test_a_fence_of_the_first_format_is_nobodys_own() -> None:
    """It names no incarnation; after a restore its epoch may be one that was given anew."""
    claimers = Claimers()
    epoch = make_epoch(5, 0)
    column = codec.encode(FenceCell(epoch, (FenceEntry(epoch, 0, 0),)))
    await claimers.store.mutate([RowMutation(row_key("ann", SHARDS), [column])], claimers.clock.now_ms())
    ownership = EpochOwnership(5, "only")
    owner = await claimers.add(ownership)
    with pytest.raises(HandoverInProgress):
        await owner.send(Send("ann", "ann", "hello", "c1"))
    give_anew(owner, ownership, 6)
    await owner.send(Send("ann", "ann", "hello", "c1"))
    await claimers.close()


@virtual_time
async def test_after_a_claim_of_unknown_outcome_the_next_one_is_of_a_new_epoch() -> None:
    claimers = Claimers()
    owner = await claimers.add(EpochOwnership(5, "only"))
    claimers.store.faults.next(Fault.EXECUTE_LATE, Op.MUTATE)
    with pytest.raises(StoreOutcomeUnknown):
        await owner.fetch_messages(FetchMessages("ann"))
    await owner.send(Send("ann", "ann", "hello", "c1"))
    assert [entry.epoch for entry in await claimers.fence("ann")] == [make_epoch(5, 1)]
    claimers.store.land()
    await owner.send(Send("ann", "ann", "world", "c2"))
    assert [entry.epoch for entry in await claimers.fence("ann")] == [make_epoch(5, 1)]
    await claimers.close()
