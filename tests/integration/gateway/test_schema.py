"""The schema on a real HBase: made once, migrated, verified, never altered."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import orjson
import pytest

from rowbox.hbase_schema.families import SCHEMA_VERSION, Family
from rowbox.hbase_schema.keys import SCHEMA_ROW
from rowbox.hbase_schema.migrate.apply import apply
from rowbox.hbase_schema.migrate.live_schema import look, read_schema
from rowbox.hbase_schema.migrate.migrations import Migration, create_table
from rowbox.hbase_schema.migrate.table_admin import TableAdmin
from rowbox.hbase_schema.schema_row import SHARDS_QUALIFIER, SchemaRow
from rowbox.hbase_schema.table_plan import TablePlan
from rowbox.mailbox.errors import StoreUnavailable
from tests.integration.support.hbase_place import SHARDS, Place, place_on
from tests.support.alone import own_port
from tests.support.hbase_cluster import HBase

pytestmark = pytest.mark.integration


@pytest.fixture
def place(hbase: HBase) -> Iterator[Place]:
    with place_on(hbase) as place:
        yield place


# ---- made, and made once ---------------------------------------------------------------------------------------------


def test_apply_makes_the_table_as_planned_and_a_second_one_does_nothing(place: Place) -> None:
    first = place.rowbox("schema", "apply", "--regions", "2")
    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout.splitlines() == [
        "Version 1: the table with its five families.",
        f"Table {place.table} (64 shards, 3 regions) is as planned.",
    ]
    made = place.live()
    assert made is not None
    assert made.region_starts == (b"", b"0020/", b"meta/")
    assert {family: made.families[family]["TTL"] for family in Family} == {
        Family.INDEX: "2147483647",
        Family.MESSAGES: "31536000",
        Family.LOG: "691200",
        Family.DEDUPE: "604800",
        Family.OUTBOX: "2147483647",
    }
    for family, planned in place.plan().families.items():
        assert planned.items() <= made.families[family].items()
    assert place.schema() == SchemaRow(SCHEMA_VERSION, SHARDS)

    second = place.rowbox("schema", "apply")
    assert (second.exit_code, second.stdout) == (0, f"Table {place.table} (64 shards, 3 regions) is as planned.\n")
    assert place.live() == made
    assert place.rowbox("schema", "verify").exit_code == 0


def test_plan_changes_nothing(place: Place) -> None:
    result = place.rowbox("schema", "plan", "--regions", "2")
    assert result.exit_code == 0
    assert f"Table {place.table} is not there. `apply` makes it, in 3 regions:" in result.stdout
    assert place.live() is None


def test_a_compression_that_the_operator_chose_is_no_difference(place: Place) -> None:
    assert place.rowbox("schema", "apply", "--regions", "1", "--compression", "gz").exit_code == 0
    live = place.live()
    assert live is not None
    assert {attributes["COMPRESSION"] for attributes in live.families.values()} == {"GZ"}
    assert place.rowbox("schema", "verify").exit_code == 0


def test_two_that_apply_at_once_both_succeed_and_make_one_table(place: Place) -> None:
    start = Barrier(2)

    def applied(_: int) -> list[int]:
        with place.admin() as admin:
            start.wait(timeout=10)
            return apply(admin, place.plan())

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(applied, range(2)))
    assert [1] in done
    assert place.schema() == SchemaRow(SCHEMA_VERSION, SHARDS)


def test_an_apply_that_died_before_its_last_step_is_finished_by_the_next(place: Place) -> None:
    with place.admin() as admin:
        admin.create(place.plan())
        admin.thrift1.check_and_put(SCHEMA_ROW, Family.INDEX, SHARDS_QUALIFIER, None, b"%d" % SHARDS)
        assert read_schema(admin.thrift1) is None
        assert apply(admin, place.plan()) == [1]
    assert place.schema() == SchemaRow(SCHEMA_VERSION, SHARDS)


# ---- migrations ------------------------------------------------------------------------------------------------------


def test_a_second_migration_runs_alone_and_again_after_it_failed(place: Place) -> None:
    ran: list[str] = []
    failures = [StoreUnavailable("the gateway went away")]

    def creation(admin: TableAdmin, plan: TablePlan) -> None:
        ran.append("creation")
        create_table(admin, plan)

    def fragile(admin: TableAdmin, _: TablePlan) -> None:
        assert read_schema(admin.thrift1) == SchemaRow(1, SHARDS), "the version before is recorded first"
        ran.append("second")
        if failures:
            raise failures.pop()

    migrations = {2: Migration("a second", (fragile,)), 1: Migration("the first", (creation,))}
    with place.admin() as admin:
        with pytest.raises(StoreUnavailable):
            apply(admin, place.plan(), migrations)
        assert read_schema(admin.thrift1) == SchemaRow(1, SHARDS)
        assert apply(admin, place.plan(), migrations) == [2]
        assert apply(admin, place.plan(), migrations) == []
        assert look(admin).schema == SchemaRow(2, SHARDS)
    assert ran == ["creation", "second", "second"]


# ---- what differs ----------------------------------------------------------------------------------------------------


def test_settings_that_changed_are_reported_and_the_table_is_not_altered(place: Place) -> None:
    assert place.rowbox("schema", "apply", "--regions", "1").exit_code == 0
    before = place.live()
    for verb in ("verify", "apply"):
        result = place.rowbox("schema", verb, store_retention_ms="90d")
        assert result.exit_code == 1
        assert result.stdout.splitlines() == [
            "m.TTL: 31536000, planned 7776000",
            "To end the differences, in HBase's shell:",
            f"  alter '{place.table}', {{NAME => 'm', TTL => '7776000'}}",
            f"Table {place.table} (64 shards, 2 regions) differs from the plan in 1.",
        ]
    assert place.live() == before


def test_with_thrift1_alone_the_table_is_made_and_verify_says_what_is_missing(place: Place) -> None:
    applied = place.rowbox("schema", "apply", thrift2="none")
    assert applied.exit_code == 0, "what is missing costs speed only"
    assert "regions: none begins at meta/, planned one of its own" in applied.stdout
    assert (
        "Thrift1 does not show it: BLOCKSIZE, DATA_BLOCK_ENCODING, KEEP_DELETED_CELLS, MIN_VERSIONS." in applied.stdout
    )
    assert place.schema() == SchemaRow(SCHEMA_VERSION, SHARDS)

    verified = place.rowbox("schema", "verify", "--json")
    assert verified.exit_code == 1
    found = orjson.loads(verified.stdout)
    assert (found["asPlanned"], found["exists"], found["version"], found["regions"]) == (False, True, 1, 1)
    whats = [f"{family}.DATA_BLOCK_ENCODING" for family in Family]
    assert [difference["what"] for difference in found["differences"]] == [*whats, "regions"]
    assert not any(difference["is_essential"] for difference in found["differences"])


def test_a_thrift2_gateway_that_was_named_must_answer_and_must_be_one(place: Place) -> None:
    with own_port() as port:
        away = place.rowbox("schema", "apply", thrift2=f"127.0.0.1:{port}")
    assert (away.exit_code, away.stdout) == (1, "")
    assert away.stderr.startswith(f"Error: gateway 127.0.0.1:{port} cannot be reached")
    other = place.rowbox("schema", "apply", thrift2="{}:{}".format(*place.hbase.gateways[0]))
    assert (other.exit_code, other.stdout) == (1, "")
    assert other.stderr.endswith("speaks Thrift1, not Thrift2\n")
    assert place.live() is None


def test_a_table_that_is_not_there_is_a_difference(place: Place) -> None:
    result = place.rowbox("schema", "verify")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (1, "table: absent, planned present")
    assert place.live() is None
