"""What holds of every call to a gateway, by the store, by `rowbox schema` and by `rowbox doctor`.

A reply to something else is never believed; after any exception the connection is closed; a call has one deadline; no
request exceeds a frame. Over gateways that are made here.
"""
# mypy: allow-untyped-calls

import re
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import count, product
from pathlib import Path
from threading import Event
from typing import Any, get_args

import pytest
from click.testing import CliRunner, Result
from happybase.connection import Hbase
from thriftpy2.thrift import TClient

from rowbox.cacheserver.stores.hbase.pool import HBasePool
from rowbox.cli.main import main
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.thrift.calls import GatewayCalls
from rowbox.hbase_schema.thrift.connection import Address, GatewayConnection
from rowbox.hbase_schema.thrift.errors import Blame, HBaseRefused
from rowbox.hbase_schema.thrift.thrift1 import Cell, Thrift1
from rowbox.hbase_schema.thrift.thrift1_client import BatchMutation, Mutation, Thrift1Client
from rowbox.hbase_schema.thrift.thrift2 import _IDL
from rowbox.hbase_schema.thrift.wire import DEFAULT, Wire
from rowbox.mailbox.errors import StoreOutcomeUnknown, StoreUnavailable, StoreUnreachable
from rowbox.mailbox.settings.config import HBaseSettings, ThriftProtocol, ThriftTransport
from tests.support.scripted_gateway import foreign_gateway, is_deaf, replying_gateway, thrift_gateway
from tests.support.thrift1_table import THRIFT1_SERVICE, Thrift1Table

pytestmark = pytest.mark.integration

WIRES = [Wire(*both) for both in product(get_args(ThriftTransport), get_args(ThriftProtocol))]
NAMES = ["-".join(wire) for wire in WIRES]
FRAMED = [wire for wire in WIRES if wire.transport == "framed"]
ALWAYS_S = float("inf")


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


def settings_of(wire: Wire, call_timeout_ms: int = 5000) -> HBaseSettings:
    return HBaseSettings(connections=1, call_timeout_ms=call_timeout_ms, **wire._asdict())


def opened(gateway: Address, wire: Wire = DEFAULT, frame_bytes: int | None = None) -> GatewayConnection[Thrift1Client]:
    connection = GatewayConnection(gateway, Thrift1Client, wire, frame_bytes)
    connection.open(soon())
    return connection


class Counting:
    """Answers each call by its number, so that no answer is right twice."""

    def __init__(self) -> None:
        self.numbers = count(1)

    def getTableNames(self) -> list[bytes]:  # noqa: N802 - Thrift's names, here and below
        return [b"%d" % next(self.numbers)]

    def getClusterId(self) -> str:  # noqa: N802
        return str(next(self.numbers))

    def mutateRowsTs(self, *_: Any) -> None:  # noqa: N802
        next(self.numbers)

    def isTableEnabled(self, _table: bytes) -> bool:  # noqa: N802
        raise RuntimeError


def one_behind(true: bytes, before: bytes) -> bytes:
    """The answer to the question before last, where there was one."""
    return before or true


# ---------------------------------------------------------------------- a reply to something else is never believed


@pytest.mark.parametrize("wire", WIRES, ids=NAMES)
async def test_the_answer_to_the_question_before_is_not_believed_by_the_store(wire: Wire) -> None:
    with replying_gateway(Hbase, Counting(), wire, one_behind) as gateway:
        pool = HBasePool([gateway], connections=1, call_timeout_ms=5000, idle_ms=10_000, wire=wire)
        assert await pool.read(lambda client: client.getTableNames()) == [b"1"]
        with pytest.raises(StoreOutcomeUnknown, match="asked getTableNames 2, got a reply to getTableNames 1"):
            await pool.write(lambda client: client.getTableNames())
        # A read is made once more, on a new connection, where this gateway has no question before.
        assert await pool.read(lambda client: client.getTableNames()) == [b"3"]
        assert await pool.read(lambda client: client.getTableNames()) == [b"5"]
        await pool.close()


@pytest.mark.parametrize("wire", WIRES, ids=NAMES)
@pytest.mark.parametrize(
    ("service", "client_of", "call", "first"),
    [
        (Hbase, Thrift1Client, "getTableNames", [b"1"]),
        (_IDL.THBaseService, partial(TClient, _IDL.THBaseService), "getClusterId", b"1"),
    ],
    ids=["thrift1", "thrift2"],
)
def test_nor_by_an_operators_verb_through_either_interface(
    wire: Wire, service: Any, client_of: Callable[[Any], Any], call: str, first: object
) -> None:
    with (
        replying_gateway(service, Counting(), wire, one_behind) as gateway,
        closing(GatewayCalls(gateway, client_of, settings_of(wire))) as calls,
    ):
        assert calls.call(call) == first
        with pytest.raises(StoreUnavailable, match=f"asked {call} 2, got a reply to {call} 1"):
            calls.call(call)


def test_a_reply_that_was_not_read_is_not_left_to_the_next_call() -> None:
    def careless(client: Thrift1Client) -> None:
        client._send("getTableNames")

    with thrift_gateway(Hbase, Counting()) as gateway, closing(opened(gateway)) as connection:
        with pytest.raises(StoreUnavailable, match="the reply to getTableNames was not read"):
            connection.run(careless, soon(), writes=False)
        assert not connection.is_usable(ALWAYS_S)


def test_a_second_answer_to_the_same_question_is_not_one_to_the_next() -> None:
    with (
        replying_gateway(Hbase, Counting(), DEFAULT, lambda true, _: true * 2) as gateway,
        closing(GatewayCalls(gateway, Thrift1Client, settings_of(DEFAULT))) as calls,
    ):
        assert calls.call("getTableNames") == [b"1"]
        with pytest.raises(StoreUnavailable, match="asked getTableNames 2, got a reply to getTableNames 1"):
            calls.call("getTableNames")


def repeats(connection: Any) -> None:
    """As a socket does that is connected to itself."""
    while heard := connection.recv(4096):
        connection.sendall(heard)


@pytest.mark.parametrize("wire", WIRES, ids=NAMES)
def test_a_write_that_comes_back_as_it_was_sent_is_not_confirmed_by_that(wire: Wire) -> None:
    batches = [BatchMutation(row=b"r", mutations=[Mutation(column=b"m:q", value=b"v")])]
    with foreign_gateway(repeats) as gateway, closing(opened(gateway, wire)) as connection:
        with pytest.raises(StoreOutcomeUnknown, match="asked mutateRowsTs 1, got the question back"):
            connection.run(lambda client: client.mutateRowsTs(b"t", batches, 1, {}), soon(), writes=True)
        assert connection.failure is Blame.CONNECTION


def test_a_row_that_was_not_asked_for_is_not_believed_by_an_operators_verb() -> None:
    class AnotherRow(Thrift1Table):
        def getRowWithColumns(self, table: bytes, _row: bytes, *given: Any) -> list[Any]:  # noqa: N802
            return super().getRowWithColumns(table, b"another", *given)

    table = AnotherRow()
    with (
        thrift_gateway(THRIFT1_SERVICE, table) as gateway,
        closing(Thrift1(gateway, "t", settings_of(DEFAULT))) as thrift1,
    ):
        thrift1.put(b"another", Family.INDEX, b"q", Cell(b"v", 1))
        with pytest.raises(StoreUnavailable, match="another row than was asked for"):
            thrift1.read(b"this", Family.INDEX, [b"q"])


# ---------------------------------------------------------------------- by no verb, whichever call it begins with


class Liar:
    """One behind from some reply on: all replies of all connections are counted."""

    def __init__(self, honest: float) -> None:
        self.honest = honest
        self.replies = 0

    def __call__(self, true: bytes, before: bytes) -> bytes:
        self.replies += 1
        return true if self.replies <= self.honest else one_behind(true, before)


def run_verb(verb: tuple[str, ...], table: Thrift1Table, liar: Liar, folder: Path) -> tuple[Result, str]:
    """What a verb ends with and prints, the numbers left out: they are ports and times."""
    settings = {"ROWBOX_HBASE_CALL_TIMEOUT_MS": "2000", "ROWBOX_SERVER_DATA_DIR": str(folder)}
    with replying_gateway(THRIFT1_SERVICE, table, DEFAULT, liar) as (host, port):
        store = ("--store", f"hbase://{host}:{port}/p", "--thrift2", "none")
        result = CliRunner().invoke(main, [*verb, *store], env=settings)
    return result, re.sub(r"-?\d+", "N", result.output)


def table_for(verb: tuple[str, ...], folder: Path) -> Thrift1Table:
    table = Thrift1Table()
    if verb != ("schema", "apply"):
        made, _ = run_verb(("schema", "apply"), table, Liar(ALWAYS_S), folder)
        assert made.exit_code == 0, made.output
    return table


@pytest.mark.parametrize(
    "verb", [("schema", "plan"), ("schema", "apply"), ("schema", "verify"), ("doctor",)], ids=" ".join
)
def test_no_verb_believes_a_gateway_that_answers_the_question_before(verb: tuple[str, ...], tmp_path: Path) -> None:
    honest = Liar(ALWAYS_S)
    _, expected = run_verb(verb, table_for(verb, tmp_path), honest, tmp_path)
    assert "got a reply to" not in expected
    for number in range(1, honest.replies):
        result, printed = run_verb(verb, table_for(verb, tmp_path), Liar(number), tmp_path)
        if verb == ("doctor",) and result.exit_code == 0:
            assert printed == expected, number  # what it asks of the servers' row it asks again over another connection
            continue
        assert result.exit_code == 1, (number, printed)
        assert "got a reply to" in printed, number


# ---------------------------------------------------------------------- after any exception it is closed


def fails_by_itself(_: Thrift1Client) -> None:
    raise ValueError


def is_interrupted(_: Thrift1Client) -> None:
    raise KeyboardInterrupt


def refuses(_: Thrift1Client) -> None:
    raise StoreUnavailable("too much")


def fails_when_answered(client: Thrift1Client) -> None:
    client.getTableNames()
    raise ValueError


WORKS: dict[str, Callable[[Thrift1Client], object]] = {
    "an error of its own": fails_by_itself,
    "an interrupt": is_interrupted,
    "a refusal": refuses,
    "an error after an answer": fails_when_answered,
    "a value that cannot be sent": lambda client: client.mutateRowsTs(b"t", 1, 1, {}),
    "HBase's error": lambda client: client.isTableEnabled(b"t"),
}


@pytest.mark.parametrize("wire", WIRES, ids=NAMES)
@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_after_any_exception_the_connection_is_closed_and_carries_no_call(
    wire: Wire, work: Callable[[Thrift1Client], object]
) -> None:
    with replying_gateway(THRIFT1_SERVICE, Counting(), wire, lambda true, _: true) as gateway:
        connection = opened(gateway, wire)
        assert connection.is_usable(ALWAYS_S)
        with pytest.raises((StoreUnavailable, KeyboardInterrupt)):
            connection.run(work, soon(), writes=False)
        assert not connection.is_usable(ALWAYS_S)
        with pytest.raises(StoreUnavailable, match="the connection is closed") as failure:
            connection.run(lambda client: client.mutateRowsTs(b"t", [], 1, {}), soon(), writes=True)
        assert not isinstance(failure.value, StoreOutcomeUnknown)


@pytest.mark.parametrize("wire", WIRES, ids=NAMES)
def test_what_is_no_reply_is_no_answer_of_a_gateway_in_any_transport_and_protocol(wire: Wire) -> None:
    """An answer with an error tells `identify` that a gateway is old; this tells it that there is none."""
    with (
        replying_gateway(Hbase, Counting(), wire, lambda *_: b"HTTP/1.1 400 Bad Request\r\n") as gateway,
        closing(opened(gateway, wire)) as connection,
    ):
        with pytest.raises(StoreUnavailable, match="gave no answer to getTableNames") as failure:
            connection.run(lambda client: client.getTableNames(), soon(0.5), writes=False)
        assert not isinstance(failure.value, HBaseRefused)


@pytest.mark.parametrize("kind", ["silence", "an end", "no Thrift", "another's reply"])
def test_after_an_answer_that_is_none_as_well_and_the_gateway_sees_it(kind: str) -> None:
    was_left = Event()

    def handle(connection: Any) -> None:
        connection.recv(4096)
        if kind == "an end":
            was_left.set()
            return
        another = b"\x80\x01\x00\x02\x00\x00\x00\x03abc\x00\x00\x00\x01\x00"
        connection.sendall(
            {"silence": b"", "no Thrift": b"HTTP/1.1 400 Bad Request\r\n", "another's reply": another}[kind]
        )
        is_deaf(connection)
        was_left.set()

    with foreign_gateway(handle) as gateway:
        connection = opened(gateway)
        with pytest.raises(StoreUnavailable, match="gave no answer to getTableNames"):
            connection.run(lambda client: client.getTableNames(), soon(0.2), writes=False)
        assert was_left.wait(5)
        assert not connection.is_usable(ALWAYS_S)
        assert connection.failure is (Blame.SILENCE if kind == "silence" else Blame.CONNECTION)


def test_a_refusal_after_something_was_sent_leaves_a_write_unknown() -> None:
    def refuses_too_late(client: Thrift1Client) -> None:
        client.mutateRowsTs(b"t", [], 1, {})
        raise StoreUnavailable("too much")

    with (
        thrift_gateway(Hbase, Counting()) as gateway,
        closing(opened(gateway)) as connection,
        pytest.raises(StoreOutcomeUnknown),
    ):
        connection.run(refuses_too_late, soon(), writes=True)


@pytest.mark.parametrize("wire", [DEFAULT, FRAMED[0]], ids="-".join)
def test_a_write_of_which_a_part_was_sent_is_unknown(wire: Wire) -> None:
    over = Event()
    batches = [BatchMutation(row=b"r", mutations=[Mutation(column=b"m:q", value=bytes(32 << 20))])]

    def reads_nothing(_: Any) -> None:
        over.wait(30)

    with foreign_gateway(reads_nothing) as gateway, closing(opened(gateway, wire)) as connection:
        with pytest.raises(StoreOutcomeUnknown, match="gave no answer to mutateRowsTs: timed out"):
            connection.run(lambda client: client.mutateRowsTs(b"t", batches, 1, {}), soon(3.0), writes=True)
        assert connection.round_trips == 0
        over.set()


def test_what_fails_before_it_asks_is_not_said_of_the_call_before() -> None:
    with thrift_gateway(Hbase, Counting()) as gateway, closing(opened(gateway)) as connection:
        connection.run(lambda client: client.getTableNames(), soon(), writes=False)
        with pytest.raises(StoreUnavailable, match="was not asked anything: ValueError"):
            connection.run(fails_by_itself, soon(), writes=False)


def test_who_refuses_is_said_with_the_reason_and_no_time_is_no_connection() -> None:
    with foreign_gateway(is_deaf) as gateway:
        late = GatewayConnection(gateway, Thrift1Client, DEFAULT)
        with pytest.raises(StoreUnreachable, match="cannot be reached: timed out"):
            late.open(time.monotonic())
    refused = GatewayConnection(gateway, Thrift1Client, DEFAULT)
    with pytest.raises(StoreUnreachable, match=r"cannot be reached: \[Errno 111\] Connection refused"):
        refused.open(soon())


def test_a_connection_is_idle_since_its_last_answer() -> None:
    with thrift_gateway(Hbase, Counting()) as gateway, closing(opened(gateway)) as connection:
        opened_s = connection.used_s
        connection.run(lambda client: client.getTableNames(), soon(), writes=False)
        assert opened_s < connection.used_s <= time.monotonic()
        assert not connection.is_usable(-1.0)
        assert connection.is_usable(ALWAYS_S)


def test_an_operators_next_call_after_a_long_pause_as_well() -> None:
    settings = HBaseSettings(connections=1, idle_ms=60_000)
    with thrift_gateway(Hbase, Counting()) as gateway, closing(GatewayCalls(gateway, Thrift1Client, settings)) as calls:
        calls.call("getTableNames")
        before = calls._connection
        assert before is not None
        calls.call("getTableNames")
        assert calls._connection is before
        before.used_s -= 61
        calls.call("getTableNames")
        assert calls._connection is not before


def test_an_operators_next_call_after_a_failure_is_made_on_a_new_connection() -> None:
    with (
        thrift_gateway(_IDL.Identity, Thrift1Table()) as gateway,
        closing(GatewayCalls(gateway, Thrift1Client, settings_of(DEFAULT))) as calls,
    ):
        for _ in range(2):
            with pytest.raises(HBaseRefused, match="knows no call getTableNames"):
                calls.call("getTableNames")


@pytest.mark.parametrize("more", [b"", b"what nobody asked for"], ids=["ended", "spoken on"])
def test_and_after_it_was_ended_or_spoken_on_while_nobody_asked(more: bytes) -> None:
    was_read = Event()

    def answers_once(connection: Any) -> None:
        connection.recv(4096)
        connection.sendall(b"\x80\x01\x00\x02\0\0\0\x0dgetTableNames\0\0\0\x01\x0f\0\0\x0b\0\0\0\0\0")
        was_read.wait(5)
        if more:
            connection.sendall(more)
            is_deaf(connection)

    with (
        foreign_gateway(answers_once) as gateway,
        closing(GatewayCalls(gateway, Thrift1Client, settings_of(DEFAULT))) as calls,
    ):
        assert calls.call("getTableNames") == []
        was_read.set()
        wait_until_noticed(calls)
        assert calls.call("getTableNames") == []


def wait_until_noticed(calls: GatewayCalls) -> None:
    """Until what the gateway did has come here."""
    connection = calls._connection
    assert connection is not None
    ends_s = soon()
    while connection.is_usable(ALWAYS_S):
        assert time.monotonic() < ends_s


# ---------------------------------------------------------------------- one deadline, and the largest request


def test_a_gateway_that_sends_a_byte_now_and_then_holds_no_verb() -> None:
    over = Event()

    def drips(connection: Any) -> None:
        connection.recv(4096)
        for byte in b"\x80\x01\x00\x02\x00\x00\x00\x40" + bytes(60):
            connection.sendall(bytes([byte]))
            if over.wait(0.05):
                return

    with (
        foreign_gateway(drips) as gateway,
        closing(GatewayCalls(gateway, Thrift1Client, settings_of(DEFAULT, call_timeout_ms=300))) as calls,
    ):
        began_s = time.monotonic()
        with pytest.raises(StoreUnavailable, match="gave no answer to getTableNames: timed out"):
            calls.call("getTableNames")
        assert time.monotonic() - began_s < 1.5
        over.set()


@pytest.mark.parametrize("wire", FRAMED, ids="-".join)
def test_a_request_of_just_a_frame_is_sent(wire: Wire) -> None:
    def call(client: Thrift1Client) -> object:
        return client.getTableNames()

    with thrift_gateway(Hbase, Counting(), wire) as gateway:
        with closing(opened(gateway, wire, 1)) as connection, pytest.raises(StoreUnavailable) as failure:
            connection.run(call, soon(), writes=False)
        (size,) = re.findall(r"a request of (\d+) bytes", str(failure.value))
        with closing(opened(gateway, wire, int(size))) as connection:
            assert connection.run(call, soon(), writes=False) == [b"1"]
        with closing(opened(gateway, wire, int(size) - 1)) as connection, pytest.raises(StoreUnavailable):
            connection.run(call, soon(), writes=False)


@pytest.mark.parametrize("wire", FRAMED, ids="-".join)
def test_a_request_that_is_larger_than_a_frame_is_not_sent(wire: Wire) -> None:
    handler = Counting()

    def write(size: int) -> Callable[[Thrift1Client], object]:
        batches = [BatchMutation(row=b"r", mutations=[Mutation(column=b"m:q", value=bytes(size))])]
        return lambda client: client.mutateRowsTs(b"t", batches, 1, {})

    with thrift_gateway(Hbase, handler, wire) as gateway:
        with closing(opened(gateway, wire, 1000)) as connection:
            connection.run(write(500), soon(), writes=True)
            with pytest.raises(StoreUnavailable, match=r"was not asked mutateRowsTs: .* hbase\.frame_bytes") as failure:
                connection.run(write(1000), soon(), writes=True)
            assert not isinstance(failure.value, StoreOutcomeUnknown)
            assert connection.failure is Blame.CALLER
        with closing(opened(gateway, wire)) as connection:
            connection.run(write(1000), soon(), writes=True)
    assert next(handler.numbers) == 3
