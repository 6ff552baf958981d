"""Loading a mailbox: one read, and where writes can be late one claim (docs/consistency.md, rule 1).

Once in many epochs there are more reads: folding.py.

Interleaving that the claim ends: owner A is replaced by B while A's put is on its way.
  1. B reads the row: head 70.     2. B writes its fence: "A counts up to 70".     3. A's put of version 71 lands.
B served nothing before step 2 was confirmed, and after it 71 of A counts nowhere. Had the put landed before step 1, B
would have read 71 and said "up to 71". Either way A and B and every later reader agree.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from rowbox.cacheserver.cleaner import Cleaner
from rowbox.cacheserver.clocks import NowUs, StoreClock
from rowbox.cacheserver.folding import Folded, Folding
from rowbox.cacheserver.ownership import Ownership
from rowbox.cacheserver.store import Column, Put, RowMutation, Store
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.cells import DedupeCell, FenceCell, IndexCell, OutboxCell, UnknownIndexCell
from rowbox.mailbox.client_ids import ClientIds
from rowbox.mailbox.clock import US_PER_MS
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.errors import HandoverInProgress, StoreDamaged, StoreOutcomeUnknown
from rowbox.mailbox.fence import Fence, Stamp, claim, has_claimed, head_of, is_sweepable, is_valid, newest
from rowbox.mailbox.mailbox import Limits, Mailbox

SLICE_COLUMNS = 1000
"""Decoded in one turn of the event loop: about 5 ms."""

_CellT = TypeVar("_CellT")
_Decoder = Callable[[bytes, bytes], _CellT]


class Loaded(NamedTuple):
    """A mailbox, and the valid outbox cells of its row: to be delivered before a send is admitted."""

    mailbox: Mailbox
    outbox: Sequence[OutboxCell]


class Loader:
    """Makes mailboxes of rows."""

    def __init__(
        self, store: Store, ownership: Ownership, cleaner: Cleaner, clock: StoreClock, now_us: NowUs, limits: Limits
    ) -> None:
        self._store = store
        self._ownership = ownership
        self._cleaner = cleaner
        self.folding = Folding(store)
        self._clock = clock
        self._now_us = now_us
        self._limits = limits
        self.store_calls = 0

    async def load(self, user_id: str, row: bytes) -> Loaded:
        """The mailbox of a user, claimed where writes can be late.

        HandoverInProgress, StoreUnavailable, StoreDamaged.
        """
        if not self._store.late_writes:
            return await self._load_sole(user_id, row)
        return await self._load_claimed(user_id, row)

    async def _load_sole(self, user_id: str, row: bytes) -> Loaded:
        self.store_calls += 1
        columns = await self._store.get_row(row, (Family.INDEX, Family.DEDUPE))
        cells = await _decode_all(columns[Family.INDEX], Family.INDEX, codec.decode_index)
        dedupe = await _decode_all(columns[Family.DEDUPE], Family.DEDUPE, codec.decode_dedupe)
        states = {cell.conversation_id: cell.current for cell in cells if isinstance(cell, IndexCell)}
        stamps = _stamps(cell for cell in cells if not isinstance(cell, FenceCell))
        mailbox = Mailbox(
            user_id,
            self._limits,
            epoch=self._ownership.epoch,
            head=max((stamp.version for stamp in stamps), default=0),
            states=states,
            client_ids=await _client_ids(dedupe),
        )
        return Loaded(mailbox, ())

    async def _load_claimed(self, user_id: str, row: bytes) -> Loaded:
        now_ms = self._now_us() // US_PER_MS
        self.store_calls += 1
        columns = await self._store.get_row(row, (Family.INDEX, Family.DEDUPE, Family.OUTBOX))
        cells = await _decode_all(columns[Family.INDEX], Family.INDEX, codec.decode_index)
        fences = [cell for cell in cells if isinstance(cell, FenceCell)]
        index = [cell for cell in cells if isinstance(cell, IndexCell)]
        written = list(_stamps(cell for cell in cells if not isinstance(cell, FenceCell)))
        read = newest(cell.fence for cell in fences)
        head = head_of(read, written)
        dedupe = await _decode_all(columns[Family.DEDUPE], Family.DEDUPE, codec.decode_dedupe)
        outbox = await _decode_all(columns[Family.OUTBOX], Family.OUTBOX, codec.decode_outbox)
        stamps = [*written, *_stamps((), dedupe, outbox)]
        folded = await self._fold(row, read, stamps, now_ms)
        fence = await self._claim(row, folded.fence, head)
        client_ids = await _client_ids([cell for cell in dedupe if is_valid(fence, cell.epoch, cell.version)])
        self._ownership.check(user_id)
        epoch = fence[-1].epoch
        states, stale, superseded = _choose(fence, index)
        garbage = [*_garbage(fence, fences, superseded, dedupe, outbox), *folded.invalid]
        self._cleaner.remove(row, garbage, _latest_us(fence, stamps))
        mailbox = Mailbox(
            user_id,
            self._limits,
            epoch=epoch,
            fence=fence,
            head=head,
            states=states,
            client_ids=client_ids,
            stale_epochs=stale,
        )
        return Loaded(mailbox, [cell for cell in outbox if is_valid(fence, cell.epoch, cell.version)])

    async def _fold(self, row: bytes, read: Fence, held: Iterable[Stamp], now_ms: int) -> Folded:
        """What the claim goes on from; the list as it was read where there will be no claim."""
        if not read or read[-1].epoch >= self._ownership.epoch:
            return Folded(read)
        return await self.folding.fold(row, read, held, now_ms)

    async def _claim(self, row: bytes, read: Fence, head: int) -> Fence:
        """The list to go by: the one read where it is this owner's already, else a new one, once it is confirmed."""
        epoch, incarnation = self._ownership.epoch, self._ownership.incarnation
        if has_claimed(read, epoch, incarnation):
            return read
        if read and read[-1].epoch >= epoch:
            self._ownership.outranked(read[-1].epoch)
            raise HandoverInProgress("another node has claimed this user")
        fence = claim(read, epoch, head, self._now_us() // US_PER_MS, incarnation)
        put = Put(*codec.encode(FenceCell(epoch, fence)))
        try:
            self.store_calls += 1
            await self._store.mutate([RowMutation(row, [put])], self._clock.next_ms(_latest_us(fence)))
        except StoreOutcomeUnknown:
            self._ownership.leave_epoch()
            raise
        return fence


async def _decode_all(columns: Sequence[Column], family: Family, decoder: _Decoder[_CellT]) -> list[_CellT]:
    cells: list[_CellT] = []
    try:
        async for some in _slices(columns):
            cells += [decoder(qualifier, value) for qualifier, value in some]
    except (ValueError, IndexError) as error:
        raise StoreDamaged(f"a column of family {family} does not decode: {error}") from error
    return cells


async def _client_ids(cells: Sequence[DedupeCell]) -> ClientIds:
    ids = ClientIds()
    async for some in _slices(cells):
        for cell in some:
            ids.add(cell.client_id_hash, cell.version)
    return ids


async def _slices(items: Sequence[_CellT]) -> AsyncIterator[Sequence[_CellT]]:
    """`items` in parts, each after a turn of everybody else: a row of half a million columns is seconds of decoding."""
    for start in range(0, len(items), SLICE_COLUMNS):
        if start:
            await asyncio.sleep(0)
        yield items[start : start + SLICE_COLUMNS]


def _states(cell: IndexCell) -> list[Conversation]:
    return [cell.current] if cell.previous is None else [cell.current, cell.previous]


def _stamps(
    index: Iterable[IndexCell | UnknownIndexCell],
    dedupe: Iterable[DedupeCell] = (),
    outbox: Iterable[OutboxCell] = (),
) -> Iterator[Stamp]:
    """Of every cell, of an index cell both states, whatever its kind."""
    for cell in index:
        yield Stamp(cell.current.epoch, cell.current.version)
        if cell.previous is not None:
            yield Stamp(cell.previous.epoch, cell.previous.version)
    yield from (Stamp(send.epoch, send.version) for send in dedupe)
    yield from (Stamp(parcel.epoch, parcel.version) for parcel in outbox)


def _latest_us(fence: Fence, stamps: Iterable[Stamp] = ()) -> int:
    """The latest time that anything of a row is known to be of: its versions, and the claims of its epochs."""
    claimed_us = (entry.claimed_at_ms * US_PER_MS for entry in fence)
    starts = (entry.starts_after for entry in fence)
    return max(*claimed_us, *starts, *(stamp.version for stamp in stamps), 0)


class _Chosen(NamedTuple):
    states: dict[bytes, Conversation]
    stale_epochs: dict[bytes, list[int]]
    superseded: list[IndexCell]


def _choose(fence: Fence, index: Iterable[IndexCell]) -> _Chosen:
    """Of each conversation the valid state with the highest version, over all epochs' cells (rule 7).

    The lower epoch's cell that carries it is stale as soon as this epoch wrote the conversation; the others are
    superseded now.
    """
    best: dict[bytes, tuple[Conversation, IndexCell]] = {}
    cells = list(index)
    for cell in cells:
        for state in _states(cell):
            known = best.get(cell.conversation_id)
            if is_valid(fence, state.epoch, state.version) and (known is None or state.version > known[0].version):
                best[cell.conversation_id] = (state, cell)
    carriers = {id(cell) for _, cell in best.values()}
    own = fence[-1].epoch
    return _Chosen(
        {conversation_id: state for conversation_id, (state, _) in best.items()},
        {conversation_id: [cell.epoch] for conversation_id, (_, cell) in best.items() if cell.epoch < own},
        [cell for cell in cells if id(cell) not in carriers and cell.epoch < own],
    )


def _garbage(
    fence: Fence,
    fences: Iterable[FenceCell],
    superseded: Iterable[IndexCell],
    dedupe: Iterable[DedupeCell],
    outbox: Iterable[OutboxCell],
) -> Iterable[tuple[Family, bytes]]:
    """What the owner of the newest epoch in `fence` may remove at once: only cells of lower epochs (rule 2)."""
    own = fence[-1].epoch
    for old in fences:
        if old.epoch < own:
            yield Family.INDEX, keys.fence_qualifier(old.epoch)
    for state in superseded:
        yield Family.INDEX, keys.conversation_qualifier(state.conversation_id, state.epoch)
    for send in dedupe:
        if is_sweepable(fence, own, send.epoch, send.version):
            yield Family.DEDUPE, keys.dedupe_qualifier(send.client_id_hash, send.epoch)
    for parcel in outbox:
        if is_sweepable(fence, own, parcel.epoch, parcel.version):
            yield Family.OUTBOX, keys.outbox_qualifier(parcel.message_id, parcel.epoch)
