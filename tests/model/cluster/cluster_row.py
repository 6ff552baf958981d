"""A state of the cluster's model: the row, the swaps under way, the nodes, and what an observer outside remembers."""

from functools import lru_cache
from typing import NamedTuple, TypeAlias

from rowbox.cacheserver.node.judgement import FirstPlace, Look
from rowbox.cacheserver.shardmap.cluster_row import ClusterRow, MapRoot
from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, NodeCell
from tests.model.cluster.cluster_map import Map, shipped_map

Cell: TypeAlias = NodeCell | Map


class Store(NamedTuple):
    """The cluster's row: the map, and the nodes' cells by place."""

    map: Map
    cells: tuple[tuple[bytes, NodeCell], ...] = ()

    def at(self, place: bytes) -> Cell | None:
        return self.map if place == MAP_PLACE else dict(self.cells).get(place)

    def put(self, place: bytes, cell: Cell | None) -> "Store":
        if isinstance(cell, Map):
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


class Mover(NamedTuple):
    """Shards, each with its `since`, that an owner gives to `target`.

    It has sent a swap over the map of version `sent_over`, and answers nothing for them.
    """

    grants: tuple[tuple[int, int], ...]
    target: str
    sent_over: int


class Life(NamedTuple):
    """One incarnation that runs."""

    name: str
    joined: bool = False
    listed: bool = False
    """Whether it has applied a map that lists it."""
    ending: bool = False
    first_place: FirstPlace | None = None
    beat: int = 0
    """The newest beat that the incarnation sent."""
    lease: int = 0
    """The beat that its lease counts from; 0: it has none."""
    over: int = 0
    """Leases that count from this beat, or from an earlier one, are over."""
    applied: Map | None = None
    newest: int = 0
    """The highest version that it ever applied."""
    needed: tuple[tuple[int, int], ...] = ()
    """Shards, each with the version that its `since` has to be above."""
    mover: Mover | None = None
    places: frozenset[bytes] | None = None
    """What its next look has to read; None: the whole row."""
    seen: Store | None = None
    """A read that it has not judged yet."""
    in_hand: Map | None = None
    """A map that it made, and that may have lost its race."""
    writing: int = 0
    """1: a write to a row of shard 0 is under way; 2: and somebody else could answer since it was begun."""

    @property
    def held(self) -> dict[int, int]:
        """The shards that it has a grant of, each with its `since`."""
        return {} if self.applied is None else self.applied.held_by(self.name)

    @property
    def answers(self) -> frozenset[int]:
        """The shards of which it may answer."""
        if not self.lease:
            return frozenset()
        return frozenset(self.held) - frozenset(shard for shard, _ in (self.mover.grants if self.mover else ()))


class Left(NamedTuple):
    crashes: int
    stops: int
    raises: int
    moves: int
    restores: int


class State(NamedTuple):
    store: Store
    underway: frozenset[Call]
    lives: tuple[Life, ...]
    left: Left
    given: frozenset[tuple[int, int, str]] = frozenset()
    """(shard, since, incarnation) of all that were ever granted."""
    ended: frozenset[str] = frozenset()
    restored: tuple[int, ...] = ()
    """The newest beat of each node when the row was put back; empty: it was not, or it is long ago."""
    wrong: str | None = None


@lru_cache(maxsize=1 << 16)
def look_of(store: Store, places: frozenset[bytes] | None) -> Look:
    """A look at these places of the row; None: at all of it."""
    cells = {place: cell for place, cell in store.cells if places is None or place in places}
    root = MapRoot(store.map.version, "", "") if store.map.version else None
    return Look(ClusterRow(root, cells, {}), shipped_map(store.map), is_whole=places is None)


def put_life(state: State, me: int, life: Life) -> State:
    lives = state.lives
    return state._replace(lives=(*lives[:me], life, *lives[me + 1 :]))


def ends(stood: Cell | None, cell: Cell | None) -> frozenset[str]:
    """The incarnation that ends by this change of a place."""
    if not isinstance(stood, NodeCell):
        return frozenset()
    goes_on = isinstance(cell, NodeCell) and cell.incarnation == stood.incarnation and not cell.has_ended
    return frozenset() if goes_on else frozenset([stood.incarnation])


def checked(before: State, state: State) -> State:
    """`state` with what it remembers of owners, and with what is wrong in it."""
    wrong, given, lives = state.wrong, state.given, state.lives
    if lives != before.lives:
        wrong = wrong or _two_answer(lives)
        for was, now in zip(before.lives, lives, strict=True):
            if now.applied is not None and now.applied is not was.applied:
                kept, held = was.held if was.name == now.name else {}, now.held
                given |= {(shard, since, now.name) for shard, since in held.items()}
                if any(kept.get(shard) != since <= was.newest for shard, since in held.items()):
                    wrong = wrong or f"{now.name} is given a grant that it had or missed: its epochs begin anew"
        if any(life.writing == 1 for life in lives):
            lives = tuple(_overtaken(life, lives) for life in lives)
    store = state.store
    if store.map != before.store.map:
        owned = enumerate(zip(store.map.since, store.map.owners, strict=True))
        given |= {(shard, since, owner) for shard, (since, owner) in owned if owner}
    if given is not before.given and len({(shard, since) for shard, since, _ in given}) < len(given):
        wrong = wrong or f"two have one grant: {sorted(given)}"
    if store.cells != before.store.cells:
        alive = [cell.incarnation for _, cell in store.cells if not cell.has_ended]
        if len(set(alive)) < len(alive):
            wrong = wrong or f"an incarnation has two cells: {sorted(alive)}"
        if back := state.ended & set(alive):
            wrong = wrong or f"{sorted(back)} came back after the end"
    return state._replace(lives=lives, given=given, wrong=wrong)


def changes_wrongly(stood: Map, now: Map, by: str, ended: frozenset[str]) -> str | None:
    """What is wrong with a change of the map: a grant may change by its owner, or after its owner has ended."""
    if now.version <= stood.version:
        return f"the map's version goes from {stood.version} to {now.version}"
    if not {*now.owners, *now.moving_to} <= {*now.listed, ""}:
        return "somebody owns who is not listed"
    for shard, (owner, since) in enumerate(zip(stood.owners, stood.since, strict=True)):
        changes = (owner, since) != (now.owners[shard], now.since[shard])
        if changes and owner and owner != by and owner not in ended:
            return f"{by} changes the grant of {owner}, which lives"
    return None


def _two_answer(lives: tuple[Life, ...]) -> str | None:
    answering: dict[int, str] = {}
    for life in lives:
        for shard in life.answers:
            other = answering.setdefault(shard, life.name)
            if other != life.name:
                return f"{other} and {life.name} may answer for shard {shard} at once"
    return None


def _overtaken(life: Life, lives: tuple[Life, ...]) -> Life:
    is_overtaken = life.writing == 1 and any(other.name != life.name and 0 in other.answers for other in lives)
    return life._replace(writing=2) if is_overtaken else life


def name_map(value: Map) -> str:
    shards = (
        f"{owner or '-'}@{since}{'>' + target if target else ''}"
        for owner, since, target in zip(value.owners, value.since, value.moving_to, strict=True)
    )
    return f"map {value.version}: {' '.join(shards)} of {','.join(value.listed)}"


def name_cell(cell: Cell | None) -> str:
    if isinstance(cell, Map):
        return name_map(cell)
    if cell is None:
        return "nothing"
    return f"{cell.incarnation}/{cell.beat}{'' if cell.status == 'alive' else ' ' + cell.status}"


def name_call(call: Call) -> str:
    return f"[{name_cell(call.expected)} -> {name_cell(call.cell)}]"
