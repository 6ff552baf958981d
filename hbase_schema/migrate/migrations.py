"""Numbered migrations, each from one schema version to the next. Version 1 is the creation of the table.

A step may run twice, and beside the same step of another `apply`, because an `apply` that died is simply run again; it
must then do no harm. A step never writes anything that an older Rowbox, which may still serve, would misread.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from rowbox.hbase_schema.migrate.table_admin import TableAdmin
from rowbox.hbase_schema.table_plan import TablePlan

Step = Callable[[TableAdmin, TablePlan], None]


class Migration(NamedTuple):
    """The steps that lead to a version from the one before it."""

    description: str
    steps: tuple[Step, ...]


def create_table(admin: TableAdmin, plan: TablePlan) -> None:
    """Makes the table as planned, unless there is one."""
    admin.create(plan)


MIGRATIONS: Final[Mapping[int, Migration]] = {1: Migration("the table with its five families", (create_table,))}
"""The migrations, by the version that each leads to, from 1 to SCHEMA_VERSION without a gap."""


def pending(stored: int | None, migrations: Mapping[int, Migration]) -> list[int]:
    """The versions still to be reached, in their order. `stored` is the table's version, None where it has none."""
    return sorted(version for version in migrations if version > (stored or 0))
