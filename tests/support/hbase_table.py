"""A table of Rowbox's schema on a real HBase, made for one test and dropped after it.

Not emptied and used again: a delete hides what is put later under an older timestamp, which is what tests of TTLs do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex

import happybase

from rowbox.hbase_schema.migrate.apply import apply
from rowbox.hbase_schema.migrate.table_admin import TableAdmin, first_thrift1, thrift2_at
from rowbox.hbase_schema.table_plan import plan_table
from rowbox.mailbox.settings.config import HBaseAddress, StoreSettings
from tests.support.hbase_cluster import HBase

_TIMEOUT_MS = 30_000


@contextmanager
def made_table(hbase: HBase, settings: StoreSettings, *, regions: int = 2) -> Iterator[HBaseAddress]:
    """Where the table is that `rowbox schema apply` makes of `settings`, under a prefix of its own."""
    address = hbase.address(f"test_{token_hex(6)}")
    speaking = hbase.settings(_TIMEOUT_MS)
    thrift1 = first_thrift1(address, speaking)
    admin = TableAdmin(address.table, thrift1, thrift2_at(hbase.thrift2, speaking))
    try:
        apply(admin, plan_table(address.table, settings, regions=regions))
        yield address
    finally:
        admin.close()
        drop_table(hbase, address.table)


def drop_table(hbase: HBase, table: str) -> None:
    connection = happybase.Connection(*hbase.gateways[0], timeout=_TIMEOUT_MS, **hbase.wire._asdict())
    try:
        connection.delete_table(table, disable=True)
    finally:
        connection.close()
