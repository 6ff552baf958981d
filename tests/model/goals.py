"""States that a search must reach to mean anything: in them are the events for which the rules exist.

A search that never gets into trouble finds no violation either. Each goal is a state that the full rules must be able
to reach.
"""

from collections.abc import Callable, Iterable
from typing import Generic

from rowbox.mailbox.fence import is_valid, newest
from tests.model.rows.row import History
from tests.model.rows.state import State
from tests.model.search import Model, S


class Reaching(Generic[S]):
    """A model in which reaching the goal is the violation that the search looks for."""

    def __init__(self, model: Model[S], goal: Callable[[S], bool]) -> None:
        self.model, self.goal = model, goal

    def initial(self) -> S:
        return self.model.initial()

    def successors(self, state: S) -> Iterable[tuple[str, S]]:
        return self.model.successors(state)

    def violation(self, state: S) -> str | None:
        return self.model.violation(state) or ("the goal is reached" if self.goal(state) else None)


def _counts(state: State, history: History) -> bool:
    fence = newest(cell.fence for cell in state.row.fences)
    return bool(history) and is_valid(fence, history[-1].epoch, history[-1].version)


def a_late_write_is_ignored(state: State) -> bool:
    """Both messages were shown, and the row holds a write that does not count."""
    return len(state.world.shown) == 2 and any(not _counts(state, (entry,)) for entry in state.row.messages)


def the_second_state_is_used(state: State) -> bool:
    """A served row's only valid state stands behind a late one, in an `i` cell that was overwritten in place."""
    late = [cell for cell in state.row.index_cells if cell.now and not _counts(state, cell.now)]
    served = any(process.mailbox and process.call is None for process in state.processes)
    return served and len(state.row.index_cells) == 1 and any(_counts(state, cell.before) for cell in late)


def both_owners_confirm(state: State) -> bool:
    """One message was stored under the first map version, one under the second."""
    return len({entry.epoch >> 24 for entry in state.world.shown}) == 2


def a_row_is_swept(state: State) -> bool:
    """The list names two epochs, both messages were shown, and only the newer epoch's `i` cell is left."""
    fence = newest(cell.fence for cell in state.row.fences)
    left = {cell.epoch for cell in state.row.index_cells}
    return len(fence) > 1 and len(state.world.shown) == 2 and left == {fence[-1].epoch}


def a_list_is_folded(state: State) -> bool:
    """Both messages were shown and an owner serves with a folded list."""
    folded = (process.mailbox and process.mailbox.fence[0].folded for process in state.processes)
    return len(state.world.shown) == 2 and any(folded)
