"""A state of the one-row model: all that exists at one moment."""

from typing import NamedTuple

from tests.model.rows.owner import Mailbox
from tests.model.rows.row import Call, Entry, History, Row


class Process(NamedTuple):
    """One process. Without `mailbox` and `call` it is idle; with a call and no mailbox it waits for its claim."""

    granted: int = 0
    """The map version that gave the row to this incarnation, as far as it knows; 0: none did."""
    n: int = 0
    lease: bool = True
    mailbox: Mailbox | None = None
    """The mailbox that the process serves."""
    call: Call | None = None
    """The call it waits for: one at a time (rule 3)."""
    executed: bool = False
    """Whether the call has executed, so that its answer may come."""
    then: Mailbox | None = None
    """The mailbox that the process serves once the call has succeeded."""
    seen: tuple[Row, ...] = ()
    """The parts that it has read so far, where the row is read in parts."""
    shown_head: int = -1
    """The head that its last reading of all parts has shown."""
    life: int = 0
    """The name that its claims carry. A map version names one incarnation, so a name says something only where that is
    not so (`Bounds.twins`, `Rules.incarnation`)."""


class Left(NamedTuple):
    """How often things may still happen, see `Bounds`."""

    puts: int
    grants: int
    restarts: int
    repeats: int
    expiries: int
    sweeps: int
    days: int
    returns: int


class World(NamedTuple):
    """The map, what may still happen, and what an observer outside knows."""

    left: Left
    map_version: int = 1
    owner: int = 0
    """The process that the map names."""
    sent: int = 0
    """How many different messages were ever sent: the next new one has this number."""
    shown: History = ()
    """The longest answer that any client was given."""
    expired: frozenset[Entry] = frozenset()
    wrong: str | None = None
    """What is wrong with an answer that was just given."""


class State(NamedTuple):
    row: Row
    underway: frozenset[Call]
    """Calls that nobody waits for any more, and that may execute at any time."""
    processes: tuple[Process, Process]
    world: World


def put_process(state: State, me: int, process: Process) -> State:
    a, b = state.processes
    return State(state.row, state.underway, (process, b) if me == 0 else (a, process), state.world)


def abandon(state: State, me: int) -> State:
    """The process waits no longer for its call, which stays under way unless it has executed."""
    process = state.processes[me]
    if process.call is None or process.executed:
        return state
    return state._replace(underway=state.underway | {process.call})


def spend(state: State, what: str) -> State:
    """`state` in which one less of `what` may still happen."""
    left = state.world.left
    left = left._replace(**{what: getattr(left, what) - 1})
    return State(state.row, state.underway, state.processes, state.world._replace(left=left))


def owns(state: State, me: int) -> bool:
    """Whether the map names this incarnation."""
    return state.world.owner == me and state.processes[me].granted == state.world.map_version


def with_t(state: State, put: Call) -> Call:
    """The put under its T: in each column later than all that stands there and all that was sent there."""
    waited = [process.call for process in state.processes if process.call is not None]
    sent = [call for call in (*waited, *state.underway) if not call.delete]
    index = {cell for call in sent for cell in call.index_cells} | state.row.index_cells
    fences = {cell for call in sent for cell in call.fences} | state.row.fences
    return put._replace(
        index_cells=frozenset(
            cell._replace(t=1 + max((other.t for other in index if other.column == cell.column), default=0))
            for cell in put.index_cells
        ),
        fences=frozenset(
            cell._replace(t=1 + max((other.t for other in fences if other.epoch == cell.epoch), default=0))
            for cell in put.fences
        ),
    )
