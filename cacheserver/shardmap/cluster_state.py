"""Who owns what, as the store holds it: a cell for each node that is alive, and the map's cell, all in one row.

Every change is a compare-and-set whose answer nobody trusts: `swap` gives back what stands afterwards, and the caller
judges that anew (judgement.py). Values are unique (an incarnation is random, its beats count up, map versions rise),
so a cell that reads as written was written, and a swap that expects a value which is gone never executes any more.

    n...    NodeCell    written by the node itself, each beat; by another one only to declare it dead
    map     MapCell     a higher version with each change

A node's cell is never removed. The next node that starts takes the place of one that has ended (docs/adr/0017). All
cells are JSON: an operator reads them in any shell.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from rowbox.cacheserver.stores.port import Store
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import CLUSTER_ROW
from rowbox.mailbox.errors import StoreDamaged

MAP_PLACE = b"map"
NODE_PREFIX = b"n"
ENDED: Final = frozenset({"stopped", "dead"})
"""The states in which an incarnation stays for ever. One in any other state lives, also in one that only a newer Rowbox
knows: whoever takes a living one for ended gives its shards two owners."""
_CellT = TypeVar("_CellT")


class NodeLoad(msgspec.Struct, frozen=True):
    """What a node does, for people: of the last ten seconds or so, but for `mailboxes`, which are in memory now.

    99 in 100 writing store calls took `commit_p99_ms` at most. `oldest_move_s`: for how long the map has asked it to
    give away a shard that it owns still.
    """

    sends_per_s: float = 0.0
    fetches_per_s: float = 0.0
    mailboxes: int = 0
    commit_p99_ms: float = 0.0
    oldest_move_s: float = 0.0


class NodeCell(msgspec.Struct, frozen=True):
    """One incarnation of a node: one start of a process, or of its ownership after it was replaced. Never used again.

    `address` says to people where it runs. `reaches_mail`: as of this beat it could read and write mailboxes.
    `clock_us`: the time by its clock when the beat was begun; 0: it does not say (peer_clocks.py).
    From `node_id` to `plan`: what a map lists of it (shard_map.py). Without a node id a map does not list it.
    `load`: what it does, as of this beat; None: it owns nothing, or does not say.
    `reaches_peers`: as of this beat, or some beat shortly before, it had links with half of the other servers at least;
    None: it does not say, as a Rowbox that knew nothing of this. Nobody leaves its shards to such a one alone.
    `features`: what it knows of what is switched on once all know it (features.py).
    """

    incarnation: str
    beat: int
    status: str
    address: str
    reaches_mail: bool = True
    clock_us: int = 0
    node_id: str = ""
    peer: str = ""
    url: str = ""
    weight: int = 100
    zone: str = ""
    standby: bool = False
    plan: int = 1
    load: NodeLoad | None = None
    reaches_peers: bool | None = None
    features: tuple[str, ...] = ()

    @property
    def lasting(self) -> "NodeCell":
        """The cell without what each beat may change: cells that say the same of the node are equal then."""
        return replace(self, beat=0, clock_us=0, load=None)

    @property
    def has_ended(self) -> bool:
        """Whether it has stopped or was declared dead: for ever."""
        return self.status in ENDED


class MapCell(msgspec.Struct, frozen=True):
    """The incarnation that owns every shard, since `version`. `address` is for people."""

    version: int
    owner: str
    address: str


class ClusterState(NamedTuple):
    """What stood in the store at one moment.

    A place is a qualifier. `cells` are the nodes' by place; `raw` holds every value as bytes: what a swap expects.
    """

    map: MapCell | None
    cells: Mapping[bytes, NodeCell]
    raw: Mapping[bytes, bytes]

    def place_of(self, incarnation: str) -> bytes | None:
        """The place of the incarnation's cell; None where it has none."""
        return next((place for place, cell in self.cells.items() if cell.incarnation == incarnation), None)

    def cell_of(self, incarnation: str) -> NodeCell | None:
        """The incarnation's cell; None where it has none."""
        return next((cell for cell in self.cells.values() if cell.incarnation == incarnation), None)

    def has_ended(self, incarnation: str) -> bool:
        """Whether an incarnation has stopped or was declared dead: for ever, and it never renews its lease again.

        One without a cell has ended too: another one took its place. Nobody is named in the map before its cell stands.
        """
        cell = self.cell_of(incarnation)
        return cell is None or cell.has_ended


class ClusterCells:
    """Reads and changes the cluster's cells. Raises StoreUnavailable; StoreOutcomeUnknown: read the state again."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self) -> ClusterState:
        """The whole state, read at one moment. StoreDamaged where a cell does not decode."""
        columns = (await self._store.get_row(CLUSTER_ROW, (Family.INDEX,)))[Family.INDEX]
        raw = dict(columns)
        map_value = raw.get(MAP_PLACE)
        return ClusterState(
            None if map_value is None else _decode(map_value, MapCell),
            {place: _decode(value, NodeCell) for place, value in columns if place.startswith(NODE_PREFIX)},
            raw,
        )

    async def swap(self, state: ClusterState, place: bytes, cell: NodeCell | MapCell) -> ClusterState:
        """Puts `cell` iff its place is still as in `state`. Returns what stands afterwards, whether it did or not."""
        expected, value = state.raw.get(place), msgspec.json.encode(cell)
        await self._store.compare_and_set(CLUSTER_ROW, Family.INDEX, place, expected, value)
        return await self.read()


def own_place(incarnation: str) -> bytes:
    """The place that an incarnation makes for itself where there is none to take over. No other makes it."""
    return NODE_PREFIX + incarnation.encode()


def _decode(value: bytes, kind: type[_CellT]) -> _CellT:
    try:
        return msgspec.json.decode(value, type=kind)
    except msgspec.DecodeError as error:
        raise StoreDamaged(f"the cluster's row does not read back: {error}") from error
