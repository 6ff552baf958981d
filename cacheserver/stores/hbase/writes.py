"""The port's writes as calls of Thrift1. Each runs in a thread of the pool, with a connection of its own.

`mutateRowsTs` puts, or deletes, columns of any number of rows, all under one timestamp; each row is atomic. Its cost in
Python is 1.3 us a cell, of which 0.8 make the objects below.

A framed gateway ends the connection at a request that is larger than its frames. So there what is written goes in
several requests where it has to, each of whole rows: no row is split, and the port promises nothing between rows.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from rowbox.cacheserver.stores.hbase.reads import column_name
from rowbox.cacheserver.stores.port import RowDelete, RowMutation
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.thrift.thrift1_client import BatchMutation, Mutation, Thrift1Client
from rowbox.mailbox.errors import StoreUnavailable

CALL_BYTES: Final = 256
"""Bytes of a request beside the table's name and the rows, counted generously for either protocol."""
ROW_BYTES: Final = 32
"""Bytes of a row beside its key."""
CELL_BYTES: Final = 40
"""Bytes of a cell beside its names and its value."""


def put_rows(
    client: Thrift1Client,
    table: bytes,
    mutations: Sequence[RowMutation],
    timestamp_ms: int,
    most_bytes: int | None = None,
) -> None:
    """Puts all columns, durably (SYNC_WAL). `most_bytes`: of the largest request; None: no bound.

    StoreUnavailable: a row alone is larger than a request may be; nothing was sent.
    """
    batches = [
        BatchMutation(
            row, [Mutation(column=column_name(family, qualifier), value=value) for family, qualifier, value in puts]
        )
        for row, puts in mutations
    ]
    _mutate(client, table, batches, timestamp_ms, most_bytes)


def delete_columns(
    client: Thrift1Client,
    table: bytes,
    deletes: Sequence[RowDelete],
    timestamp_ms: int,
    most_bytes: int | None = None,
) -> None:
    """Marks exact columns as deleted up to `timestamp_ms`: SYNC_WAL (docs/adr/0012). `most_bytes` as in put_rows."""
    batches = [
        BatchMutation(row, [Mutation(isDelete=True, column=column_name(*column)) for column in columns])
        for row, columns in deletes
    ]
    _mutate(client, table, batches, timestamp_ms, most_bytes)


def _mutate(client: Thrift1Client, table: bytes, batches: list[Any], timestamp_ms: int, most_bytes: int | None) -> None:
    if most_bytes is None:
        client.mutateRowsTs(table, batches, timestamp_ms, {})
        return
    for request in list(_requests(batches, most_bytes - CALL_BYTES - len(table))):  # all of them fit, or none is sent
        client.mutateRowsTs(table, request, timestamp_ms, {})


def _requests(batches: list[Any], most_bytes: int) -> Iterator[list[Any]]:
    request: list[Any] = []
    size_bytes = 0
    for batch in batches:
        row_bytes = _row_bytes(batch)
        if row_bytes > most_bytes:
            text = "a write to one row takes {:,} bytes, and hbase.frame_bytes leaves {:,}: raise it, and the gateways'"
            raise StoreUnavailable(text.format(row_bytes, most_bytes) + " max_frame_size_in_mb with it")
        if request and size_bytes + row_bytes > most_bytes:
            yield request
            request, size_bytes = [], 0
        request.append(batch)
        size_bytes += row_bytes
    yield request


def _row_bytes(batch: Any) -> int:
    cells = sum(CELL_BYTES + len(mutation.column) + len(mutation.value or b"") for mutation in batch.mutations)
    return ROW_BYTES + len(batch.row) + cells


def put_if(
    client: Thrift1Client,
    table: bytes,
    row: bytes,
    family: Family,
    qualifier: bytes,
    expected: bytes | None,
    value: bytes,
) -> bool:
    """Puts one column, at the region server's time, iff it holds `expected` (None: it is absent)."""
    column = column_name(family, qualifier)
    replied: bool = client.checkAndPut(table, row, column, expected, Mutation(column=column, value=value), {})
    return replied
