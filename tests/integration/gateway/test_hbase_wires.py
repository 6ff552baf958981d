"""A real HBase whose gateway is framed and compact, as `-f -c` start it: all that Rowbox does goes through it."""

import time
from collections.abc import Iterator

import pytest

from rowbox.cacheserver.stores.hbase.store import HBaseStore
from rowbox.cacheserver.stores.port import RowDelete, RowMutation
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.migrate.apply import apply
from rowbox.hbase_schema.thrift.wire import Wire
from rowbox.mailbox.errors import StoreOutcomeUnknown, StoreUnavailable
from rowbox.mailbox.settings.config import HBaseSettings
from tests.integration.support.hbase_place import TIMEOUT_MS, Place, place_on
from tests.support.hbase_cluster import HBase, running_cluster

pytestmark = pytest.mark.integration

MIB = 1 << 20
NOW_MS = time.time_ns() // 1_000_000


@pytest.fixture(scope="module")
def framed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HBase]:
    with running_cluster(tmp_path_factory.mktemp("framed"), wire=Wire("framed", "compact")) as cluster:
        yield cluster.hbase


@pytest.fixture(scope="module")
def place(framed: HBase) -> Iterator[Place]:
    with place_on(framed) as place:
        with place.admin() as admin:
            apply(admin, place.plan())
        yield place


def test_the_verbs_of_an_operator(place: Place) -> None:
    assert place.rowbox("schema", "verify").exit_code == 0
    doctor = place.rowbox("doctor")
    assert doctor.exit_code == 0, doctor.stdout
    assert {line.split()[0] for line in doctor.stdout.splitlines()} == {"ok", "unknown"}


@pytest.mark.parametrize("verb", [("doctor",), ("schema", "plan")])
def test_the_settings_to_change_are_named(place: Place, verb: tuple[str, ...]) -> None:
    result = place.rowbox(*verb, hbase_transport="buffered", hbase_protocol="binary", hbase_call_timeout_ms="2000")
    assert result.exit_code == 1
    assert "set hbase.transport = framed and hbase.protocol = compact" in result.output


def test_a_gateway_of_the_default_kind_is_told_from_it(hbase: HBase) -> None:
    with place_on(hbase) as place:
        result = place.rowbox("schema", "plan", hbase_transport="framed", hbase_call_timeout_ms="2000")
    assert result.exit_code == 1
    assert "set hbase.transport = buffered" in result.stderr


async def test_what_is_larger_than_a_frame_goes_in_several_requests(place: Place, framed: HBase) -> None:
    """The gateways of these tests take 16 MiB. Nothing of a row that is larger than a frame itself is sent."""
    store = await opened(place, framed, frame_bytes=2 * MIB)
    value = bytes(MIB)
    rows = [RowMutation(b"0001/%02d" % n, [(Family.MESSAGES, b"q", value)]) for n in range(3)]
    await store.mutate(rows, NOW_MS)
    assert store.counters.write_round_trips == 3
    assert (await store.get_row(b"0001/02", [Family.MESSAGES]))[Family.MESSAGES] == [(b"q", value)]
    await store.delete([RowDelete(row, [(Family.MESSAGES, b"q")]) for row, _ in rows], NOW_MS + 1)
    assert store.counters.write_round_trips == 4
    with pytest.raises(StoreUnavailable, match=r"hbase\.frame_bytes") as refusal:
        await store.mutate([RowMutation(b"0001/x", [(Family.MESSAGES, b"q", value), (Family.LOG, b"q", value)])], 1)
    assert not isinstance(refusal.value, StoreOutcomeUnknown)
    await store.close()


async def test_the_gateway_ends_what_does_not_fit_into_its_frames(place: Place, framed: HBase) -> None:
    """Why the setting is there: without it, what became of the write is unknown, every time."""
    store = await opened(place, framed, frame_bytes=64 * MIB)
    rows = [RowMutation(b"0001/%02d" % n, [(Family.MESSAGES, b"q", bytes(MIB))]) for n in range(17)]
    with pytest.raises(StoreOutcomeUnknown):
        await store.mutate(rows, NOW_MS)
    await store.close()


async def opened(place: Place, framed: HBase, *, frame_bytes: int) -> HBaseStore:
    wire = framed.wire
    settings = HBaseSettings(
        call_timeout_ms=TIMEOUT_MS, transport=wire.transport, protocol=wire.protocol, frame_bytes=frame_bytes
    )
    return await HBaseStore.open(framed.address(place.prefix), settings)
