"""Loading a mailbox: one read, and where writes can be late one claim (docs/consistency.md, rule 1).

Once in many epochs there are more reads (folding.py), and a row that one read cannot hold is read in parts. Of a row
whose mailbox was handed over there is no read at all (`load_warm`).

Interleaving that the claim ends: owner A is replaced by B while A's put is on its way.
  1. B reads the row: head 70.     2. B writes its fence: "A counts up to 70".     3. A's put of version 71 lands.
B served nothing before step 2 was confirmed, and after it 71 of A counts nowhere. Had the put landed before step 1, B
would have read 71 and said "up to 71". Either way A and B and every later reader agree.

In parts nothing is read as of one moment, and A's put may land between two of them (docs/adr/0022-loads-in-parts.md).
So B reads the index until two readings show the same head, claims with that, and goes on with what the last one found:
either A's put is in no part of it, and counts nowhere after the claim; or the reading before saw some of it, so it had
landed, and the last one saw all of it, and the head is the last of its versions.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from rowbox.cacheserver.clocks import StoreClock, Time
from rowbox.cacheserver.ownership import Grant
from rowbox.cacheserver.rows.claimed_row import ClaimedRow
from rowbox.cacheserver.rows.cleaner import Cleaner
from rowbox.cacheserver.rows.folding import Folded, Folding
from rowbox.cacheserver.rows.row_parts import OUTBOX_COLUMNS, PART_COLUMNS, has_settled, in_parts
from rowbox.cacheserver.rows.row_states import IndexColumn, decoded, sole_part, stamps_in, whole_keys
from rowbox.cacheserver.rows.sent_ids import SentIds
from rowbox.cacheserver.rows.warm_rows import WarmClaims, WarmRows
from rowbox.cacheserver.stores.port import Column, Put, RowMutation, Store
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.aggregate.client_ids import ClientIds
from rowbox.mailbox.aggregate.hand_over import HandedOver
from rowbox.mailbox.aggregate.index import ConversationIndex
from rowbox.mailbox.aggregate.index_draft import IndexDraft
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.cells import RECEIPTS, FenceCell, OutboxCell
from rowbox.mailbox.clocks.clock import US_PER_MS
from rowbox.mailbox.errors import NotTheOwner, StoreOutcomeUnknown
from rowbox.mailbox.fence import Access, Fence, access, claim, head_of, latest_us, map_version_of, newest
from rowbox.mailbox.group import is_group_name
from rowbox.mailbox.receipts import shown_versions
from rowbox.mailbox.two_states import ByKind, merge

WHOLE_COLUMNS = 1000
"""Columns read in one piece at most: a row that has more in these families is read in parts."""


class LoadedRow(NamedTuple):
    """A mailbox, and the valid outbox cells of its row: to be delivered before a send is admitted."""

    mailbox: Mailbox
    outbox: Sequence[OutboxCell]


class Loader:
    """Loads mailboxes from the rows of one store."""

    def __init__(self, store: Store, cleaner: Cleaner, clock: StoreClock, time: Time, limits: Limits) -> None:
        self._store = store
        self._cleaner = cleaner
        self.folding = Folding(store)
        self._sent_ids = SentIds(store, cleaner.remove)
        self._clock = clock
        self._time = time
        self._limits = limits
        self.warm = WarmRows(store.shards)
        """What was handed over of rows that have not been claimed since."""
        self.warm_claims = WarmClaims(store, clock)
        self.warm_loads = 0
        """Mailboxes that were claimed as they were handed over."""
        self.store_calls = 0
        """Of all other loads."""

    async def load_warm(self, user_id: str, row: bytes, grant: Grant) -> LoadedRow | None:
        """The mailbox that was handed over with the row's shard, claimed under `grant`: one put, and no read.

        None, and nothing was written: there is none, or it is none to claim with, so the row has to be loaded. After
        this call there is none, whatever becomes of it. NotTheOwner, LeaseLapsed, StoreUnavailable.
        """
        packed = self.warm.take(user_id)
        handed = HandedOver.unpacked(packed) if packed is not None else None
        if handed is None:
            return None
        fence = handed.claim(grant.epoch, grant.incarnation, self._time.now_us() // US_PER_MS)
        if fence is None:
            return None
        await self.warm_claims.confirm(row, fence, grant)
        grant.check()
        self.warm_loads += 1
        return LoadedRow(handed.mailbox(user_id, self._limits, fence), handed.outbox)

    async def load(self, user_id: str, row: bytes, grant: Grant) -> LoadedRow | None:
        """The mailbox of a user, claimed under `grant` where writes can be late. None: too large, for `load_large`.

        NotTheOwner, LeaseLapsed, StoreUnavailable, StoreDamaged.
        """
        late = self._store.late_writes
        families: tuple[Family, ...] = (Family.INDEX, Family.DEDUPE, Family.OUTBOX)
        if not late:
            families = (Family.INDEX, Family.OUTBOX) if is_group_name(user_id) else (Family.INDEX,)
        self.store_calls += 1
        columns = await self._store.get_row_within(row, families, WHOLE_COLUMNS)
        if columns is None:
            return None
        if late:
            return await self._load_claimed(user_id, row, grant, columns)
        return await self._load_sole(
            user_id, row, grant, _once(columns[Family.INDEX]), _once(columns.get(Family.OUTBOX, []))
        )

    async def load_large(self, user_id: str, row: bytes, grant: Grant) -> LoadedRow:
        """As `load`, of a row of any size. It is read in parts, between which other tasks have their turns."""
        if self._store.late_writes:
            return await self._load_claimed_in_parts(user_id, row, grant)
        outbox = self._parts(row, Family.OUTBOX) if is_group_name(user_id) else _once([])
        return await self._load_sole(user_id, row, grant, self._parts(row, Family.INDEX), outbox)

    async def _load_sole(
        self,
        user_id: str,
        row: bytes,
        grant: Grant,
        parts: AsyncIterator[list[Column]],
        outbox: AsyncIterator[list[Column]],
    ) -> LoadedRow:
        """Nobody writes into a row that is being loaded here, so the parts are of one moment.

        Only groups have an outbox there: a message of two is written into both rows at once.
        """
        draft, head = IndexDraft(), 0
        others: ByKind[Any] = {}
        async for columns in parts:
            part = sole_part(columns)
            draft.add(part.conversations)
            head = max(head, part.head)
            merge(others, part.others)
        draft.add_shown(shown_versions(others.get(RECEIPTS.letter, {})))
        mailbox = Mailbox(
            user_id,
            self._limits,
            epoch=grant.epoch,
            head=head,
            index=await _index(draft),
            client_ids=ClientIds(loaded_at=head),
            others=others,
        )
        self.store_calls += 1
        await self._sent_ids.read_on(mailbox, row)
        parcels = [codec.decode(Family.OUTBOX, *column) async for columns in outbox for column in columns]
        return LoadedRow(mailbox, [cell for cell in parcels if isinstance(cell, OutboxCell)])

    async def _load_claimed(
        self, user_id: str, row: bytes, grant: Grant, columns: dict[Family, list[Column]]
    ) -> LoadedRow:
        """Of columns that were read in one piece."""
        cells = decoded(columns[Family.INDEX])
        read = newest(cell.fence for cell in cells if isinstance(cell, FenceCell))
        folded = await self._claim_folded(row, grant, read, head_of(read, stamps_in(cells)))
        grant.check()
        claimed = ClaimedRow(folded.fence)
        claimed.add(cells)
        claimed.add_outbox(columns[Family.OUTBOX])
        self._cleaner.remove(row, claimed.removable, claimed.latest_us)
        self._cleaner.remove(row, folded.invalid, max(folded.latest_us, claimed.latest_us))
        mailbox = claimed.mailbox(user_id, self._limits, claimed.whole_draft().index())
        self._sent_ids.take_in(mailbox, row, columns[Family.DEDUPE], None)
        return LoadedRow(mailbox, claimed.outbox)

    async def _load_claimed_in_parts(self, user_id: str, row: bytes, grant: Grant) -> LoadedRow:
        """The index is read until its head stands still, the rest after the claim (see the module's text)."""
        read = newest([cell.fence async for cell in self._fences(row)])
        if _has_claimed(grant, read):
            folded, claimed = Folded(read), ClaimedRow(read)
            await self._read_index(row, read, claimed)
        else:
            claimed = await self._settled(row, grant, read)
            folded = await self._claim_folded(row, grant, read, claimed.head)
            claimed.fence = folded.fence
        grant.check()  # reading ids has dead ones removed: by a list that another may have outlived
        async for columns in self._parts(row, Family.OUTBOX):
            claimed.add_outbox(columns)
        mailbox = claimed.mailbox(user_id, self._limits, await _index(claimed.whole_draft()))
        self.store_calls += 1
        await self._sent_ids.read_on(mailbox, row)
        grant.check()
        self._cleaner.remove(row, claimed.removable, claimed.latest_us)
        self._cleaner.remove(row, folded.invalid, max(folded.latest_us, claimed.latest_us))
        return LoadedRow(mailbox, claimed.outbox)

    async def _settled(self, row: bytes, grant: Grant, read: Fence) -> ClaimedRow:
        """What a reading of the index finds that shows the same head as the one before it, by the list to claim with.

        A put of several changes has as many versions, and one that lands during a reading may show the lower ones
        alone: a head between them would cut it in two. The next reading shows all of them.
        """
        head = await self._read_index(row, read, None)
        while True:
            now_ms = self._time.now_us() // US_PER_MS
            reading = ClaimedRow(claim(read, grant.epoch, head, now_ms, grant.incarnation))
            before, head = head, await self._read_index(row, read, reading)
            if has_settled(before, head):
                return reading

    async def _read_index(self, row: bytes, read: Fence, into: ClaimedRow | None) -> int:
        """Reads all parts, each at its own moment; the head that they show by the list that was read."""
        head = head_of(read, ())
        async for cells in self._keys_of_index(row):
            head = max(head, head_of(read, stamps_in(cells)))
            if into is not None:
                into.add(cells)
        return head

    async def _fences(self, row: bytes) -> AsyncIterator[FenceCell]:
        async for columns in self._parts(row, Family.INDEX, keys.FENCE_PREFIX):
            for cell in decoded(columns):
                if isinstance(cell, FenceCell):
                    yield cell

    async def _keys_of_index(self, row: bytes) -> AsyncIterator[list[IndexColumn]]:
        """The cells of the index in parts, all of one key in the same part."""
        held: list[IndexColumn] = []
        async for columns in self._parts(row, Family.INDEX):
            cells, held = whole_keys([*held, *decoded(columns)])
            yield cells
        yield held

    async def _parts(self, row: bytes, family: Family, start: bytes = b"") -> AsyncIterator[list[Column]]:
        columns = OUTBOX_COLUMNS if family is Family.OUTBOX else PART_COLUMNS
        async for part in in_parts(self._store, row, family, start, columns):
            self.store_calls += 1
            yield part

    async def _claim_folded(self, row: bytes, grant: Grant, read: Fence, head: int) -> Folded:
        """Claims, with a folded list if it may be: the list to go by, and columns to be removed."""
        if _access(grant, read) is Access.CLAIMED:
            return Folded(read)
        folded = await self._fold(row, grant, read)
        return folded._replace(fence=await self._claim(row, grant, folded.fence, head))

    async def _fold(self, row: bytes, grant: Grant, read: Fence) -> Folded:
        """What the claim goes on from; the list as it was read where there will be no claim."""
        if _access(grant, read) is not Access.CLAIMABLE:
            return Folded(read)
        return await self.folding.fold(row, read, self._time.seen_us() // US_PER_MS)

    async def _claim(self, row: bytes, grant: Grant, read: Fence, head: int) -> Fence:
        """The list to go by: the one read where it is this grant's already, else a new one, once it is confirmed."""
        if _has_claimed(grant, read):
            return read
        epoch = grant.epoch
        fence = claim(read, epoch, head, self._time.now_us() // US_PER_MS, grant.incarnation)
        put = Put(*codec.encode(FenceCell(epoch, fence)))
        try:
            self.store_calls += 1
            await self._store.mutate([RowMutation(row, [put])], self._clock.next_ms(latest_us(fence)))
        except StoreOutcomeUnknown:
            grant.leave_epoch()
            raise
        return fence


def _access(grant: Grant, read: Fence) -> Access:
    return access(read, grant.epoch, grant.incarnation)


def _has_claimed(grant: Grant, read: Fence) -> bool:
    """Whether the newest list is this grant's own claim. NotTheOwner where it is another's (Access)."""
    allowed = _access(grant, read)
    if allowed is Access.REPLACED:
        grant.outranked(read[-1].epoch)
        raise NotTheOwner("another node has claimed this user", map_version=map_version_of(read[-1].epoch))
    return allowed is Access.CLAIMED


async def _once(columns: list[Column]) -> AsyncIterator[list[Column]]:
    yield columns


async def _index(draft: IndexDraft) -> ConversationIndex:
    """The finished index, made between others' turns."""
    for _ in draft.merges():
        await asyncio.sleep(0)
    return draft.index()
