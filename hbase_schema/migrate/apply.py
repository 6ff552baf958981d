"""Brings a cluster to the planned schema: runs the migrations that are missing, and records each when it is done.

`apply` is idempotent, and safe beside another `apply`. It never alters an existing table to match the plan: `verify`
says what differs, and the operator decides.
"""

from collections.abc import Mapping

from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import SCHEMA_ROW
from rowbox.hbase_schema.migrate.live_schema import look, require_ours
from rowbox.hbase_schema.migrate.migrations import MIGRATIONS, Migration, pending
from rowbox.hbase_schema.migrate.table_admin import TableAdmin
from rowbox.hbase_schema.schema_row import SHARDS_QUALIFIER, VERSION_QUALIFIER, SchemaRow
from rowbox.hbase_schema.table_plan import TablePlan
from rowbox.hbase_schema.thrift.thrift1 import Thrift1
from rowbox.mailbox.errors import StoreVersionMismatch


def apply(admin: TableAdmin, plan: TablePlan, migrations: Mapping[int, Migration] = MIGRATIONS) -> list[int]:
    """Runs the missing migrations. Returns the versions that were reached; none where all was done already.

    Errors as of `require_ours`, with nothing changed. After StoreUnavailable or StoreOutcomeUnknown it can be run
    again.
    """
    newest = max(migrations)
    live = look(admin)
    require_ours(plan, live, newest)
    stored = live.schema.version if live.schema else None
    versions = pending(stored, migrations)
    for version in versions:
        for step in migrations[version].steps:
            step(admin, plan)
        require_ours(plan, look(admin), newest)  # another apply, or another program, may have made the table
        record(admin.thrift1, stored, SchemaRow(version, plan.shards))
        stored = version
    return versions


def record(thrift1: Thrift1, stored: int | None, reached: SchemaRow) -> None:
    """Writes the schema row. StoreVersionMismatch where it changed since `stored` was read.

    The number of shards is written first. A row without a version counts as none, so no server uses a row that is half
    written. Two processes that apply at once with different numbers of shards meet at that cell, and one of them stops.
    """
    _compare_and_set(thrift1, SHARDS_QUALIFIER, None, reached.shards)
    _compare_and_set(thrift1, VERSION_QUALIFIER, stored, reached.version)


def _compare_and_set(thrift1: Thrift1, qualifier: bytes, expected: int | None, value: int) -> None:
    """Sets the cell, and judges by reading it back: checkAndPut may report a failure where it wrote, and the cell may
    hold `value` already. StoreVersionMismatch where it holds another.
    """
    old = None if expected is None else b"%d" % expected
    thrift1.check_and_put(SCHEMA_ROW, Family.INDEX, qualifier, old, b"%d" % value)
    cell = thrift1.read(SCHEMA_ROW, Family.INDEX, [qualifier]).get(qualifier)
    stands = cell.value.decode() if cell else "nothing"
    if stands != str(value):
        raise StoreVersionMismatch(
            f"the schema row says {qualifier.decode()} {stands}, not {value}: another apply ran at the same time, or "
            f"began with other settings and did not finish; compare the settings, then see: rowbox schema plan"
        )
