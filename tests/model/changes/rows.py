"""Rows of the model: columns as the store has them, and what an owner makes of them. All of it is what ships."""

from collections.abc import Iterable
from functools import lru_cache

from rowbox.cacheserver.rows.claimed_row import ClaimedRow
from rowbox.cacheserver.rows.row_states import decoded
from rowbox.cacheserver.rows.view import View, current
from rowbox.cacheserver.stores.port import Column
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox import fence as fences
from rowbox.mailbox.aggregate.mailbox import Limits, Mailbox
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.cells import Cell, FenceCell, MessageCell
from rowbox.mailbox.ids import direct_conversation_id

Stored = tuple[Family, bytes, bytes]
Row = frozenset[Stored]

ANN, BOB = "ann", "bob"
BOTH = (ANN, BOB)
CONVERSATION_ID = direct_conversation_id(*BOTH)
NOW_US = 1_800_000_000_000_000
A_YEAR_MS = 365 * 24 * 3600 * 1000
LIMITS = Limits(A_YEAR_MS, A_YEAR_MS, A_YEAR_MS, window_messages=8, window_bytes=1 << 20)
EPOCHS = (fences.make_epoch(1, 0), fences.make_epoch(2, 0))


def stored(cells: Iterable[Cell]) -> Row:
    """The cells as columns."""
    return frozenset(map(codec.encode, cells))


def superseded(plan: Plan) -> Row:
    """The columns that count no more once the plan was confirmed."""
    return stored(plan.superseded)


def without(row: Row, gone: Row) -> Row:
    """The row without the columns at the places of `gone`."""
    places = {cell[:2] for cell in gone}
    return frozenset(cell for cell in row if cell[:2] not in places)


def written(row: Row, put: Row) -> Row:
    """The row after the store executed `put`."""
    return without(row, put) | put


def index_of(row: Row) -> Row:
    """What an owner keeps in memory of a row."""
    return frozenset(cell for cell in row if cell[0] is Family.INDEX)


def first_fence() -> FenceCell:
    """The claim of the first owner."""
    return FenceCell(EPOCHS[0], fences.claim((), EPOCHS[0], 0, NOW_US // 1000, "first"))


def fence_in(row: Row) -> fences.Fence:
    """The fence of a row."""
    cells = decoded(_columns(row, Family.INDEX))
    return fences.newest(cell.fence for cell in cells if isinstance(cell, FenceCell))


def claimed(fence: fences.Fence, row: Row) -> ClaimedRow:
    """A row as a load with this fence sees it."""
    found = ClaimedRow(fence)
    found.add(decoded(_columns(row, Family.INDEX)))
    found.add_outbox(_columns(row, Family.OUTBOX))
    return found


def mailbox_of(number: int, index: Row, user_id: str = ANN) -> Mailbox:
    """The mailbox of the owner `number`, who knows this of the index."""
    found = claimed(_fence_known(number, index), index)
    return found.mailbox(user_id, LIMITS, found.draft.index())


def held_in(mailbox: Mailbox, row: Row) -> MessageCell | None:
    """What counts of the one message."""
    view = View(keys.row_key(mailbox.user_id, 64), mailbox, NOW_US)
    return current(view, [codec.decode_message(*column) for column in _columns(row, Family.MESSAGES)])


@lru_cache(maxsize=1 << 14)
def _fence_known(number: int, index: Row) -> fences.Fence:
    return tuple(entry for entry in fence_in(index) if entry.epoch in EPOCHS[: number + 1])


def _columns(row: Row, family: Family) -> list[Column]:
    return sorted((qualifier, value) for one, qualifier, value in row if one is family)
