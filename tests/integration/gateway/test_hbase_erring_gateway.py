"""A gateway that answers every call with an error, beside one that works. Both are made here: no HBase is needed."""
# mypy: allow-untyped-calls

import asyncio
from importlib import import_module
from typing import Any

import pytest
from happybase.connection import Hbase

from rowbox.cacheserver.stores.hbase.failover import ERRORS_IN_A_ROW
from rowbox.cacheserver.stores.hbase.pool import HBasePool
from rowbox.hbase_schema.thrift.thrift1_client import Thrift1Client
from rowbox.hbase_schema.thrift.wire import DEFAULT
from rowbox.mailbox.errors import StoreOutcomeUnknown, StoreUnavailable
from tests.support.scripted_gateway import thrift_gateway

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


def write(client: Thrift1Client) -> None:
    client.mutateRowsTs(b"t", [], 1, {})


async def outcomes(first: Table, second: Table, calls: int) -> tuple[list[type], HBasePool]:
    """What becomes of so many writes, one after the other."""
    with thrift_gateway(Hbase, first) as one, thrift_gateway(Hbase, second) as other:
        pool = HBasePool([one, other], connections=2, call_timeout_ms=2000, idle_ms=10_000, wire=DEFAULT)
        seen: list[type] = []
        for _ in range(calls):
            try:
                await pool.write(write)
                seen.append(type(None))
            except StoreUnavailable as error:
                seen.append(StoreOutcomeUnknown if isinstance(error, StoreOutcomeUnknown) else StoreUnavailable)
        await pool.close()
    return seen, pool


async def test_a_gateway_that_answers_every_call_with_an_error_is_left_for_the_next() -> None:
    erring, healthy = Table(OWN), Table(None)
    seen, pool = await outcomes(erring, healthy, 20)
    assert seen == [StoreOutcomeUnknown] * ERRORS_IN_A_ROW + [type(None)] * (20 - ERRORS_IN_A_ROW)
    assert (pool.counters.errors, pool.counters.failovers) == (ERRORS_IN_A_ROW, 1)


async def test_one_that_was_left_and_works_again_is_found_when_the_next_one_errs() -> None:
    table = Table(OWN)
    with thrift_gateway(Hbase, table) as one, thrift_gateway(Hbase, Table(OWN)) as other:
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
