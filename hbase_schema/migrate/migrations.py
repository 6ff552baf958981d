"""Numbered migrations: what leads from one schema version to the next. Version 1 is the creation of the table.

A step may run twice, and beside the same step of another `apply`, and must then do no harm: an apply that died is
simply run again. A step never changes what an older Rowbox that still serves would misread.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from rowbox.hbase_schema.migrate.table_admin import TableAdmin
from rowbox.hbase_schema.table_plan import TablePlan

Step = Callable[[TableAdmin, TablePlan], None]


class Migration(NamedTuple):
    """What makes a version out of the one before it."""

    description: str
    steps: tuple[Step, ...]


def create_table(admin: TableAdmin, plan: TablePlan) -> None:
    """The table as planned, unless there is one."""
    admin.create(plan)


MIGRATIONS: Final[Mapping[int, Migration]] = {1: Migration("the table with its five families", (create_table,))}
"""By the version that each leads to, from 1 to SCHEMA_VERSION without a gap."""


def pending(stored: int | None, migrations: Mapping[int, Migration]) -> list[int]:
    """The versions still to be reached from the one that is stored (None: nothing is), in their order."""
    return sorted(version for version in migrations if version > (stored or 0))
