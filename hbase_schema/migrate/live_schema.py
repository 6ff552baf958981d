"""The schema that a cluster has now, in its table and its schema row: is it ours, and where is it not as planned?"""

from typing import NamedTuple

from rowbox.hbase_schema.families import SCHEMA_VERSION, Family
from rowbox.hbase_schema.keys import SCHEMA_ROW
from rowbox.hbase_schema.migrate.table_admin import TableAdmin
from rowbox.hbase_schema.schema_row import SCHEMA_QUALIFIERS, VERSION_QUALIFIER, SchemaRow, decode_schema_row
from rowbox.hbase_schema.table_diff import Difference, LiveTable, differences
from rowbox.hbase_schema.table_plan import TablePlan
from rowbox.hbase_schema.thrift.thrift1 import Thrift1
from rowbox.mailbox.errors import StoreUnusable, StoreVersionMismatch


class LiveSchema(NamedTuple):
    """What a look at the cluster found."""

    table: LiveTable | None
    """The table. None where there is none of that name."""
    schema: SchemaRow | None
    """The schema that was applied to the table. None where none was, or where an `apply` did not finish."""
    first_row: bytes | None
    """The least key of a table without a schema. None where the table is empty, or has a schema."""


def look(admin: TableAdmin) -> LiveSchema:
    """The table and its schema row as they are now. StoreDamaged where the schema row does not read back."""
    table = admin.describe()
    schema = read_schema(admin.thrift1) if table else None
    return LiveSchema(table, schema, admin.thrift1.first_row() if table and not schema else None)


def read_schema(thrift1: Thrift1) -> SchemaRow | None:
    """The schema that the table was made with. None where its row has no version, as after an unfinished `apply`."""
    cells = thrift1.read(SCHEMA_ROW, Family.INDEX, SCHEMA_QUALIFIERS)
    if VERSION_QUALIFIER not in cells:
        return None
    return decode_schema_row((qualifier, cell.value) for qualifier, cell in cells.items())


def require_ours(plan: TablePlan, live: LiveSchema, newest_version: int = SCHEMA_VERSION) -> None:
    """Raises unless `apply` may go on: there is no table, one with Rowbox's schema, or one that `apply` began to make.

    StoreVersionMismatch where the table is of a newer version or has another number of shards. StoreUnusable where it
    holds another program's rows, or could not keep mailboxes as planned.
    """
    if live.table is None:
        return
    if live.schema is None:
        _require_begun(plan, live, live.table)
        return
    version, shards = live.schema
    if version > newest_version:
        raise StoreVersionMismatch(
            f"table {plan.table} has schema version {version}, this Rowbox knows {newest_version}: use a newer Rowbox"
        )
    if shards != plan.shards:
        raise StoreVersionMismatch(
            f"table {plan.table} was made with {shards} shards, the settings say {plan.shards}; a table keeps its "
            f"number for life: set store.shards = {shards}"
        )


def _require_begun(plan: TablePlan, live: LiveSchema, table: LiveTable) -> None:
    wrong = [str(difference) for difference in differences(plan, table) if difference.is_essential]
    if not wrong and live.first_row in {None, SCHEMA_ROW}:  # SCHEMA_ROW: another apply writes it at this moment
        return
    reason = "; ".join(wrong) or "it holds rows"
    raise StoreUnusable(
        f"table {plan.table} has no schema of Rowbox and is not one that apply made ({reason}): it is left as it is; "
        f"choose another prefix, or drop the table"
    )


def deviations(plan: TablePlan, live: LiveSchema) -> list[Difference]:
    """Everything in which the table and its schema row differ from the plan and from the version that this Rowbox
    needs.
    """
    if live.table is None:
        return [Difference("table", "absent", "present", is_essential=True)]
    found = differences(plan, live.table)
    if live.schema is None:
        return [Difference("schema", "absent", f"version {SCHEMA_VERSION}", is_essential=True), *found]
    needed = {"schema version": SCHEMA_VERSION, "shards": plan.shards}
    stands = zip(needed.items(), live.schema, strict=True)
    wrong = [(name, was, wanted) for (name, wanted), was in stands if was != wanted]
    return [Difference(name, str(was), str(wanted), is_essential=True) for name, was, wanted in wrong] + found
