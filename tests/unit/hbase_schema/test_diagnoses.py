import pytest

from rowbox.hbase_schema.doctor.cluster import examine_cluster, judge_remembered
from rowbox.hbase_schema.doctor.diagnosis import State
from rowbox.hbase_schema.doctor.gateway_conf import (
    IDLE_TIMEOUT,
    MAX_FRAME_MB,
    OPERATION_TIMEOUT,
    RPC_TIMEOUT,
    WRITE_TIMEOUT,
    judge_configuration,
)
from rowbox.hbase_schema.thrift.thrift2 import THRIFT1, GatewayIdentity
from rowbox.mailbox.clocks.clock_trust import Remembered
from rowbox.mailbox.errors import StoreUnavailable
from rowbox.mailbox.settings.config import HBaseSettings

SETTINGS = HBaseSettings(idle_ms=30_000)


def states(**configuration: int) -> tuple[State, State]:
    """Of the idle time and of late writes; the names are those of gateway_conf."""
    idle, late = judge_configuration({name: str(value) for name, value in configuration.items()}, SETTINGS)
    return idle.state, late.state


def test_hbases_own_defaults_let_writes_be_late_for_too_long() -> None:
    assert states() == (State.OK, State.WRONG)


@pytest.mark.parametrize(("closes_ms", "state"), [(0, State.OK), (30_000, State.WRONG), (30_001, State.OK)])
def test_a_gateway_must_keep_connections_longer_than_we_keep_them_idle(closes_ms: int, state: State) -> None:
    assert states(**{IDLE_TIMEOUT: closes_ms})[0] is state


@pytest.mark.parametrize(
    ("operation_ms", "rpc_ms", "write_ms", "state"),
    [
        (595_000, 5_000, 5_000, State.OK),
        (595_001, 5_000, 5_000, State.WRONG),
        (595_000, 5_001, 5_000, State.WRONG),
        (595_000, 5_000, 5_001, State.WRONG),
    ],
)
def test_a_write_must_end_within_ten_minutes_its_last_try_included(
    operation_ms: int, rpc_ms: int, write_ms: int, state: State
) -> None:
    given = {OPERATION_TIMEOUT: operation_ms, RPC_TIMEOUT: rpc_ms, WRITE_TIMEOUT: write_ms}
    assert states(**given)[1] is state


@pytest.mark.parametrize(("takes", "state"), [({}, State.OK), ({MAX_FRAME_MB: "1"}, State.WRONG)])
def test_a_framed_gateway_takes_frames_as_large_as_our_requests(takes: dict[str, str], state: State) -> None:
    *_, frames = judge_configuration(takes, HBaseSettings(transport="framed", frame_bytes=2 << 20))
    assert (frames.subject, frames.state) == ("frames", state)


def test_a_time_that_is_no_number_is_not_judged() -> None:
    with pytest.raises(StoreUnavailable, match=f"{OPERATION_TIMEOUT} = '20 min'"):
        list(judge_configuration({OPERATION_TIMEOUT: "20 min"}, SETTINGS))


@pytest.mark.parametrize(
    ("clusters", "state"),
    [(["a"], State.OK), (["a", "a"], State.OK), (["a", "b"], State.WRONG), (["a", None], State.UNKNOWN)],
)
def test_gateways_of_two_clusters_are_found(clusters: list[str | None], state: State) -> None:
    assert examine_cluster([GatewayIdentity(THRIFT1, cluster) for cluster in clusters]).state is state


SECOND_US = 1_000_000
NOW_US = 1_800_000_000 * SECOND_US


@pytest.mark.parametrize(
    ("remembered", "state", "says"),
    [
        (None, State.OK, "none yet"),
        (Remembered(NOW_US - 30 * SECOND_US), State.OK, "30 s ahead of what the store has seen, and believed"),
        (Remembered(NOW_US + 5 * SECOND_US), State.OK, "5 s behind what the store has seen, and believed"),
        (Remembered(NOW_US - 7200 * SECOND_US), State.OK, "nothing expires yet by 2 h that no server saw"),
        (Remembered(NOW_US + 3600 * SECOND_US), State.WRONG, "the clock is 1 h behind the latest time"),
        (Remembered(NOW_US - 101 * 86_400 * SECOND_US), State.WRONG, "101 d ahead of the latest time"),
    ],
)
def test_the_doctor_says_what_the_store_remembers_of_the_time(
    remembered: Remembered | None, state: State, says: str
) -> None:
    diagnosis = judge_remembered(remembered, NOW_US)
    assert diagnosis.state is state
    assert says in diagnosis.finding
    assert ("rowbox clock accept" in diagnosis.finding) is (state is State.WRONG)
