"""Who owns what, as the store holds it: one cell for each node, and the map cell, all in one row.

Every change is a compare-and-set whose answer nobody trusts: `swap_*` gives back what stands afterwards, and the caller
acts on that. Values are unique (an incarnation is random, its beats count up), so a cell that reads as written was
written.

    n <incarnation>   NodeCell    written by the node itself, each beat; by another one only to declare it dead
    map               MapCell     version + 1 with each change

All cells are JSON: an operator reads them in any shell.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, TypeVar

import msgspec

from rowbox.cacheserver.store import RowDelete, Store
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import CLUSTER_ROW
from rowbox.mailbox.errors import StoreDamaged

MAP_QUALIFIER = b"map"
NODE_PREFIX = b"n"
_CellT = TypeVar("_CellT")


class NodeCell(msgspec.Struct, frozen=True):
    """One incarnation of a node: one start of a process, or of its ownership after it was replaced. Never used again.

    `address` says to people where it runs.
    """

    incarnation: str
    beat: int
    status: Literal["alive", "stopped", "dead"]
    address: str


class MapCell(msgspec.Struct, frozen=True):
    """The incarnation that owns every shard, since `version`. `address` is for people."""

    version: int
    owner: str
    address: str


class ClusterState(NamedTuple):
    """What stood in the store at one moment. `raw` holds the values as bytes, by qualifier: what a swap expects."""

    map: MapCell | None
    nodes: Mapping[str, NodeCell]
    raw: Mapping[bytes, bytes]

    def has_ended(self, incarnation: str) -> bool:
        """Whether it has stopped or was declared dead: it can never renew its lease again.

        A cell that is not there was removed after its end: nobody is named in the map before its cell stands.
        """
        cell = self.nodes.get(incarnation)
        return cell is None or cell.status != "alive"

    def node_value(self, incarnation: str) -> bytes:
        """The bytes of a node's cell; b"" where there is none."""
        return self.raw.get(_node_qualifier(incarnation), b"")


class ClusterCells:
    """Reads and changes them. Errors are the store's: StoreUnavailable, StoreOutcomeUnknown (then read what stands)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self) -> ClusterState:
        """All of it, as of one moment. StoreDamaged for a cell that is none."""
        columns = (await self._store.get_row(CLUSTER_ROW, (Family.INDEX,)))[Family.INDEX]
        raw = dict(columns)
        nodes = [_decode(value, NodeCell) for qualifier, value in columns if qualifier.startswith(NODE_PREFIX)]
        map_value = raw.get(MAP_QUALIFIER)
        return ClusterState(
            None if map_value is None else _decode(map_value, MapCell), {cell.incarnation: cell for cell in nodes}, raw
        )

    async def swap_node(self, state: ClusterState, cell: NodeCell) -> ClusterState:
        """Puts `cell` iff the incarnation's cell is still as in `state`; in any case what stands afterwards."""
        return await self._swap(state, _node_qualifier(cell.incarnation), msgspec.json.encode(cell))

    async def swap_map(self, state: ClusterState, cell: MapCell) -> ClusterState:
        """As `swap_node`, for the map."""
        return await self._swap(state, MAP_QUALIFIER, msgspec.json.encode(cell))

    async def remove_nodes(self, incarnations: Iterable[str], timestamp_ms: int) -> None:
        """Removes cells of incarnations that have ended and that the map does not name."""
        columns = [(Family.INDEX, _node_qualifier(incarnation)) for incarnation in incarnations]
        await self._store.delete([RowDelete(CLUSTER_ROW, columns)], timestamp_ms)

    async def _swap(self, state: ClusterState, qualifier: bytes, value: bytes) -> ClusterState:
        await self._store.compare_and_set(CLUSTER_ROW, Family.INDEX, qualifier, state.raw.get(qualifier), value)
        return await self.read()


def _node_qualifier(incarnation: str) -> bytes:
    return NODE_PREFIX + incarnation.encode()


def _decode(value: bytes, kind: type[_CellT]) -> _CellT:
    try:
        return msgspec.json.decode(value, type=kind)
    except msgspec.DecodeError as error:
        raise StoreDamaged(f"the cluster's row does not read back: {error}") from error
