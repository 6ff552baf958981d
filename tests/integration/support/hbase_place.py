"""A name of its own on the shared HBase, for tests that make tables: what they made is dropped in the end."""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

import happybase
from click.testing import CliRunner, Result

from rowbox.cli.main import main
from rowbox.hbase_schema.migrate.live_schema import read_schema
from rowbox.hbase_schema.migrate.table_admin import TableAdmin, thrift2_at
from rowbox.hbase_schema.schema_row import SchemaRow
from rowbox.hbase_schema.table_diff import LiveTable
from rowbox.hbase_schema.table_plan import TablePlan, plan_table
from rowbox.hbase_schema.thrift.thrift1 import Thrift1
from rowbox.mailbox.settings.config import StoreSettings
from tests.support.hbase_cluster import RUNNING, HBase

SHARDS = 64
TIMEOUT_MS = 20_000


class Place(NamedTuple):
    """A prefix that nobody else uses."""

    hbase: HBase
    prefix: str

    @property
    def table(self) -> str:
        return self.hbase.address(self.prefix).table

    def plan(self, shards: int = SHARDS) -> TablePlan:
        """Three regions: few are made faster than many."""
        return plan_table(self.table, StoreSettings(shards=shards), regions=2)

    def rowbox(self, *arguments: str, thrift2: str | None = None, **settings: str | int) -> Result:
        """Runs `rowbox` against the place; `settings` are ROWBOX_* variables, in small letters."""
        wire = {f"hbase_{name}": value for name, value in self.hbase.wire._asdict().items()}
        given = {"store_shards": SHARDS, "hbase_call_timeout_ms": TIMEOUT_MS, **wire, **settings}
        environment = {f"ROWBOX_{name.upper()}": str(value) for name, value in given.items()}
        unset = {RUNNING: None}  # the tests' own, and no setting
        second = thrift2 or "{}:{}".format(*self.hbase.thrift2)
        command = [*arguments, "--store", self.hbase.url(self.prefix), "--thrift2", second]
        return CliRunner().invoke(main, command, env={**environment, **unset})

    @contextmanager
    def admin(self, *, thrift1_only: bool = False) -> Iterator[TableAdmin]:
        thrift1 = Thrift1(self.hbase.gateways[0], self.table, self.hbase.settings(TIMEOUT_MS))
        thrift2 = None if thrift1_only else thrift2_at(self.hbase.thrift2, self.hbase.settings(TIMEOUT_MS))
        with closing(TableAdmin(self.table, thrift1, thrift2)) as admin:
            yield admin

    def live(self) -> LiveTable | None:
        """The table as it stands now."""
        with self.admin() as admin:
            return admin.describe()

    def schema(self) -> SchemaRow | None:
        """What the table says it was made with."""
        with self.admin() as admin:
            return read_schema(admin.thrift1)


@contextmanager
def place_on(hbase: HBase) -> Iterator[Place]:
    place = Place(hbase, f"schema_{secrets.token_hex(4)}")
    yield place
    host, port = hbase.gateways[0]
    with closing(happybase.Connection(host, port, timeout=TIMEOUT_MS, **hbase.wire._asdict())) as connection:
        if place.table.encode() in connection.tables():
            connection.delete_table(place.table, disable=True)
