"""Reads the cells of rows for a check: all that are there, valid or not, in pages.

The cells that an owner keeps in memory (index, dedupe records, outbox) are read as a whole. Messages and log entries
come in pages, so that a mailbox of a million messages takes no more memory than a page of them.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, TypeVar

from rowbox.cacheserver.rows.row_parts import LAST_QUALIFIER
from rowbox.cacheserver.stores.port import Column, StoreReader
from rowbox.hbase_schema import codec, keys
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.cells import (
    Cell,
    DedupeCell,
    FenceCell,
    LogCell,
    MessageCell,
    OutboxCell,
)
from rowbox.mailbox.check.invariants import RowFrame
from rowbox.mailbox.errors import StoreDamaged
from rowbox.mailbox.two_states import IndexCell, Kind, UnknownIndexCell

PAGE_COLUMNS = 1000

OnUnreadable = Callable[[str], None]
_CellT = TypeVar("_CellT", bound=Cell | UnknownIndexCell)


def ignore(_text: str) -> None:
    """Does nothing: for readings whose unreadable cells another reading has reported."""


class RowCells:
    """Reads one store's rows. `on_unreadable` is called for each cell that is left out because it does not decode."""

    def __init__(self, store: StoreReader, on_unreadable: OnUnreadable) -> None:
        self._store = store
        self._on_unreadable = on_unreadable

    async def frame(self, row: bytes) -> RowFrame:
        """The index, the dedupe records and the outbox of a row, in one atomic read."""
        columns = await self._store.get_row(row, (Family.INDEX, Family.DEDUPE, Family.OUTBOX))
        index = list(self._decode(Family.INDEX, columns[Family.INDEX]))
        return RowFrame(
            _only(FenceCell, index),
            _only(IndexCell, index),
            _only(DedupeCell, self._decode(Family.DEDUPE, columns[Family.DEDUPE])),
            _only(OutboxCell, self._decode(Family.OUTBOX, columns[Family.OUTBOX])),
            _only(UnknownIndexCell, index),
        )

    async def fences(self, row: bytes) -> list[FenceCell]:
        """The fences of a row."""
        start = keys.FENCE_PREFIX
        return _only(FenceCell, await self._all(row, Family.INDEX, start, start + LAST_QUALIFIER))

    async def states(self, row: bytes, kind: Kind[Any], key: bytes) -> list[IndexCell[Any]]:
        """The cells of one key of the index, of every epoch."""
        start = kind.letter + key
        return _only(IndexCell, await self._all(row, Family.INDEX, start, start + LAST_QUALIFIER))

    async def message_keys(self, row: bytes) -> AsyncIterator[keys.MessageKey]:
        """The keys of the cells that `messages` gives, one by one, in the same order."""
        async for columns in self._pages(row, Family.MESSAGES, keys_only=True):
            for qualifier, _ in columns:
                yield keys.split_message_qualifier(qualifier)

    async def messages(self, row: bytes) -> AsyncIterator[list[MessageCell]]:
        """The messages of a row, conversation by conversation, the newest of each first: of each all its cells."""
        one: list[MessageCell] = []
        async for columns in self._pages(row, Family.MESSAGES):
            for cell in self._decode(Family.MESSAGES, columns):
                assert isinstance(cell, MessageCell)
                if one and (one[0].message_id, one[0].conversation_id) != (cell.message_id, cell.conversation_id):
                    yield one
                    one = []
                one.append(cell)
        if one:
            yield one

    async def conversation(self, row: bytes, conversation_id: bytes) -> AsyncIterator[MessageCell]:
        """All cells of the messages of one conversation, the newest message first."""
        start, stop = keys.message_range(conversation_id, None, None)
        async for columns in self._pages(row, Family.MESSAGES, start, stop):
            for cell in self._decode(Family.MESSAGES, columns):
                assert isinstance(cell, MessageCell)
                yield cell

    async def log(self, row: bytes, after_version: int = 0) -> AsyncIterator[LogCell]:
        """The log entries of a row with greater versions than `after_version`, by ascending version."""
        start = keys.log_range(after_version, after_version)[0]
        async for columns in self._pages(row, Family.LOG, start):
            for cell in self._decode(Family.LOG, columns):
                assert isinstance(cell, LogCell)
                yield cell

    async def copies(self, row: bytes, conversation_id: bytes, message_id: bytes) -> list[MessageCell]:
        """All cells of one message in a row, of every epoch."""
        return _only(
            MessageCell, await self._all(row, Family.MESSAGES, *keys.copies_range(conversation_id, message_id))
        )

    async def _all(self, row: bytes, family: Family, start: bytes, stop: bytes) -> list[Cell | UnknownIndexCell]:
        """All cells of a range. It is read part by part, although such a range is short as a rule."""
        return [
            cell async for columns in self._pages(row, family, start, stop) for cell in self._decode(family, columns)
        ]

    async def _pages(
        self, row: bytes, family: Family, start: bytes = b"", stop: bytes = LAST_QUALIFIER, *, keys_only: bool = False
    ) -> AsyncIterator[list[Column]]:
        while True:
            columns = await self._store.get_range(row, family, start, stop, PAGE_COLUMNS, keys_only=keys_only)
            yield columns
            if len(columns) < PAGE_COLUMNS:
                return
            start = keys.after(columns[-1][0])

    def _decode(self, family: Family, columns: Iterable[Column]) -> Iterator[Cell | UnknownIndexCell]:
        for qualifier, value in columns:
            cell = _decoded(family, qualifier, value)
            if cell is None:
                self._on_unreadable(f"column {family}:{qualifier.hex()} is no cell of ours")
            else:
                yield cell


def _decoded(family: Family, qualifier: bytes, value: bytes) -> Cell | UnknownIndexCell | None:
    """The cell in a column. None where the column does not decode, or is not stored under the cell's own qualifier."""
    try:
        cell = codec.decode(family, qualifier, value)
        if isinstance(cell, UnknownIndexCell) or codec.encode(cell)[1] == qualifier:
            return cell
        return None
    except (StoreDamaged, OverflowError):
        return None


def _only(kind: type[_CellT], cells: Iterable[Cell | UnknownIndexCell]) -> list[_CellT]:
    return [cell for cell in cells if isinstance(cell, kind)]
