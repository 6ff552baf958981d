"""The port's reads as calls of Thrift1. Each runs in a thread of the pool, with a connection of its own.

A row is read by a Get: one round trip. A range of one row needs a filter, which only scans have: two round trips, one
to open the scanner and one for its rows and its closing together.

Every reply must be about the row that was asked for. Scans name the column family without its colon: `m:` would be the
empty qualifier.
"""

from collections.abc import Sequence
from typing import Any

from rowbox.cacheserver.stores.port import Column, Part, part_of
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import after
from rowbox.hbase_schema.thrift.sequenced import CrossedReply
from rowbox.hbase_schema.thrift.thrift1_client import Thrift1Client, TScan, only_row

_NAME_START = 2
"""Where the qualifier begins in a column's name: a family is one letter, and then comes the colon."""
_KEYS_ONLY = b" AND KeyOnlyFilter()"
PIECE_COLUMNS = 16
"""Columns in a piece of a range that is bounded in bytes: 16 messages of 64 KiB are 1 MiB."""


def column_name(family: Family, qualifier: bytes) -> bytes:
    """`qualifier` of `family`, as Thrift1 names columns."""
    return family.encode() + b":" + qualifier


def get_row(client: Thrift1Client, table: bytes, row: bytes, families: Sequence[Family]) -> dict[Family, list[Column]]:
    """All columns of `families`, of which there is at least one."""
    replied = client.getRowWithColumns(table, row, [family.encode() for family in families], {})
    found: dict[Family, list[Column]] = {family: [] for family in families}
    by_letter = {family.encode(): columns for family, columns in found.items()}
    for name, cell in only_row(replied, row).items():
        by_letter[name[:1]].append((name[_NAME_START:], cell.value))
    for columns in found.values():
        columns.sort()  # a map of Thrift has no order
    return found


def get_row_within(
    client: Thrift1Client, table: bytes, row: bytes, families: Sequence[Family], most: int
) -> dict[Family, list[Column]] | None:
    """As `get_row`; None where the row has more than `most` (at least one) columns. A scan: a Get has no limit."""
    rows = _scanned(client, table, row, after(row), families, 1, None, columns_of_row=most + 1)
    found: dict[Family, list[Column]] = {family: [] for family in families}
    by_letter = {family.encode(): columns for family, columns in found.items()}
    cells = rows[0].sortedColumns if rows else []
    for cell in cells:
        by_letter[cell.columnName[:1]].append((cell.columnName[_NAME_START:], cell.cell.value))
    return found if len(cells) <= most else None


def get_columns(
    client: Thrift1Client, table: bytes, row: bytes, family: Family, qualifiers: Sequence[bytes]
) -> list[Column]:
    """The columns of those `qualifiers` that exist, ascending. `qualifiers` must not be empty."""
    names = [column_name(family, qualifier) for qualifier in qualifiers]
    replied = client.getRowWithColumns(table, row, names, {})
    return sorted((name[_NAME_START:], cell.value) for name, cell in only_row(replied, row).items())


def get_range(
    client: Thrift1Client,
    table: bytes,
    row: bytes,
    family: Family,
    start: bytes,
    stop: bytes,
    limit: int,
    *,
    keys_only: bool,
) -> list[Column]:
    """The first `limit` (at least one) columns from `start` to before `stop`."""
    condition = _range_condition(start, stop, limit)
    rows = _scanned(client, table, row, after(row), (family,), 1, condition + _KEYS_ONLY if keys_only else condition)
    return _columns(rows[0]) if rows else []


def get_part(
    client: Thrift1Client,
    table: bytes,
    row: bytes,
    family: Family,
    start: bytes,
    stop: bytes,
    *,
    limit: int,
    limit_bytes: int,
) -> Part:
    """The beginning of a range of one row, as StoreReader.get_part has it.

    Thrift1 knows no limit in bytes. So the row comes in pieces of PIECE_COLUMNS (a scan's batch size): one first, then
    as many at once as those before suggest, four times as many at most; what is beyond the limit stays behind. A range
    that fits into one piece takes two round trips, as get_range does, and one of 200 small columns four.
    """
    most = limit + 1  # one more says where it goes on
    asked = TScan(
        startRow=row,
        stopRow=after(row),
        columns=[family.encode()],
        caching=-(-most // PIECE_COLUMNS),
        filterString=_range_condition(start, stop, most),
        batchSize=min(most, PIECE_COLUMNS),
        sortColumns=True,
    )
    scanner = client.scannerOpenWithScan(table, asked, {})
    found: list[Column] = []
    size_bytes, pieces = 0, 1
    while True:
        is_last = len(found) + pieces * PIECE_COLUMNS >= most
        rows = client.last_rows(scanner, pieces) if is_last else client.scannerGetList(scanner, pieces)
        if any(piece.row != row for piece in rows):
            raise CrossedReply("another row than was asked for")
        columns = [column for piece in rows for column in _columns(piece)]
        found += columns
        size_bytes += sum(len(value) for _, value in columns)
        is_over = len(columns) < pieces * PIECE_COLUMNS or size_bytes > limit_bytes
        if is_over and not is_last:
            client.scannerClose(scanner)
        if is_over or is_last:
            return part_of(found, limit, limit_bytes)
        fitting = (limit_bytes - size_bytes) * len(found) // max(1, size_bytes)
        pieces = min(-(-min(fitting + 1, most - len(found)) // PIECE_COLUMNS), 4 * len(found) // PIECE_COLUMNS)


def scan(
    client: Thrift1Client, table: bytes, start: bytes, stop: bytes, family: Family, limit: int
) -> list[tuple[bytes, list[Column]]]:
    """The first `limit` (at least one) rows from `start` to before `stop` with all their columns of `family`."""
    return [(found.row, _columns(found)) for found in _scanned(client, table, start, stop, (family,), limit, None)]


def scan_rows(
    client: Thrift1Client, table: bytes, start: bytes, stop: bytes, family: Family, limit: int
) -> list[bytes]:
    """The keys of the first `limit` (at least one) rows from `start` to before `stop` with columns of `family`."""
    condition = b"FirstKeyOnlyFilter()" + _KEYS_ONLY
    return [found.row for found in _scanned(client, table, start, stop, (family,), limit, condition)]


def _scanned(
    client: Thrift1Client,
    table: bytes,
    start: bytes,
    stop: bytes,
    families: Sequence[Family],
    limit: int,
    condition: bytes | None,
    *,
    columns_of_row: int | None = None,
) -> list[Any]:
    """The rows of one scan, each read as of one moment, and whole: without a batch size no row is cut.

    With `columns_of_row`, which is such a size, each of the `limit` results is the next piece of a row.
    """
    asked = TScan(
        startRow=start,
        stopRow=stop,
        columns=[family.encode() for family in families],
        caching=limit,
        filterString=condition,
        batchSize=columns_of_row,
        sortColumns=True,
    )
    scanner = client.scannerOpenWithScan(table, asked, {})
    rows = client.last_rows(scanner, limit)
    if not all(start <= found.row < stop for found in rows):
        raise CrossedReply("rows outside of what was scanned")
    return rows


def _range_condition(start: bytes, stop: bytes, limit: int) -> bytes:
    """The filter of a range of columns: its first `limit` ones."""
    bounds = (_quoted(start), _quoted(stop), limit)
    return b"ColumnRangeFilter(%b, true, %b, false) AND ColumnPaginationFilter(%d, 0)" % bounds


def _quoted(bound: bytes) -> bytes:
    """A value in a filter's text."""
    return b"'" + bound.replace(b"'", b"''") + b"'"


def _columns(found: Any) -> list[Column]:
    return [(column.columnName[_NAME_START:], column.cell.value) for column in found.sortedColumns]
