"""What the columns of `i` say, as a load takes them: the states that count, and what no longer does."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from rowbox.cacheserver.stores.port import Column
from rowbox.hbase_schema import codec
from rowbox.hbase_schema.keys import CONVERSATION_PREFIX
from rowbox.mailbox.aggregate.index_draft import StoredState, stored
from rowbox.mailbox.cells import FenceCell, IndexCell, RevocationCell, UnknownIndexCell, states_of
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.errors import StoreDamaged
from rowbox.mailbox.fence import Fence, Stamp, is_valid
from rowbox.mailbox.revocation import Revocation

IndexColumn = IndexCell | FenceCell | RevocationCell | UnknownIndexCell


def decoded(columns: Iterable[Column]) -> list[IndexColumn]:
    """The cells of `i`. StoreDamaged."""
    with _damage_named():
        return [codec.decode_index(*column) for column in columns]


class SolePart(NamedTuple):
    """What some columns say where no write can be late."""

    states: list[StoredState]
    head: int
    """The greatest version in them, of whatever kind they are; 0 for none."""
    revocation: Revocation | None


def sole_part(columns: Iterable[Column]) -> SolePart:
    """Of each conversation the state after its last mutation. StoreDamaged."""
    states: list[StoredState] = []
    others: list[Column] = []
    with _damage_named():
        for column in columns:
            if column[0][:1] == CONVERSATION_PREFIX:
                states.append(codec.decode_sole_state(*column))
            else:
                others.append(column)
    head = max([state.version for state in states], default=0)
    cells = decoded(others)
    revocation = next((cell.current for cell in cells if isinstance(cell, RevocationCell)), None)
    return SolePart(states, max([head, *(stamp.version for stamp in stamps_of(cells))]), revocation)


def stamps_of(cells: Iterable[IndexColumn]) -> Iterator[Stamp]:
    """Of both states of every cell but fences, whatever its kind."""
    for cell in cells:
        if not isinstance(cell, FenceCell):
            yield Stamp(cell.current.epoch, cell.current.version)
            if cell.previous is not None:
                yield Stamp(cell.previous.epoch, cell.previous.version)


class Chosen(NamedTuple):
    """What counts of some conversations' cells."""

    states: list[StoredState]
    stale_epochs: dict[bytes, int]
    """By conversation: the lower epoch whose cell carries the state, and is garbage once this epoch wrote another."""
    superseded: list[IndexCell]
    """Cells of lower epochs that carry nothing."""


def choose(fence: Fence, cells: Sequence[IndexColumn]) -> Chosen:
    """Of each conversation the valid state with the highest version, over all epochs' cells (rule 7).

    `cells` holds all cells of each of its conversations.
    """
    best: dict[bytes, tuple[Conversation, IndexCell]] = {}
    index = [cell for cell in cells if isinstance(cell, IndexCell)]
    for cell in index:
        for state in states_of(cell):
            known = best.get(cell.conversation_id)
            if is_valid(fence, state.epoch, state.version) and (known is None or state.version > known[0].version):
                best[cell.conversation_id] = (state, cell)
    carriers = {id(cell) for _, cell in best.values()}
    own = fence[-1].epoch
    return Chosen(
        [stored(conversation_id, state) for conversation_id, (state, _) in best.items()],
        {conversation_id: cell.epoch for conversation_id, (_, cell) in best.items() if cell.epoch < own},
        [cell for cell in index if id(cell) not in carriers and cell.epoch < own],
    )


def better(
    fence: Fence, known: tuple[Revocation, RevocationCell] | None, cell: RevocationCell
) -> tuple[Revocation, RevocationCell] | None:
    """Of the revocation that is `known` to count and the states of another epoch's cell the valid one of the highest
    version, with the cell that carries it (rule 7).
    """
    for state in (cell.current, cell.previous):
        if state is None or not is_valid(fence, state.epoch, state.version):
            continue
        if known is None or state.version > known[0].version:
            known = state, cell
    return known


def whole_conversations(cells: list[IndexColumn]) -> tuple[list[IndexColumn], list[IndexColumn]]:
    """`cells`, ascending, up to the last conversation, and the cells of that: the next part may hold more of them."""
    last = cells[-1] if cells else None
    if not isinstance(last, IndexCell):
        return cells, []
    cut = len(cells) - 1
    while cut and _is_of(cells[cut - 1], last.conversation_id):
        cut -= 1
    return cells[:cut], cells[cut:]


def _is_of(cell: IndexColumn, conversation_id: bytes) -> bool:
    return isinstance(cell, IndexCell) and cell.conversation_id == conversation_id


@contextmanager
def _damage_named() -> Iterator[None]:
    try:
        yield
    except (ValueError, IndexError) as error:
        raise StoreDamaged(f"a column of the index does not decode: {error}") from error
