"""Mailboxes that were handed over with shards which this owner has, until each is claimed; and their claims.

The claim is one put of the fence, made of what was handed over, and no read (HandedOver.claim). Nothing of the mailbox
is shown or gone on with before that was confirmed. What was handed over is taken out of here before the claim is sent:
once that may be in the row, what was handed over may no longer be what stands there. So after whatever becomes of a
claim, a load reads the row.

After a move thousands of users come within the first second. So claims that come together go to the store together.
"""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Sequence

from rowbox.cacheserver.clocks import StoreClock
from rowbox.cacheserver.ownership import Grant
from rowbox.cacheserver.rows.stash import HandedRow
from rowbox.cacheserver.stores.port import Put, RowMutation, Store
from rowbox.hbase_schema import codec
from rowbox.mailbox.cells import FenceCell
from rowbox.mailbox.errors import RowboxError, StoreOutcomeUnknown
from rowbox.mailbox.fence import Fence, latest_us
from rowbox.mailbox.ids import shard_of

KEEP_S = 600.0
"""How long a mailbox waits for its first use: as many bytes of others' mailboxes may be in use meanwhile."""
CALL_ROWS = 256
"""Rows that are claimed in one call at most: 20 KB, and as many of 20,000 as a region holds up when it is silent."""
CALLS = 4
"""Calls at once: a range of the store that does not answer holds up one of them."""


class WarmRows:
    """What was handed over with one owner's shards, by user. No I/O, no clock: `now_s` is an argument."""

    def __init__(self, shards: int) -> None:
        """`shards` is the store's number of them."""
        self._shards = shards
        self._of_shard: dict[int, _OfShard] = {}
        self.size_bytes = 0

    def __len__(self) -> int:
        return sum(len(of_shard.rows) for of_shard in self._of_shard.values())

    def add(self, rows: Iterable[HandedRow], now_s: float) -> None:
        """Takes in what was handed over with shards that this owner has just been given (Stash.take_out)."""
        for row in rows:
            shard = shard_of(row.user_id, self._shards)
            of_shard = self._of_shard.get(shard)
            if of_shard is None:
                of_shard = self._of_shard[shard] = _OfShard(now_s)
            of_shard.rows[row.user_id] = row
            self.size_bytes += row.size_bytes

    def take(self, user_id: str) -> bytes | None:
        """What was handed over of a user, packed; None where nothing was, or it has been taken already."""
        if not self._of_shard:  # as almost always
            return None
        of_shard = self._of_shard.get(shard_of(user_id, self._shards))
        row = of_shard.rows.pop(user_id, None) if of_shard is not None else None
        if row is None:
            return None
        self.size_bytes -= row.size_bytes
        return row.packed

    def forget(self, shards: Collection[int]) -> None:
        """Drops what is left of shards, because this owner has them no longer."""
        for shard in shards:
            of_shard = self._of_shard.pop(shard, None)
            if of_shard is not None:
                self.size_bytes -= sum(row.size_bytes for row in of_shard.rows.values())

    def drop_old(self, now_s: float) -> float | None:
        """Drops what is empty, and what has been here for KEEP_S. In how many seconds to ask again; None: never."""
        ends = {shard: of_shard.since_s + KEEP_S for shard, of_shard in self._of_shard.items()}
        self.forget([shard for shard, end_s in ends.items() if end_s <= now_s or not self._of_shard[shard].rows])
        return min((ends[shard] - now_s for shard in self._of_shard), default=None)


class _OfShard:
    """What is left of one shard, by user."""

    __slots__ = ("rows", "since_s")

    def __init__(self, since_s: float) -> None:
        self.since_s = since_s
        self.rows: dict[str, HandedRow] = {}


class _Claim:
    """One fence on its way to its row."""

    __slots__ = ("confirmed", "fence", "grant", "is_taken", "row")

    def __init__(self, row: bytes, fence: Fence, grant: Grant) -> None:
        self.row = row
        self.fence = fence
        self.grant = grant
        self.is_taken = False
        """Whether it is in a call, or was."""
        self.confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class WarmClaims:
    """Writes the fences of warm claims to one store, many at a time."""

    def __init__(self, store: Store, clock: StoreClock) -> None:
        self._store = store
        self._clock = clock
        self._calls = asyncio.Semaphore(CALLS)
        self._waiting: deque[_Claim] = deque()
        self.store_calls = 0
        self.rows = 0
        """Rows whose claim was sent."""

    async def confirm(self, row: bytes, fence: Fence, grant: Grant) -> None:
        """Writes `fence`, the list of a claim under `grant`, and returns when the store has confirmed it.

        StoreUnavailable: it was not and will not be written. StoreOutcomeUnknown: the grant has left its epoch.
        """
        claim = _Claim(row, fence, grant)
        self._waiting.append(claim)
        async with self._calls:
            if not claim.is_taken:
                await asyncio.sleep(0)  # what else begins in this turn goes with it
            # Whoever came before is taken by now: the semaphore lets in first who came first.
            if not claim.is_taken:
                await self._write([self._taken() for _ in range(min(CALL_ROWS, len(self._waiting)))])
        await claim.confirmed

    def _taken(self) -> _Claim:
        claim = self._waiting.popleft()
        claim.is_taken = True
        return claim

    async def _write(self, claims: Sequence[_Claim]) -> None:
        """One call, but for rows that need one of their own (StoreClock)."""
        apart = [claim for claim in claims if self._clock.is_ahead(latest_us(claim.fence))]
        together = [claim for claim in claims if claim not in apart]
        for call in (together, *([claim] for claim in apart)):
            if call:
                await self._write_together(call)

    async def _write_together(self, claims: Sequence[_Claim]) -> None:
        mutations = [
            RowMutation(claim.row, [Put(*codec.encode(FenceCell(claim.fence[-1].epoch, claim.fence)))])
            for claim in claims
        ]
        self.store_calls += 1
        self.rows += len(claims)
        try:
            latest = max([latest_us(claim.fence) for claim in claims])
            await self._store.mutate(mutations, self._clock.next_ms(latest))
        except StoreOutcomeUnknown as error:
            _leave_epochs(claims)
            _fail(claims, error)
        except RowboxError as error:
            _fail(claims, error)
        except BaseException as error:
            # A bug, or the loop's end: nobody knows what the store did.
            _leave_epochs(claims)
            _fail(claims, StoreOutcomeUnknown(f"the claim was interrupted: {type(error).__name__}"))
            raise
        else:
            for claim in claims:
                claim.confirmed.set_result(None)


def _leave_epochs(claims: Sequence[_Claim]) -> None:
    """Once for each grant, however many of its rows were in the call."""
    for grant in {id(claim.grant): claim.grant for claim in claims}.values():
        grant.leave_epoch()


def _fail(claims: Sequence[_Claim], error: RowboxError) -> None:
    for claim in claims:
        if not claim.confirmed.done():  # else the loop is ending
            claim.confirmed.set_exception(error)
            claim.confirmed.exception()  # looked at, so that it is no warning where its task is being ended as well
