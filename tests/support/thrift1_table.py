"""What a Thrift1 gateway does for `rowbox schema` and `rowbox doctor`, over a table in memory: no HBase is needed.

Made to be lied about (scripted_gateway.replying_gateway); whether a real gateway acts like this is tested on one.
"""
# Thrift's names of calls:
# ruff: noqa: N802

from importlib import import_module
from time import time_ns
from typing import Any

from happybase.connection import Hbase

from rowbox.hbase_schema.thrift.thrift2 import _IDL

_THRIFT1 = import_module("Hbase_thrift")
"""A module that thriftpy2 makes of HBase's interface definition: no import that a type checker could follow."""

THRIFT1_SERVICE: Any = type(
    "Thrift1",
    (),
    {
        **vars(Hbase),
        **vars(_IDL.Identity),
        "thrift_services": [*Hbase.thrift_services, *_IDL.Identity.thrift_services],
    },
)
"""Thrift1, with the two calls by which a gateway says what it is: HBase has them, happybase's definition does not."""


class Thrift1Table:
    """The calls. Cells have one version, the newest; a delete hides later puts that are not newer, as in HBase."""

    def __init__(self) -> None:
        self.name: bytes | None = None
        self.families: dict[bytes, Any] = {}
        self.cells: dict[bytes, dict[bytes, Any]] = {}
        self.deleted: dict[tuple[bytes, bytes], int] = {}
        """Up to which timestamp a row's column is."""

    def getThriftServerType(self) -> int:
        return 1

    def getClusterId(self) -> str:
        return "a cluster"

    def getTableNames(self) -> list[bytes]:
        return [] if self.name is None else [self.name]

    def isTableEnabled(self, _table: bytes) -> bool:
        return self.name is not None

    def createTable(self, table: bytes, families: list[Any]) -> None:
        self.name = table
        self.families = {family.name: family for family in families}

    def getColumnDescriptors(self, _table: bytes) -> dict[bytes, Any]:
        return self.families

    def getTableRegions(self, _table: bytes) -> list[Any]:
        return [_THRIFT1.TRegionInfo(startKey=b"", endKey=b"", id=1, name=b"r", version=1, serverName=b"s", port=1)]

    def getRowWithColumns(self, _table: bytes, row: bytes, columns: list[bytes], _attributes: Any) -> list[Any]:
        found = {name: cell for name, cell in self.cells.get(row, {}).items() if name in columns}
        return [_THRIFT1.TRowResult(row=row, columns=found)] if found else []

    def mutateRowsTs(self, _table: bytes, batches: list[Any], timestamp: int, _attributes: Any) -> None:
        for batch in batches:
            for mutation in batch.mutations:
                self._mutate(batch.row, mutation, timestamp)

    def _mutate(self, row: bytes, mutation: Any, timestamp: int) -> None:
        cells, column = self.cells.setdefault(row, {}), mutation.column
        if mutation.isDelete:
            self.deleted[row, column] = max(timestamp, self.deleted.get((row, column), 0))
        elif column not in cells or cells[column].timestamp <= timestamp:
            cells[column] = _THRIFT1.TCell(value=mutation.value, timestamp=timestamp)
        if column in cells and cells[column].timestamp <= self.deleted.get((row, column), 0):
            del cells[column]

    def checkAndPut(
        self, _table: bytes, row: bytes, column: bytes, expected: bytes | None, mutation: Any, _attributes: Any
    ) -> bool:
        stands = self.cells.get(row, {}).get(column)
        if (stands.value if stands else None) != expected:
            return False
        self._mutate(row, mutation, time_ns() // 1_000_000)
        return True

    def scannerOpenWithScan(self, _table: bytes, _scan: Any, _attributes: Any) -> int:
        return 1

    def scannerGet(self, _scanner: int) -> list[Any]:
        rows = sorted(row for row, cells in self.cells.items() if cells)
        return [_THRIFT1.TRowResult(row=rows[0], columns=self.cells[rows[0]])] if rows else []

    def scannerClose(self, _scanner: int) -> None:
        pass
