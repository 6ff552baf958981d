"""The port's writes as calls of Thrift1. Each runs in a thread of the pool, with a connection of its own.

`mutateRowsTs` puts, or deletes, columns of any number of rows, all under one timestamp; each row is atomic. Its cost in
Python is 1.3 us a cell, of which 0.8 make the objects below.
"""

from collections.abc import Sequence

from happybase.batch import BatchMutation, Mutation

from rowbox.cacheserver.store import RowDelete, RowMutation
from rowbox.cacheserver.stores.hbase_connection import GatewayClient
from rowbox.cacheserver.stores.hbase_reads import column_name
from rowbox.hbase_schema.families import Family


def put_rows(client: GatewayClient, table: bytes, mutations: Sequence[RowMutation], timestamp_ms: int) -> None:
    """Puts all columns: SYNC_WAL when it returns."""
    batches = [
        BatchMutation(
            row, [Mutation(column=column_name(family, qualifier), value=value) for family, qualifier, value in puts]
        )
        for row, puts in mutations
    ]
    client.mutateRowsTs(table, batches, timestamp_ms, {})


def delete_columns(client: GatewayClient, table: bytes, deletes: Sequence[RowDelete], timestamp_ms: int) -> None:
    """Marks exact columns as deleted up to `timestamp_ms`: SYNC_WAL too (docs/adr/0012)."""
    batches = [
        BatchMutation(row, [Mutation(isDelete=True, column=column_name(*column)) for column in columns])
        for row, columns in deletes
    ]
    client.mutateRowsTs(table, batches, timestamp_ms, {})


def put_if(
    client: GatewayClient,
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
