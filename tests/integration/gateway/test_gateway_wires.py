"""Thrift's transports and protocols, and what is no Thrift: each is spoken, or named with what to do.

Over gateways that are made here. On a real HBase: test_hbase_wires.py.
"""
# mypy: allow-untyped-calls

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from importlib import import_module
from itertools import product
from pathlib import Path
from threading import Barrier
from typing import Any, get_args

import pytest
from click.testing import CliRunner
from happybase.batch import BatchMutation, Mutation
from happybase.connection import Hbase
from happybase.table import TScan

from rowbox.cacheserver.stores.hbase.failover import ERRORS_IN_A_ROW
from rowbox.cacheserver.stores.hbase.pool import HBasePool
from rowbox.cacheserver.stores.hbase.store import HBaseStore
from rowbox.cli.main import main
from rowbox.hbase_schema.migrate.table_admin import thrift2_at
from rowbox.hbase_schema.table_plan import plan_table
from rowbox.hbase_schema.thrift import spoken as spoken_module
from rowbox.hbase_schema.thrift.calls import GatewayCalls
from rowbox.hbase_schema.thrift.connection import Address
from rowbox.hbase_schema.thrift.errors import HBaseRefused
from rowbox.hbase_schema.thrift.spoken import HTTP, SASL, TLS, other_wire
from rowbox.hbase_schema.thrift.thrift1_client import Thrift1Client
from rowbox.hbase_schema.thrift.thrift2 import _IDL, FRAMED_SPLITS, Thrift2, identify
from rowbox.hbase_schema.thrift.wire import DEFAULT, Wire
from rowbox.mailbox.errors import StoreUnavailable, StoreUnusable
from rowbox.mailbox.settings.config import HBaseAddress, HBaseSettings, StoreSettings, ThriftProtocol, ThriftTransport
from tests.support.scripted_gateway import (
    Handle,
    asks_for_sasl,
    foreign_gateway,
    hangs_up,
    is_deaf,
    speaks_http,
    speaks_tls,
    thrift_gateway,
)
from tests.support.tcp_proxy import Fault, running_proxy

pytestmark = pytest.mark.integration

THRIFT1 = import_module("Hbase_thrift")
"""A module that thriftpy2 makes of HBase's interface definition: no import that a type checker could follow."""
WIRES = [Wire(*both) for both in product(get_args(ThriftTransport), get_args(ThriftProtocol))]
NAMES = ["-".join(wire) for wire in WIRES]


CALL_TIMEOUTS_MS = (400, 4_000, 40_000)
"""One after the other, until what is expected is found: a gateway on a busy machine answers late."""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway is asked what it speaks for as long as a call may take."""
    monkeypatch.setattr(spoken_module, "MOST_S", max(CALL_TIMEOUTS_MS) / 1000)


def in_any_time(check: Callable[[int], None]) -> None:
    """`check` with one of CALL_TIMEOUTS_MS, or its failure with the longest."""
    for call_timeout_ms in CALL_TIMEOUTS_MS[:-1]:
        with suppress(AssertionError, StoreUnavailable, pytest.fail.Exception):
            return check(call_timeout_ms)
    return check(CALL_TIMEOUTS_MS[-1])


def settings_of(wire: Wire, call_timeout_ms: int = 2000) -> HBaseSettings:
    return HBaseSettings(connections=2, call_timeout_ms=call_timeout_ms, **wire._asdict())


class Gateway:
    """A gateway of Thrift1, or of Thrift2, with what the tests call."""

    def __init__(self, protocol: int = 1) -> None:
        self.protocol = protocol
        self.puts: list[Any] = []

    def getThriftServerType(self) -> int:  # noqa: N802 - Thrift's names, here and below
        return self.protocol

    def getClusterId(self) -> str:  # noqa: N802
        return "a cluster"

    def getTableNames(self) -> list[str]:  # noqa: N802
        raise THRIFT1.IOError(message=b"java.io.IOException: not now")

    def mutateRowsTs(self, _table: bytes, batches: Any, timestamp: int, _attributes: Any) -> None:  # noqa: N802
        self.puts.append((batches, timestamp))

    def checkAndPut(self, *given: Any) -> bool:  # noqa: N802
        return bool(given[4].value == b"yes")

    def scannerGetList(self, scanner: int, count: int) -> list[Any]:  # noqa: N802
        cell = THRIFT1.TCell(value=b"", timestamp=(1 << 60) - 1)
        return [THRIFT1.TRowResult(row=b"%d %d" % (scanner, count), columns={b"m:\0\xff": cell})]

    def scannerClose(self, _scanner: int) -> None:  # noqa: N802
        pass

    def scannerOpenWithScan(self, _table: bytes, scan: Any, _attributes: Any) -> int:  # noqa: N802
        return int(len(scan.filterString) + scan.caching)


# ---------------------------------------------------------------------- each is spoken


@contextmanager
def hbase_gateway(wire: Wire) -> Iterator[tuple[Address, Gateway]]:
    handler = Gateway()
    with thrift_gateway(Hbase, handler, wire) as address:
        yield address, handler


@pytest.mark.parametrize("wire", WIRES, ids=NAMES)
async def test_the_stores_connections_speak_it(wire: Wire) -> None:
    big = bytes(range(256)) * 1024

    def work(client: Thrift1Client) -> tuple[bool, int, Any]:
        mutations = [Mutation(column=b"m:\xff\x00", value=big), Mutation(isDelete=True, column=b"i:")]
        client.mutateRowsTs(b"t", [BatchMutation(row=b"\x80", mutations=mutations)], 1_700_000_000_000, {b"a": b""})
        scanner = client.scannerOpenWithScan(b"t", TScan(caching=1, filterString=b"abc", sortColumns=True), {})
        (row,) = client.last_rows(scanner, 70_000)
        did = client.checkAndPut(b"t", b"r", b"c", None, Mutation(column=b"c", value=b"yes"), {})
        return did, scanner, row

    with hbase_gateway(wire) as (address, handler):
        pool = HBasePool([address], connections=1, call_timeout_ms=5000, idle_ms=10_000, wire=wire)
        for _ in range(3):  # the second and third on a connection that was used
            did, scanner, row = await pool.write(work)
            assert (did, scanner, row.row) == (True, 4, b"4 70000")
            assert [(name, cell.value, cell.timestamp) for name, cell in row.columns.items()] == [
                (b"m:\0\xff", b"", (1 << 60) - 1)
            ]
        assert pool.counters.connections_opened == 1
        await pool.close()
        batches, timestamp = handler.puts[0]
        assert timestamp == 1_700_000_000_000
        assert [(m.isDelete, m.column, m.value) for m in batches[0].mutations] == [
            (False, b"m:\xff\x00", big),
            (True, b"i:", None),
        ]


@pytest.mark.parametrize("wire", WIRES, ids=NAMES)
async def test_a_reply_to_something_else_is_never_taken(wire: Wire) -> None:
    """Sequence numbers and names are compared in either protocol."""

    def cross(client: Thrift1Client) -> None:
        client._send("scannerClose", id=1)
        client._recv("scannerClose")
        client._send("scannerClose", id=1)
        asked: Any = client._iprot
        asked._asked[0] = ("getRow", 2)
        client._recv("scannerClose")

    with hbase_gateway(wire) as (address, _):
        pool = HBasePool([address], connections=1, call_timeout_ms=5000, idle_ms=10_000, wire=wire)
        with pytest.raises(StoreUnavailable, match="asked getRow 2, got a reply to scannerClose 2"):
            await pool.read(cross)
        await pool.close()


@pytest.mark.parametrize("wire", WIRES, ids=NAMES)
def test_an_operators_verbs_speak_it(wire: Wire) -> None:
    with (
        hbase_gateway(wire) as (address, _),
        closing(GatewayCalls(address, Thrift1Client, settings_of(wire))) as calls,
        pytest.raises(HBaseRefused, match="answered getTableNames with"),
    ):
        calls.call("getTableNames")
    with thrift_gateway(_IDL.Identity, Gateway(), wire) as address:
        assert identify(address, settings_of(wire)) == (1, "a cluster")


# ---------------------------------------------------------------------- or what is spoken is named


@pytest.mark.parametrize(("spoken", "told"), list(product(WIRES, WIRES)), ids="-".join)
def test_a_gateway_that_speaks_otherwise_is_told_from_one_that_is_away(spoken: Wire, told: Wire) -> None:
    differing = [name for name in Wire._fields if getattr(spoken, name) != getattr(told, name)]
    change = " and ".join(f"hbase.{name} = {getattr(spoken, name)}" for name in differing)
    what = " and ".join(differing)
    expected = f"speaks another {what} of Thrift than the settings say: set {change}" if differing else None
    with hbase_gateway(spoken) as (address, _):

        def check(call_timeout_ms: int) -> None:
            assert other_wire(address, settings_of(told, call_timeout_ms)) == expected

        in_any_time(check)


def foreign(kind: str, folder: Path) -> tuple[Handle, str | None]:
    return {
        "http": (speaks_http, HTTP.advice),
        "tls": (speaks_tls(folder), TLS.advice),
        "sasl": (asks_for_sasl, SASL.advice),
        "deaf": (is_deaf, None),
        "hangs up": (hangs_up, None),
    }[kind]


@pytest.mark.parametrize("kind", ["http", "tls", "sasl", "deaf", "hangs up"])
def test_every_verb_and_a_servers_start_say_what_is_spoken(kind: str, tmp_path: Path) -> None:
    handle, advice = foreign(kind, tmp_path)
    with foreign_gateway(handle) as (host, port):
        in_any_time(partial(check_what_is_said, (host, port), advice, tmp_path))


def check_what_is_said(gateway: Address, advice: str | None, folder: Path, call_timeout_ms: int) -> None:
    """By `rowbox doctor`, `schema plan` and `check`, and by the store as a server opens it: in words, and typed."""
    host, port = gateway
    settings = {"ROWBOX_HBASE_CALL_TIMEOUT_MS": str(call_timeout_ms), "ROWBOX_SERVER_DATA_DIR": str(folder)}
    store = ("--store", f"hbase://{host}:{port}/p")
    doctor = CliRunner().invoke(main, ["doctor", *store], env=settings)
    assert doctor.exit_code == 1
    line = doctor.stdout.splitlines()[0]
    if advice is None:
        assert line.endswith(": start it, or take it out of store.url")
    else:
        assert line == f"WRONG    gateway {host}:{port}: {advice}"
    for verb in (["schema", "plan"], ["check"]):
        result = CliRunner().invoke(main, [*verb, *store], env=settings)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert advice is None or result.stderr == f"Error: gateway {host}:{port} {advice}\n"
    opening = HBaseStore.open(HBaseAddress((gateway,), "p"), HBaseSettings(call_timeout_ms=call_timeout_ms))
    with pytest.raises(StoreUnavailable if advice is None else StoreUnusable) as failure:
        asyncio.run(opening)
    assert advice is None or str(failure.value) == f"gateway {host}:{port} {advice}"


def test_the_setting_to_change_is_named_by_every_verb_and_a_servers_start(tmp_path: Path) -> None:
    advice = "speaks another transport of Thrift than the settings say: set hbase.transport = framed"
    with hbase_gateway(Wire("framed", "binary")) as (address, _):
        in_any_time(partial(check_what_is_said, address, advice, tmp_path))


async def test_a_gateway_that_is_away_is_not_asked_and_one_that_speaks_as_told_is_not_blamed() -> None:
    with hbase_gateway(DEFAULT) as (address, handler):
        del handler.protocol  # it answers with errors from now on, and in the right way
        with pytest.raises(StoreUnavailable):
            await HBaseStore.open(HBaseAddress((address,), "p"), settings_of(DEFAULT))
        assert other_wire(address, settings_of(DEFAULT)) is None


@pytest.mark.parametrize("kind", ["hangs up", "framed"])
async def test_a_gateway_that_ends_every_connection_is_left_for_the_next_one(kind: str) -> None:
    """As one does that was started anew with another transport, and a proxy whose gateway is away."""
    wire = Wire("framed", "binary")
    bad = foreign_gateway(hangs_up) if kind == "hangs up" else thrift_gateway(Hbase, Gateway(), wire)
    with bad as address, hbase_gateway(DEFAULT) as (good, handler):
        pool = HBasePool([address, good], connections=2, call_timeout_ms=5000, idle_ms=10_000, wire=DEFAULT)
        for _ in range(ERRORS_IN_A_ROW):
            with pytest.raises(StoreUnavailable):
                await pool.write(lambda client: client.mutateRowsTs(b"t", [], 1, {}))
        await pool.write(lambda client: client.mutateRowsTs(b"t", [], 1, {}))
        assert (handler.puts, pool.counters.failovers) == ([([], 1)], 1)
        await pool.close()


async def test_a_gateway_whose_connections_break_after_they_have_worked_is_not_left() -> None:
    """As at its restart, all of them at once: it answers on new ones."""
    together = Barrier(ERRORS_IN_A_ROW)

    def write(client: Thrift1Client) -> None:
        together.wait(5)  # so each has a connection of its own
        client.mutateRowsTs(b"t", [], 1, {})

    with hbase_gateway(DEFAULT) as (address, _), hbase_gateway(DEFAULT) as (other, unused):
        async with running_proxy(address) as proxy:
            gateways = [proxy.address, other]
            pool = HBasePool(gateways, connections=ERRORS_IN_A_ROW, call_timeout_ms=5000, idle_ms=10_000, wire=DEFAULT)
            await asyncio.gather(*(pool.write(write) for _ in range(ERRORS_IN_A_ROW)))
            proxy.inflict(Fault.CUT_BEFORE_REPLY)
            writes = (pool.write(write) for _ in range(ERRORS_IN_A_ROW))
            failures = await asyncio.gather(*writes, return_exceptions=True)
            assert all(isinstance(failure, StoreUnavailable) for failure in failures)
            assert (pool.counters.failovers, unused.puts) == (0, [])
            await pool.close()


# ---------------------------------------------------------------------- Thrift2


@pytest.mark.parametrize("wire", WIRES, ids=NAMES)
def test_a_thrift2_gateway_is_met_in_its_own_way(wire: Wire) -> None:
    """The settings are those of Thrift1; the one of Thrift2 is needed once."""
    with thrift_gateway(_IDL.Identity, Gateway(protocol=2), wire) as address:
        thrift2_at(address, settings_of(Wire("framed", "compact"))).close()


def test_a_framed_thrift2_gateway_is_given_no_table_to_split() -> None:
    """It would split it at keys that hold the whole request: HBase's own bug."""
    thrift2 = Thrift2(("127.0.0.1", 1), settings_of(Wire("framed", "binary")))
    with closing(thrift2), pytest.raises(StoreUnusable) as refusal:
        thrift2.create(plan_table("t", StoreSettings(shards=64), regions=1))
    assert str(refusal.value) == FRAMED_SPLITS


# ---------------------------------------------------------------------- how long it takes


def test_a_silent_gateway_is_asked_in_all_ways_at_once() -> None:
    with foreign_gateway(is_deaf) as address:

        def check(call_timeout_ms: int) -> None:
            began_s = time.monotonic()
            assert other_wire(address, settings_of(DEFAULT, call_timeout_ms)) is None
            assert time.monotonic() - began_s < 5 * call_timeout_ms / 1000  # there are seven ways

        in_any_time(check)
