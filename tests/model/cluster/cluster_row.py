"""A state of the cluster's model: the row, the swaps under way, the nodes, and what an observer outside remembers."""

from functools import lru_cache
from typing import NamedTuple, TypeAlias

from rowbox.cacheserver.node.judgement import FirstPlace
from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, ClusterState, MapCell, NodeCell

Cell: TypeAlias = NodeCell | MapCell


class Store(NamedTuple):
    """The cluster's row: the map's cell, and the nodes' cells by place."""

    map: MapCell | None = None
    cells: tuple[tuple[bytes, NodeCell], ...] = ()

    def at(self, place: bytes) -> Cell | None:
        return self.map if place == MAP_PLACE else dict(self.cells).get(place)

    def put(self, place: bytes, cell: Cell | None) -> "Store":
        if isinstance(cell, MapCell):
            return self._replace(map=cell)
        cells = dict(self.cells)
        if cell is None:
            cells.pop(place, None)
        else:
            cells[place] = cell
        return self._replace(cells=tuple(sorted(cells.items(), key=lambda item: item[0])))


class Call(NamedTuple):
    """A swap under way. `cell` None removes; `is_blind`: it does not look at what stands."""

    place: bytes
    expected: Cell | None
    cell: Cell | None
    is_blind: bool = False


class Life(NamedTuple):
    """One incarnation that runs."""

    name: str
    joined: bool = False
    ending: bool = False
    first_place: FirstPlace | None = None
    beat: int = 0
    """The newest beat that the incarnation sent."""
    lease: int = 0
    """The beat that its lease counts from; 0: it has none."""
    over: int = 0
    """Leases that count from this beat, or from an earlier one, are over."""
    version: int = 0
    """The map version that it owns under; 0: none."""
    needed: int = 0
    seen: Store | None = None
    """A read that it has not judged yet."""
    in_hand: MapCell | None = None
    """Without `judged_anew`: the map that it read before it declared the owner dead."""
    begins_anew: bool = False
    """Whether the incarnation was given a map version that it had before."""
    writing: int = 0
    """1: a write is under way; 2: and somebody else could answer since it was begun."""

    @property
    def may_answer(self) -> bool:
        return self.version > 0 and self.lease > 0


class Left(NamedTuple):
    crashes: int
    stops: int
    raises: int


class State(NamedTuple):
    store: Store
    underway: frozenset[Call]
    lives: tuple[Life, ...]
    left: Left
    given: frozenset[tuple[int, str]] = frozenset()
    """(map version, incarnation) of all that owned."""
    ended: frozenset[str] = frozenset()
    wrong: str | None = None


@lru_cache(maxsize=1 << 16)
def as_read(store: Store) -> ClusterState:
    return ClusterState(store.map, dict(store.cells), {})


def put_life(state: State, me: int, life: Life) -> State:
    lives = state.lives
    return state._replace(lives=(*lives[:me], life, *lives[me + 1 :]))


def ends(stood: Cell | None, cell: Cell | None) -> frozenset[str]:
    """The incarnation that ends by this change of a place."""
    if not isinstance(stood, NodeCell):
        return frozenset()
    goes_on = isinstance(cell, NodeCell) and cell.incarnation == stood.incarnation and cell.status == "alive"
    return frozenset() if goes_on else frozenset([stood.incarnation])


def checked(before: State, state: State) -> State:
    """`state` with what it remembers of owners, and with what is wrong in it."""
    if state.lives != before.lives:
        owning = [life for life in state.lives if life.may_answer]
        given = state.given | {(life.version, life.name) for life in state.lives if life.version}
        lives = tuple(
            life._replace(writing=2) if life.writing == 1 and any(one.name != life.name for one in owning) else life
            for life in state.lives
        )
        wrong = state.wrong
        if len(owning) > 1:
            wrong = f"{owning[0].name} and {owning[1].name} may answer at once"
        elif any(life.begins_anew for life in lives):
            wrong = "a map version is given a second time, and its epochs begin anew"
        elif len({version for version, _ in given}) < len(given):
            wrong = f"two own under one map version: {sorted(given)}"
        return state._replace(lives=lives, given=given, wrong=wrong)
    if state.store != before.store:
        alive = [cell.incarnation for _, cell in state.store.cells if cell.status == "alive"]
        if len(set(alive)) < len(alive):
            return state._replace(wrong=f"an incarnation has two cells: {sorted(alive)}")
        if back := state.ended & set(alive):
            return state._replace(wrong=f"{sorted(back)} came back after the end")
    return state


def name_cell(cell: Cell | None) -> str:
    if isinstance(cell, MapCell):
        return f"map {cell.version}: {cell.owner}"
    if cell is None:
        return "nothing"
    return f"{cell.incarnation}/{cell.beat}{'' if cell.status == 'alive' else ' ' + cell.status}"


def name_call(call: Call) -> str:
    return f"[{name_cell(call.expected)} -> {name_cell(call.cell)}]"
