"""The row `meta/cluster` where the shards are shared among nodes: a cell for each incarnation, and the map's.

The cell of the map names one body, which holds the map itself (map_store.py). An older Rowbox wrote the owner of
everything there (`MapCell`); that is read as well.

A beat reads few of the places; whoever has to know all reads the whole row. A place that was not read is absent here:
what is said of an incarnation without a cell holds of a whole row only.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple, TypeVar

import msgspec

from rowbox.cacheserver.shardmap.cluster_state import MAP_PLACE, NODE_PREFIX, MapCell, NodeCell
from rowbox.cacheserver.stores.port import Column, Store
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import CLUSTER_ROW
from rowbox.mailbox.errors import StoreDamaged

_CellT = TypeVar("_CellT")


class MapRoot(msgspec.Struct, frozen=True):
    """The cell of the map. `body`: the qualifier of its bytes; `digest`: of these bytes (map_body.digest_of)."""

    version: int
    body: str
    digest: str


class _AnyMapCell(msgspec.Struct, frozen=True):
    version: int
    owner: str | None = None
    address: str = ""
    body: str | None = None
    digest: str = ""


class ClusterRow(NamedTuple):
    """What stood at one moment in the places that were read.

    A place is a qualifier. `cells` are the nodes' by place; `raw` holds every value as bytes: what a swap expects.
    """

    map: MapCell | MapRoot | None
    cells: Mapping[bytes, NodeCell]
    raw: Mapping[bytes, bytes]

    def place_of(self, incarnation: str) -> bytes | None:
        """The place of the incarnation's cell; None where it has none."""
        return next((place for place, cell in self.cells.items() if cell.incarnation == incarnation), None)

    def cell_of(self, incarnation: str) -> NodeCell | None:
        """The incarnation's cell; None where it has none."""
        return next((cell for cell in self.cells.values() if cell.incarnation == incarnation), None)

    def has_ended(self, incarnation: str) -> bool:
        """Of a whole row: whether an incarnation has ended, for ever. One without a cell has: its place was taken.

        Nobody is named in the map before its cell stands.
        """
        cell = self.cell_of(incarnation)
        return cell is None or cell.has_ended


class ClusterReader:
    """Reads and changes the row. Raises StoreUnavailable, and StoreDamaged where a cell does not decode."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def whole(self) -> ClusterRow:
        """The whole row, read at one moment."""
        return _row_of((await self._store.get_row(CLUSTER_ROW, (Family.INDEX,)))[Family.INDEX])

    async def named(self, places: Collection[bytes]) -> ClusterRow:
        """These places alone, read at one moment."""
        return _row_of(await self._store.get_columns(CLUSTER_ROW, Family.INDEX, sorted(places)))

    async def swap(self, row: ClusterRow, place: bytes, cell: NodeCell | MapRoot) -> None:
        """Puts `cell` iff its place, which was read, is still as in `row`. Nobody trusts the answer: read what stands.

        Raises StoreOutcomeUnknown, too.
        """
        value = msgspec.json.encode(cell)
        await self._store.compare_and_set(CLUSTER_ROW, Family.INDEX, place, row.raw.get(place), value)


def decode_map_cell(value: bytes) -> MapCell | MapRoot:
    """The map's cell, as this Rowbox or an older one wrote it. StoreDamaged where it is neither."""
    cell = _decoded(value, _AnyMapCell)
    if cell.body is not None:
        return MapRoot(cell.version, cell.body, cell.digest)
    if cell.owner is not None:
        return MapCell(cell.version, cell.owner, cell.address)
    raise StoreDamaged("the cluster's map names neither an owner nor a body")


def decode_node_cell(value: bytes) -> NodeCell:
    """A node's cell. StoreDamaged where it is none."""
    return _decoded(value, NodeCell)


def _row_of(columns: Collection[Column]) -> ClusterRow:
    raw = dict(columns)
    map_value = raw.get(MAP_PLACE)
    return ClusterRow(
        None if map_value is None else decode_map_cell(map_value),
        {place: decode_node_cell(value) for place, value in columns if place.startswith(NODE_PREFIX)},
        raw,
    )


def _decoded(value: bytes, kind: type[_CellT]) -> _CellT:
    try:
        return msgspec.json.decode(value, type=kind)
    except msgspec.DecodeError as error:
        raise StoreDamaged(f"the cluster's row does not read back: {error}") from error
