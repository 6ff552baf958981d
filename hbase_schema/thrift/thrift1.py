"""A Thrift1 gateway, for an operator's verbs: the schema's row, the doctor's probes, and what little it can of a table.

Of a family Thrift1 shows and sets what stands in ColumnDescriptor: no encoding, no block size. It cannot split.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.table_diff import LiveTable
from rowbox.hbase_schema.table_plan import Attributes, TablePlan
from rowbox.hbase_schema.thrift.calls import CREATE_TIMEOUT_MS, GatewayCalls
from rowbox.hbase_schema.thrift.connection import Address
from rowbox.hbase_schema.thrift.errors import HBaseRefused
from rowbox.hbase_schema.thrift.thrift1_client import (
    BatchMutation,
    ColumnDescriptor,
    Mutation,
    Thrift1Client,
    TScan,
    only_row,
)
from rowbox.mailbox.settings.config import HBaseSettings

_FIRST_KEY: Final = b"FirstKeyOnlyFilter()"


class Cell(NamedTuple):
    """A cell's value, and the timestamp it has in HBase."""

    value: bytes
    timestamp_ms: int


class Thrift1:
    """One table's rows and the cluster's tables, through one Thrift1 gateway. Raises as GatewayCalls."""

    def __init__(self, address: Address, table: str, settings: HBaseSettings) -> None:
        self._calls = GatewayCalls(address, Thrift1Client, settings)
        self._table = table.encode()
        self.name = self._calls.name

    def exists(self) -> bool:
        """Whether there is a table of that name."""
        return self._table in self._calls.call("getTableNames")

    def is_enabled(self) -> bool:
        """Whether the table can be read and written: the last thing that becomes true while it is made."""
        try:
            enabled: bool = self._calls.call("isTableEnabled", self._table)
        except HBaseRefused as error:
            if error.exception == "TableNotFoundException":
                return False
            raise
        return enabled

    def describe(self) -> LiveTable | None:
        """What Thrift1 shows of the table; None: there is none."""
        if not self.exists():
            return None
        descriptors = self._calls.call("getColumnDescriptors", self._table).values()
        regions = self._calls.call("getTableRegions", self._table)
        return LiveTable(families_of(descriptors), tuple(sorted(region.startKey for region in regions)))

    def create(self, plan: TablePlan) -> bool:
        """Makes the table in one region, with HBase's default encoding; False: there is one of that name already."""
        families = [_descriptor(family, attributes) for family, attributes in plan.families.items()]
        try:
            self._calls.call("createTable", self._table, families, writes=True, timeout_ms=CREATE_TIMEOUT_MS)
        except HBaseRefused as error:
            if error.exception in {"AlreadyExists", "TableExistsException"}:
                return False
            raise
        return True

    def first_row(self) -> bytes | None:
        """The least key in the table; None: it is empty."""
        scan = TScan(caching=1, filterString=_FIRST_KEY)
        scanner = self._calls.call("scannerOpenWithScan", self._table, scan, {})
        rows = self._calls.call("scannerGet", scanner)
        self._calls.call("scannerClose", scanner)
        return rows[0].row if rows else None

    def read(self, row: bytes, family: Family, qualifiers: Sequence[bytes]) -> dict[bytes, Cell]:
        """The named cells of a row that exist, by qualifier."""
        columns = [_column(family, qualifier) for qualifier in qualifiers]
        cells = self._calls.run(lambda client: only_row(client.getRowWithColumns(self._table, row, columns, {}), row))
        return {column.partition(b":")[2]: Cell(cell.value, cell.timestamp) for column, cell in cells.items()}

    def put(self, row: bytes, family: Family, qualifier: bytes, cell: Cell) -> None:
        """Writes one cell, with the timestamp it says, by the call that the store uses (mutateRowsTs)."""
        self._mutate(row, Mutation(column=_column(family, qualifier), value=cell.value), cell.timestamp_ms)

    def delete(self, row: bytes, family: Family, qualifier: bytes, timestamp_ms: int) -> None:
        """Hides the column's cells up to `timestamp_ms`."""
        self._mutate(row, Mutation(isDelete=True, column=_column(family, qualifier)), timestamp_ms)

    def _mutate(self, row: bytes, mutation: Any, timestamp_ms: int) -> None:
        batches = [BatchMutation(row=row, mutations=[mutation])]
        self._calls.call("mutateRowsTs", self._table, batches, timestamp_ms, {}, writes=True)

    def check_and_put(self, row: bytes, family: Family, qualifier: bytes, expected: bytes | None, value: bytes) -> bool:
        """Puts `value` iff the column holds `expected` (None: it is absent). May say False of its own success."""
        mutation = Mutation(column=_column(family, qualifier), value=value)
        did: bool = self._calls.call(
            "checkAndPut", self._table, row, _column(family, qualifier), expected, mutation, {}, writes=True
        )
        return did

    def close(self) -> None:
        """Gives the connection back."""
        self._calls.close()


def _column(family: Family, qualifier: bytes) -> bytes:
    return b"%s:%s" % (family.encode(), qualifier)


def _descriptor(family: Family, attributes: Attributes) -> Any:
    return ColumnDescriptor(
        name=_column(family, b""),
        maxVersions=int(attributes["VERSIONS"]),
        compression=attributes["COMPRESSION"],
        inMemory=attributes["IN_MEMORY"] == "true",
        bloomFilterType=attributes["BLOOMFILTER"],
        blockCacheEnabled=attributes["BLOCKCACHE"] == "true",
        timeToLive=int(attributes["TTL"]),
    )


def families_of(descriptors: Iterable[Any]) -> dict[str, Attributes]:
    """The families by their names, from what getColumnDescriptors answers."""
    return {descriptor.name.rstrip(b":").decode(): _attributes(descriptor) for descriptor in descriptors}


def _attributes(descriptor: Any) -> Attributes:
    return {
        "VERSIONS": str(descriptor.maxVersions),
        "COMPRESSION": _text(descriptor.compression),
        "IN_MEMORY": str(descriptor.inMemory).lower(),
        "BLOOMFILTER": _text(descriptor.bloomFilterType),
        "BLOCKCACHE": str(descriptor.blockCacheEnabled).lower(),
        "TTL": str(descriptor.timeToLive),
    }


def _text(value: bytes | str) -> str:
    """Bytes as they came; text where a default of the interface stands for what did not come."""
    return value if isinstance(value, str) else value.decode()
