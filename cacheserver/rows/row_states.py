"""Decodes the columns of family `i` for a load, and cuts them by keys so that mailbox/two_states.py can choose."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from rowbox.cacheserver.stores.port import Column
from rowbox.hbase_schema import codec
from rowbox.mailbox.aggregate.index_draft import StoredState
from rowbox.mailbox.cells import CONVERSATION, FenceCell
from rowbox.mailbox.errors import StoreDamaged
from rowbox.mailbox.fence import Stamp
from rowbox.mailbox.two_states import ByKind, IndexCell, UnknownIndexCell, stamps_of

IndexColumn = IndexCell[Any] | FenceCell | UnknownIndexCell


def decoded(columns: Iterable[Column]) -> list[IndexColumn]:
    """The cells in columns of family `i`. StoreDamaged."""
    with _damage_named():
        return [codec.decode_index(*column) for column in columns]


class SolePart(NamedTuple):
    """The states in some columns of family `i`, of a store where no write can be late."""

    conversations: list[StoredState]
    head: int
    """The greatest version in them, of whatever kind they are; 0 for none."""
    others: ByKind[Any]


def sole_part(columns: Iterable[Column]) -> SolePart:
    """The state of each key after its last mutation. StoreDamaged."""
    conversations: list[StoredState] = []
    rest: list[Column] = []
    with _damage_named():
        for column in columns:
            if column[0][:1] == CONVERSATION.letter:
                conversations.append(codec.decode_sole_state(*column))
            else:
                rest.append(column)
    cells = decoded(rest)
    others: ByKind[Any] = {}
    for cell in cells:
        if isinstance(cell, IndexCell):
            others.setdefault(cell.kind, {})[cell.key] = cell.current
    versions = [state.version for state in conversations]
    return SolePart(conversations, max([*versions, *(stamp.version for stamp in stamps_in(cells))], default=0), others)


def stamps_in(cells: Iterable[IndexColumn]) -> Iterator[Stamp]:
    """The stamps of all states in some cells; a fence has none."""
    return stamps_of([cell for cell in cells if not isinstance(cell, FenceCell)])


def whole_keys(cells: list[IndexColumn]) -> tuple[list[IndexColumn], list[IndexColumn]]:
    """`cells`, ascending, up to the last key, and the cells of that: the next part may hold more of them."""
    last = cells[-1] if cells else None
    if not isinstance(last, IndexCell):
        return cells, []
    cut = len(cells) - 1
    while cut and _is_of(cells[cut - 1], last):
        cut -= 1
    return cells[:cut], cells[cut:]


def _is_of(cell: IndexColumn, last: IndexCell[Any]) -> bool:
    return isinstance(cell, IndexCell) and (cell.kind, cell.key) == (last.kind, last.key)


@contextmanager
def _damage_named() -> Iterator[None]:
    try:
        yield
    except (ValueError, IndexError) as error:
        raise StoreDamaged(f"a column of the index does not decode: {error}") from error
