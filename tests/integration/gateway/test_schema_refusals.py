"""What `rowbox schema` refuses: somebody else's table, another version, other settings. Nothing changes."""

from collections.abc import Iterator

import pytest

from rowbox.hbase_schema.families import SCHEMA_VERSION, Family
from rowbox.hbase_schema.keys import SCHEMA_ROW
from rowbox.hbase_schema.migrate.apply import apply, record
from rowbox.hbase_schema.migrate.migrations import MIGRATIONS, Migration, create_table
from rowbox.hbase_schema.migrate.table_admin import TableAdmin
from rowbox.hbase_schema.schema_row import VERSION_QUALIFIER, SchemaRow
from rowbox.hbase_schema.table_plan import TablePlan
from rowbox.hbase_schema.thrift.thrift1 import Cell
from rowbox.mailbox.errors import StoreUnusable, StoreVersionMismatch
from tests.integration.support.hbase_place import SHARDS, Place, place_on
from tests.support.hbase_cluster import HBase

pytestmark = pytest.mark.integration

SECOND = Migration("one more", (create_table,))


@pytest.fixture
def place(hbase: HBase) -> Iterator[Place]:
    with place_on(hbase) as place:
        yield place


def refused(place: Place, reason: str, *, store_shards: int = SHARDS) -> None:
    """`plan` and `apply` say so in one line and exit with 1; the table stays what it was."""
    before = place.live()
    for verb in ("plan", "apply"):
        result = place.rowbox("schema", verb, store_shards=store_shards)
        assert (result.exit_code, result.stdout) == (1, "")
        assert reason in result.stderr
        assert result.stderr.count("\n") == 1
    assert place.live() == before


def test_another_number_of_shards_is_refused(place: Place) -> None:
    with place.admin() as admin:
        apply(admin, place.plan())
    refused(place, "was made with 64 shards, the settings say 128", store_shards=128)
    assert place.schema() == SchemaRow(SCHEMA_VERSION, SHARDS)


def test_a_newer_version_is_refused(place: Place) -> None:
    with place.admin() as admin:
        apply(admin, place.plan(), {**MIGRATIONS, 2: SECOND})
    refused(place, "has schema version 2, this Rowbox knows 1: use a newer Rowbox")
    assert place.schema() == SchemaRow(2, SHARDS)


def without_outbox(plan: TablePlan) -> TablePlan:
    return plan._replace(families={family: plan.families[family] for family in Family if family is not Family.OUTBOX})


def with_three_versions(plan: TablePlan) -> TablePlan:
    return plan._replace(families={family: {**plan.families[family], "VERSIONS": "3"} for family in Family})


@pytest.mark.parametrize(
    ("change", "reason"),
    [(without_outbox, "family o: absent, planned present"), (with_three_versions, "m.VERSIONS: 3, planned 1")],
)
def test_a_table_that_somebody_else_made_is_refused(place: Place, change: object, reason: str) -> None:
    assert callable(change)
    with place.admin() as admin:
        admin.create(change(place.plan()))
    refused(place, reason)


def test_a_table_with_rows_and_without_a_schema_is_refused(place: Place) -> None:
    with place.admin() as admin:
        admin.create(place.plan())
        admin.thrift1.put(b"0001/alice", Family.INDEX, b"x", Cell(b"mail", 1))
    refused(place, "it holds rows")
    assert place.schema() is None


def test_of_two_that_apply_with_different_shards_the_second_stops(place: Place) -> None:
    """The other one runs between the last look of the first and its writing."""

    def other(admin: TableAdmin, _: TablePlan) -> None:
        apply(admin, place.plan(128))

    with place.admin() as admin, pytest.raises(StoreVersionMismatch, match="64"):
        apply(admin, place.plan(), {1: Migration("interrupted", (create_table, other))})
    assert place.schema() == SchemaRow(SCHEMA_VERSION, 128)


def test_a_table_that_somebody_else_made_meanwhile_is_not_marked_as_ours(place: Place) -> None:
    def somebody(admin: TableAdmin, plan: TablePlan) -> None:
        admin.create(without_outbox(plan))

    with place.admin() as admin, pytest.raises(StoreUnusable, match="family o: absent"):
        apply(admin, place.plan(), {1: Migration("interrupted", (somebody, create_table))})
    assert place.schema() is None


@pytest.mark.parametrize(
    ("expected", "reached", "reason"),
    [(None, SchemaRow(2, 128), "says shards 64, not 128"), (None, SchemaRow(2, SHARDS), "says version 1, not 2")],
)
def test_the_schema_row_is_not_overwritten_by_whoever_read_it_before_it_changed(
    place: Place, expected: int | None, reached: SchemaRow, reason: str
) -> None:
    with place.admin() as admin:
        apply(admin, place.plan())
        with pytest.raises(StoreVersionMismatch, match=reason):
            record(admin.thrift1, expected, reached)
    assert place.schema() == SchemaRow(SCHEMA_VERSION, SHARDS)


def test_a_version_cell_alone_does_not_read_back(place: Place) -> None:
    with place.admin() as admin:
        admin.create(place.plan())
        admin.thrift1.check_and_put(SCHEMA_ROW, Family.INDEX, VERSION_QUALIFIER, None, b"1")
    refused(place, "the schema's row does not read back")
