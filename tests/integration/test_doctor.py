"""`rowbox doctor` on a real HBase: content with a sound one, loud about what is not as the protocol needs it."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing

import orjson
import pytest

from rowbox.cacheserver.stores.clock_memory import REMEMBERED_QUALIFIER, encoded
from rowbox.hbase_schema.doctor.cluster import examine_calls
from rowbox.hbase_schema.doctor.diagnosis import Diagnosis, State
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import CLOCK_ROW, META_START
from rowbox.hbase_schema.migrate.apply import apply
from rowbox.hbase_schema.table_plan import TablePlan
from rowbox.hbase_schema.thrift.thrift1 import Cell, Thrift1
from rowbox.mailbox.clocks.clock_trust import Remembered
from tests.integration.support.hbase_place import TIMEOUT_MS, Place, place_on
from tests.support.alone import own_port
from tests.support.hbase_cluster import HBase, HBaseCluster

pytestmark = pytest.mark.integration

PROBES = ("timestamps", "deletes", "conditions", "clock")


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def place(hbase: HBase) -> Iterator[Place]:
    with place_on(hbase) as place:
        yield place


def made(place: Place, plan: TablePlan | None = None) -> None:
    """The table and its schema row, whatever the table is like."""
    with place.admin() as admin:
        apply(admin, plan or place.plan())


def checks(output: str) -> dict[str, tuple[str, str]]:
    """State and finding by subject, the gateways' ports left out."""
    found = orjson.loads(output)["checks"]
    return {check["subject"].split(" by ")[0]: (check["state"], check["finding"]) for check in found}


def wrong(found: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {subject: finding for subject, (state, finding) in found.items() if state == State.WRONG}


def test_a_sound_store_is_well_and_nothing_of_the_probes_stays(place: Place) -> None:
    made(place)
    result = place.rowbox("doctor")
    assert result.exit_code == 0, result.stdout
    states = [line.split()[0] for line in result.stdout.splitlines()]
    assert states == ["ok"] * (4 + len(PROBES)) + ["unknown"] * 2 + ["ok"]
    assert result.stdout.splitlines()[-1] == "ok       servers: no server has joined the cluster yet"
    with place.admin() as admin:
        assert admin.thrift1.first_row() == META_START + b"schema"


def test_a_table_that_is_not_there_is_wrong_and_is_not_made(place: Place) -> None:
    result = place.rowbox("doctor", "--json")
    assert result.exit_code == 1
    found = checks(result.stdout)
    assert wrong(found) == {"table": "table: absent, planned present: see: rowbox schema plan"}
    assert found["calls"][0] == State.UNKNOWN
    assert place.live() is None


def test_a_table_of_somebody_else_is_not_written_to(place: Place) -> None:
    with place.admin() as admin:
        admin.create(place.plan())
        found = list(examine_calls(admin.thrift1, b"token", wall_ms))
        assert [diagnosis.state for diagnosis in found] == [State.UNKNOWN]
        assert admin.thrift1.first_row() is None


def test_a_ttl_that_is_not_the_settings_is_wrong_and_the_remedy_is_named(place: Place) -> None:
    made(place)
    result = place.rowbox("doctor", "--json", store_dedupe_life_ms="14d")
    assert result.exit_code == 1
    remedy = f"alter '{place.table}', {{NAME => 'd', TTL => '1209600'}}"
    assert wrong(checks(result.stdout)) == {"table": f"d.TTL: 604800, planned 1209600: {remedy}"}


def test_a_gateway_that_is_away_is_wrong_and_the_others_are_looked_at(place: Place) -> None:
    made(place)
    with own_port() as port:
        two = place._replace(hbase=place.hbase._replace(gateways=(("127.0.0.1", port), *place.hbase.gateways)))
        result = two.rowbox("doctor", "--json")
    assert result.exit_code == 1
    found = checks(result.stdout)
    assert list(wrong(found)) == [f"gateway 127.0.0.1:{port}"]
    assert {found[probe][0] for probe in PROBES} == {State.OK}


def test_a_thrift2_gateway_in_the_url_is_wrong(place: Place) -> None:
    result = place._replace(hbase=place.hbase._replace(gateways=(place.hbase.thrift2,))).rowbox("doctor", "--json")
    assert result.exit_code == 1
    assert list(wrong(checks(result.stdout)).values()) == ["speaks Thrift2: name gateways of Thrift1 in store.url"]


def test_settings_that_nobody_tells_are_unknown(place: Place) -> None:
    made(place)
    with own_port() as port:
        result = place.rowbox("doctor", "--json", "--gateway-info", f"127.0.0.1:{port}")
    assert result.exit_code == 0
    states = {check["subject"]: check["state"] for check in orjson.loads(result.stdout)["checks"]}
    assert states[f"late writes of 127.0.0.1:{port}"] == State.UNKNOWN


# ---- each probe finds what it is for ---------------------------------------------------------------------------------


def probed(thrift1: Thrift1, now_ms: Callable[[], int] = wall_ms) -> dict[str, Diagnosis]:
    with closing(thrift1):
        found = list(examine_calls(thrift1, b"token", now_ms))
    return {diagnosis.subject.split(" by ")[0]: diagnosis for diagnosis in found}


class OwnTimestamps(Thrift1):
    """A gateway whose server stamps what it is given."""

    def put(self, row: bytes, family: Family, qualifier: bytes, cell: Cell) -> None:
        super().put(row, family, qualifier, cell._replace(timestamp_ms=wall_ms()))


class NoConditions(Thrift1):
    """A gateway that puts whatever the condition says."""

    def check_and_put(self, row: bytes, family: Family, qualifier: bytes, expected: bytes | None, value: bytes) -> bool:
        self.put(row, family, qualifier, Cell(value, wall_ms()))
        return True


@pytest.mark.parametrize(("gateway", "subject"), [(OwnTimestamps, "timestamps"), (NoConditions, "conditions")])
def test_a_gateway_that_acts_otherwise_is_found(place: Place, gateway: type[Thrift1], subject: str) -> None:
    made(place)
    found = probed(gateway(place.hbase.gateways[0], place.table, place.hbase.settings(TIMEOUT_MS)))
    assert found[subject].state is State.WRONG


def test_a_family_in_which_deletes_hide_no_later_puts_is_found(place: Place) -> None:
    plan = place.plan()
    families = {family: {**plan.families[family], "NEW_VERSION_BEHAVIOR": "true"} for family in Family}
    made(place, plan._replace(families=families))
    result = place.rowbox("doctor", "--json")
    assert result.exit_code == 1
    assert "NEW_VERSION_BEHAVIOR" in wrong(checks(result.stdout))["deletes"]


@pytest.mark.parametrize(("ahead_ms", "state"), [(-11_000, State.WRONG), (9_000, State.OK), (11_000, State.WRONG)])
def test_a_clock_that_is_far_off_is_found(place: Place, ahead_ms: int, state: State) -> None:
    made(place)
    with place.admin() as admin:
        found = probed(admin.thrift1, lambda: wall_ms() - ahead_ms)
        assert found["clock"].state is state
        assert admin.thrift1.first_row() == META_START + b"schema"


@pytest.mark.parametrize(("ahead_us", "state"), [(11_000_000, State.WRONG), (-3_600_000_000, State.OK)])
def test_a_machine_whose_clock_is_behind_what_the_store_has_seen_is_wrong(
    place: Place, ahead_us: int, state: State
) -> None:
    made(place)
    remembered = Remembered(wall_ms() * 1000 + ahead_us)
    with place.admin() as admin:
        admin.thrift1.put(CLOCK_ROW, Family.INDEX, REMEMBERED_QUALIFIER, Cell(encoded(remembered), wall_ms()))
    result = place.rowbox("doctor", "--json")
    assert checks(result.stdout)["remembered time"][0] == state
    assert result.exit_code == (state is State.WRONG)


# ---- a gateway's own settings ----------------------------------------------------------------------------------------


def test_the_settings_of_our_own_gateways_are_well(hbase_cluster: HBaseCluster) -> None:
    with place_on(hbase_cluster.hbase) as place:
        made(place)
        infos = [argument for port in hbase_cluster.info_ports for argument in ("--gateway-info", f"127.0.0.1:{port}")]
        result = place.rowbox("doctor", "--json", *infos)
    assert result.exit_code == 0, result.stdout
    found = orjson.loads(result.stdout)["checks"]
    assert {check["state"] for check in found} == {State.OK}
    assert sum(check["subject"].startswith("late writes") for check in found) == len(hbase_cluster.info_ports) == 2
