"""The store's side of one row: cells, calls, and what executing a call does. Nothing here knows who owns the row.

What is abstracted, and why nothing is lost by it:

- A message's content is its number. A conversation's state in `i` is the list of all its messages' stamps, which says
  more than the counters of the real one: a message lost, doubled or reordered shows in that list.
- `m` and `l` cells of a message live and expire together and are one cell here, in `messages`. `d` is `ids`; it does
  not expire, because P2 holds for the dedupe retention only. `o` is `outbox`.
- T matters only where a column is written twice: an owner's `i` cells and its own fence. Epochs stand in the
  qualifiers, so both writes come from one process and T is the number of the write to the column.
- A deletion leaves no tombstone. A tombstone can only hide a put that executes late, and then it is as if the put
  never executed, which happens here, too.
"""

from typing import NamedTuple, TypeAlias

from rowbox.mailbox.fence import Fence


class Entry(NamedTuple):
    """A message as one mutation stored it: the stamp of the mutation, and which message it is."""

    epoch: int
    version: int
    message: int


History: TypeAlias = tuple[Entry, ...]
"""A conversation's state: its messages, oldest first; the last one's stamp is the state's. () where there is none."""


class IndexCell(NamedTuple):
    """`i` c conversation epoch: overwritten in place by each mutation of the epoch, so it holds two states (rule 7)."""

    conversation: int
    epoch: int
    t: int = 0
    now: History = ()
    before: History = ()

    @property
    def column(self) -> tuple[int, int]:
        return self.conversation, self.epoch

    def states(self) -> list[History]:
        return [state for state in (self.now, self.before) if state]


class FenceCell(NamedTuple):
    """`i` f epoch: the list that the owner of this epoch wrote."""

    epoch: int
    t: int = 0
    fence: Fence = ()


class Row(NamedTuple):
    index_cells: frozenset[IndexCell] = frozenset()
    fences: frozenset[FenceCell] = frozenset()
    messages: frozenset[Entry] = frozenset()
    ids: frozenset[Entry] = frozenset()
    outbox: frozenset[Entry] = frozenset()


class Call(NamedTuple):
    """One call to the store, atomic in the row: a put, or a deletion of exact columns (whatever they hold by then)."""

    delete: bool = False
    index_cells: frozenset[IndexCell] = frozenset()
    fences: frozenset[FenceCell] = frozenset()
    entries: frozenset[Entry] = frozenset()
    """Cells in `m`, `l` and `d`."""
    outbox: frozenset[Entry] = frozenset()


def execute(row: Row, call: Call, *, rising_t: bool) -> Row:
    """The row after `call` executed. `rising_t`: a put under an older T than the column's is hidden by what stands."""
    if call.delete:
        return _remove(row, call)
    return Row(
        _put_index(row.index_cells, call.index_cells, rising_t=rising_t) if call.index_cells else row.index_cells,
        _put_fences(row.fences, call.fences, rising_t=rising_t) if call.fences else row.fences,
        row.messages | call.entries,
        row.ids | call.entries,
        row.outbox | call.outbox,
    )


def _put_index(cells: frozenset[IndexCell], new: frozenset[IndexCell], *, rising_t: bool) -> frozenset[IndexCell]:
    columns = {cell.column: cell for cell in cells}
    for cell in new:
        if cell.column not in columns or cell.t > columns[cell.column].t or not rising_t:
            columns[cell.column] = cell
    return frozenset(columns.values())


def _put_fences(cells: frozenset[FenceCell], new: frozenset[FenceCell], *, rising_t: bool) -> frozenset[FenceCell]:
    columns = {cell.epoch: cell for cell in cells}
    for cell in new:
        if cell.epoch not in columns or cell.t > columns[cell.epoch].t or not rising_t:
            columns[cell.epoch] = cell
    return frozenset(columns.values())


def _remove(row: Row, call: Call) -> Row:
    index = {cell.column for cell in call.index_cells}
    fences = {cell.epoch for cell in call.fences}
    return Row(
        frozenset(cell for cell in row.index_cells if cell.column not in index),
        frozenset(cell for cell in row.fences if cell.epoch not in fences),
        row.messages - call.entries,
        row.ids - call.entries,
        row.outbox - call.outbox,
    )
