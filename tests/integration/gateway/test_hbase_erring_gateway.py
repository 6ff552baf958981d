"""A gateway that answers every call with an error, beside one that works. Both are made here: no HBase is needed."""
# mypy: allow-untyped-calls

import asyncio
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Thread
from typing import Any

import pytest
from happybase.connection import Hbase
from thriftpy2.protocol import TBinaryProtocol
from thriftpy2.thrift import TProcessor
from thriftpy2.transport import TBufferedTransport, TSocket, TTransportException

from rowbox.cacheserver.stores.hbase.connection import Gateway, GatewayClient
from rowbox.cacheserver.stores.hbase.gateway_choice import ERRORS_IN_A_ROW
from rowbox.cacheserver.stores.hbase.pool import HBasePool
from rowbox.hbase_schema.thrift.wire import DEFAULT
from rowbox.mailbox.errors import StoreOutcomeUnknown, StoreUnavailable

pytestmark = pytest.mark.integration

GatewayError = import_module("Hbase_thrift").IOError
"""A module that thriftpy2 makes of HBase's interface definition: no import that a type checker could follow."""
OWN = b"java.io.IOException: this gateway has lost its cluster\n\tat a.b.C(D.java:1)\n"
BUSY = b"org.apache.hadoop.hbase.RegionTooBusyException: Over memstore limit\n\tat a.b.C(D.java:1)\n"


class Table:
    """What a gateway does with a write: says `error`, or takes it."""

    def __init__(self, error: bytes | None) -> None:
        self.error = error
        self.calls = 0

    def mutateRowsTs(self, *_: Any) -> None:  # noqa: N802 - Thrift1's name
        self.calls += 1
        if self.error is not None:
            raise GatewayError(message=self.error)


class _Connection(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        transport = TBufferedTransport(TSocket(sock=self.request))
        protocol = TBinaryProtocol(transport, decode_response=False)
        with suppress(TTransportException):
            while True:
                self.server.processor.process(protocol, protocol)  # type: ignore[attr-defined]


@contextmanager
def gateway(table: Table) -> Iterator[Gateway]:
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Connection) as server:
        server.processor = TProcessor(Hbase, table)  # type: ignore[attr-defined]
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield ("127.0.0.1", server.server_address[1])
        server.shutdown()
        thread.join()


def write(client: GatewayClient) -> None:
    client.mutateRowsTs(b"t", [], 1, {})


async def outcomes(first: Table, second: Table, calls: int) -> tuple[list[type], HBasePool]:
    """What becomes of so many writes, one after the other."""
    with gateway(first) as one, gateway(second) as other:
        pool = HBasePool([one, other], connections=2, call_timeout_ms=2000, idle_ms=10_000, wire=DEFAULT)
        seen: list[type] = []
        for _ in range(calls):
            try:
                await pool.write(write)
                seen.append(type(None))
            except StoreUnavailable as error:
                seen.append(type(error))
        await pool.close()
    return seen, pool


async def test_a_gateway_that_answers_every_call_with_an_error_is_left_for_the_next() -> None:
    erring, healthy = Table(OWN), Table(None)
    seen, pool = await outcomes(erring, healthy, 20)
    assert seen == [StoreOutcomeUnknown] * ERRORS_IN_A_ROW + [type(None)] * (20 - ERRORS_IN_A_ROW)
    assert (pool.counters.errors, pool.counters.failovers) == (ERRORS_IN_A_ROW, 1)


async def test_one_that_was_left_and_works_again_is_found_when_the_next_one_errs() -> None:
    table = Table(OWN)
    with gateway(table) as one, gateway(Table(OWN)) as other:
        pool = HBasePool([one, other], connections=2, call_timeout_ms=2000, idle_ms=10_000, wire=DEFAULT)
        for _ in range(ERRORS_IN_A_ROW):
            with pytest.raises(StoreOutcomeUnknown):
                await pool.write(write)
        table.error = None
        for _ in range(ERRORS_IN_A_ROW):
            with pytest.raises(StoreOutcomeUnknown):
                await pool.write(write)
        await asyncio.gather(*(pool.write(write) for _ in range(10)))
        await pool.close()


async def test_what_a_busy_region_server_refuses_is_no_reason_to_leave_the_gateway() -> None:
    busy, other = Table(BUSY), Table(None)
    seen, pool = await outcomes(busy, other, 20)
    assert set(seen) == {StoreOutcomeUnknown}
    assert (other.calls, pool.counters.refusals, pool.counters.failovers) == (0, 20, 0)
