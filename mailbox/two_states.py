"""The one rule of every value in family `i`, the index, whatever it is about: a cell holds two states.

    qualifier   kind (1 byte), key (an id of what it is about, of the kind's length; maybe none), epoch (8 bytes)
    value       [state, the state before the whole mutation, or nil]; each state begins [version, epoch]

A cell is overwritten in place by each mutation of its epoch, and the last one of an epoch may be the late write of an
owner that was replaced. Then the state before it counts: so it is kept in the same cell until the next mutation. Where
no write can be late there is none.

writing    One cell for each key that a mutation changes, under the mutation's epoch. Its second state is the one
           before that WHOLE mutation, which may hold several commands: these count together or not at all.
           What a mutation gives its highest version to is such a state: the row's head is read from these alone, and
           what has a version above it counts nowhere. A log entry proves nothing: there need not be one.
choosing   Of a key the state counts that is valid under the fence and has the highest version, over the cells of
           all epochs and both states of each.
garbage    A cell of a lower epoch that does not carry that state, and the one that does as soon as this epoch's own
           cell of the key is confirmed.
order      The first state is of the cell's epoch. The one before it has a lower version, and no higher epoch.

That is all there is about fences in a kind of cell: what its states say is the kind's own matter (mailbox/cells.py
lists the kinds). The fence itself, `f`, is the exception. It is what states are judged by, so it cannot be judged: of
all fences the one of the highest epoch counts, as a whole. Its cell is written once by each claim, under an epoch that
nobody else has, so there is nothing before it that it could hide.

A kind that only a newer Rowbox knows has the same two states. Their versions count for the head; the cell is left
alone.

No I/O, no clock. docs/consistency.md (rule 7) says why, tests/model searches for a violation without it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

import msgspec

from rowbox.mailbox.fence import Fence, Stamp, is_valid


class State(Protocol):
    """What an owner wrote under a key; stored as an array that begins with these two."""

    @property
    def version(self) -> int:
        """Of the mutation that made it."""
        ...

    @property
    def epoch(self) -> int:
        """The owner's, at that time."""
        ...


StateT = TypeVar("StateT", bound=State)
_T = TypeVar("_T")
ByKind: TypeAlias = dict[bytes, dict[bytes, _T]]
"""By the letter of a kind, and then by key."""


class Kind(NamedTuple, Generic[StateT]):
    """A kind of cells in family `i`. `state` is an array-like Struct, for which docs/formats.md has rules."""

    letter: bytes
    """The first byte of the qualifiers: never used for another kind."""
    state: type[StateT]
    key_bytes: int
    """The length of a key; 0: a row has one state of this kind."""
    name: str
    """What a key names, for findings."""


class IndexCell(msgspec.Struct, Generic[StateT], frozen=True, gc=False):
    """The state of a key after a mutation, and the one before that whole mutation. `kind` is a Kind's letter."""

    kind: bytes
    key: bytes
    epoch: int
    current: StateT
    previous: StateT | None


class UnknownIndexCell(msgspec.Struct, frozen=True, gc=False):
    """An index cell of a kind that only a newer Rowbox knows, which owned the row before. Only its stamps are read.

    Its versions count for the row's head, or this owner would give them a second time. It is never removed.
    """

    kind: bytes
    """The first byte of its qualifier."""
    epoch: int
    current: Stamp
    previous: Stamp | None


def cells_of(
    kind: bytes, epoch: int, states: Mapping[bytes, StateT], before: Callable[[bytes], StateT | None]
) -> list[IndexCell[StateT]]:
    """What a mutation of `epoch` writes of one kind: the new states by key. `before` gives what stood of one."""
    return [IndexCell(kind, key, epoch, state, before(key)) for key, state in states.items()]


def nothing_before(_key: bytes) -> None:
    """Stands for the state before, which is None: a store without late writes never needs one."""


def states_of(cell: IndexCell[StateT]) -> list[StateT]:
    """Its one or two states, the current one first."""
    return [cell.current] if cell.previous is None else [cell.current, cell.previous]


def stamps_of(cells: Iterable[IndexCell[Any] | UnknownIndexCell]) -> Iterator[Stamp]:
    """What wrote the states of each cell, both of them, whatever its kind."""
    for cell in cells:
        yield Stamp(cell.current.epoch, cell.current.version)
        if cell.previous is not None:
            yield Stamp(cell.previous.epoch, cell.previous.version)


class Chosen(NamedTuple):
    """What counts of some cells."""

    states: ByKind[Any]
    stale_epochs: ByKind[int]
    """By kind and key: the lower epoch whose cell carries the state. Garbage once this epoch has its own cell."""
    superseded: list[IndexCell[Any]]
    """Cells of lower epochs that carry nothing: garbage now."""


def choose(fence: Fence, cells: Sequence[IndexCell[Any]]) -> Chosen:
    """What counts under `fence`, the list that its last epoch claimed with. `cells` holds all cells of each key."""
    best: ByKind[tuple[Any, IndexCell[Any]]] = defaultdict(dict)
    for cell in cells:
        of_kind = best[cell.kind]
        for state in states_of(cell):
            known = of_kind.get(cell.key)
            if is_valid(fence, state.epoch, state.version) and (known is None or state.version > known[0].version):
                of_kind[cell.key] = (state, cell)
    own = fence[-1].epoch
    states: ByKind[Any] = {}
    stale_epochs: ByKind[int] = {}
    carriers: set[int] = set()
    for kind, chosen in best.items():
        states[kind] = {key: state for key, (state, _) in chosen.items()}
        carriers.update([id(cell) for _, cell in chosen.values()])
        stale = {key: cell.epoch for key, (_, cell) in chosen.items() if cell.epoch < own}
        if stale:
            stale_epochs[kind] = stale
    return Chosen(states, stale_epochs, [cell for cell in cells if id(cell) not in carriers and cell.epoch < own])


def merge(all_of: ByKind[_T], part: ByKind[_T]) -> None:
    """Adds what a part of a row says to what those before it said, by kind and key."""
    for kind, of_kind in part.items():
        all_of.setdefault(kind, {}).update(of_kind)


def is_in_order(cell: IndexCell[Any] | UnknownIndexCell) -> bool:
    """Whether the states of a cell can have been written by the rule."""
    current, before = cell.current, cell.previous
    return current.epoch == cell.epoch and (
        before is None or (before.version < current.version and before.epoch <= current.epoch)
    )
