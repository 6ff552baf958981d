"""The store's pool: what it does with connections and calls, over gateways that are made here.

What faults on the way to a real HBase mean to the store's calls: test_hbase_faults.py.
"""
# mypy: allow-untyped-calls

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Event
from typing import Any

import pytest
from happybase.connection import Hbase

from rowbox.cacheserver.stores.hbase.pool import HBasePool
from rowbox.hbase_schema.thrift.connection import Address
from rowbox.hbase_schema.thrift.deadline_socket import DeadlineSocket
from rowbox.hbase_schema.thrift.thrift1_client import Thrift1Client
from rowbox.hbase_schema.thrift.wire import DEFAULT, Wire
from rowbox.mailbox.errors import StoreOutcomeUnknown, StoreUnavailable, StoreUnreachable
from tests.support.scripted_gateway import foreign_gateway, is_deaf, thrift_gateway
from tests.support.tcp_proxy import Fault, running_proxy

pytestmark = pytest.mark.integration

PATIENT_MS = 60_000
"""A call's time where its end is not what is looked at."""


class Gateway:
    """Answers reads, and writes once it may."""

    def __init__(self) -> None:
        self.was_asked, self.may_answer = Event(), Event()
        self.may_answer.set()
        self.writes = 0

    def getTableNames(self) -> list[bytes]:  # noqa: N802 - Thrift's names, here and below
        return [b"t"]

    def mutateRowsTs(self, *_: Any) -> None:  # noqa: N802
        self.was_asked.set()
        self.may_answer.wait(30)
        self.writes += 1


def pool_of(*gateways: Address, connections: int = 2, call_timeout_ms: int = PATIENT_MS) -> HBasePool:
    return HBasePool(gateways, connections, call_timeout_ms, idle_ms=PATIENT_MS, wire=DEFAULT)


def names(client: Thrift1Client) -> object:
    return client.getTableNames()


def write(client: Thrift1Client) -> None:
    client.mutateRowsTs(b"t", [], 1, {})


@contextmanager
def black_hole() -> Iterator[Address]:
    """What does not even refuse: its queue of new connections is full."""
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(silent.getsockname())
        yield silent.getsockname()


async def reading_on(pool: HBasePool) -> "asyncio.Task[object]":
    """A read that is on its way to a gateway."""
    reading = asyncio.create_task(pool.read(names))
    await asyncio.to_thread(wait_until_on_its_way, pool)
    return reading


def wait_until_on_its_way(pool: HBasePool) -> None:
    ends_s = time.monotonic() + 30
    while not any(each._socket.sock for each in list(pool._reading)):
        assert time.monotonic() < ends_s


# ---------------------------------------------------------------------- closing


async def test_closing_ends_a_read_whose_gateway_is_deaf() -> None:
    with foreign_gateway(is_deaf) as gateway:
        pool = pool_of(gateway)
        reading = await reading_on(pool)
        async with asyncio.timeout(30):
            await pool.close()
        with pytest.raises(StoreUnreachable):
            await reading


async def test_and_one_that_waits_to_be_connected() -> None:
    with black_hole() as gateway:
        pool = pool_of(gateway)
        reading = await reading_on(pool)
        async with asyncio.timeout(30):
            await pool.close()
        with pytest.raises(StoreUnreachable):
            await reading


async def test_and_one_that_is_just_about_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before there is a connection to end, and after it was looked whether the pool is closed."""
    was_begun, may_go_on = Event(), Event()
    begun = DeadlineSocket._init_sock

    def is_held_up(opening: DeadlineSocket) -> None:
        begun(opening)
        was_begun.set()
        may_go_on.wait(30)

    monkeypatch.setattr(DeadlineSocket, "_init_sock", is_held_up)
    with black_hole() as gateway:
        pool = pool_of(gateway)
        reading = asyncio.create_task(pool.read(names))
        assert await asyncio.to_thread(was_begun.wait, 30)
        closing = asyncio.create_task(pool.close())
        await asyncio.sleep(0)
        may_go_on.set()
        async with asyncio.timeout(30):
            await closing
        with pytest.raises(StoreUnreachable):
            await reading


async def test_closing_waits_for_a_write_and_for_one_that_has_no_thread_yet() -> None:
    handler = Gateway()
    handler.may_answer.clear()
    with thrift_gateway(Hbase, handler) as gateway:
        pool = pool_of(gateway, connections=1)
        writing = [asyncio.create_task(pool.write(write)) for _ in range(2)]
        assert await asyncio.to_thread(handler.was_asked.wait, 30)
        closing = asyncio.create_task(pool.close())
        await asyncio.sleep(0)
        handler.may_answer.set()
        await closing
        await asyncio.gather(*writing)
        assert handler.writes == 2


async def test_a_closed_pool_takes_no_call() -> None:
    handler = Gateway()
    with thrift_gateway(Hbase, handler) as gateway:
        pool = pool_of(gateway)
        assert await pool.read(names) == [b"t"]
        await pool.close()
        for call in (pool.read(names), pool.write(write)):
            with pytest.raises(StoreUnreachable, match="the store is closed") as failure:
                await call
            assert not isinstance(failure.value, StoreOutcomeUnknown)
        assert handler.writes == 0


# ---------------------------------------------------------------------- failover


async def test_idle_connections_to_a_gateway_that_was_left_carry_no_call() -> None:
    with thrift_gateway(Hbase, Gateway()) as first, thrift_gateway(Hbase, Gateway()) as second:
        async with running_proxy(first) as proxy:
            pool = pool_of(proxy.address, second)
            assert await pool.read(names) == [b"t"]
            assert len(pool._idle) == 1
            with pool._lock:
                assert pool._failover.was_silent(proxy.address, time.monotonic())
            before = proxy.requests
            assert await pool.read(names) == [b"t"]
            assert (proxy.requests - before, pool.counters.connections_opened) == (0, 2)
            await pool.close()


async def test_a_gateway_that_does_not_even_refuse_has_its_share_of_a_calls_time() -> None:
    with black_hole() as silent, thrift_gateway(Hbase, Gateway()) as gateway:
        pool = pool_of(silent, gateway, call_timeout_ms=4000)
        assert await pool.read(names) == [b"t"]
        assert pool.counters.failovers == 1
        await pool.close()


async def test_the_first_gateway_that_is_tried_was_not_changed_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was left while the connection was made, that stands."""
    with thrift_gateway(Hbase, Gateway()) as first, thrift_gateway(Hbase, Gateway()) as second:
        pool = pool_of(first, second)
        connect = DeadlineSocket.open

        def is_left_meanwhile(opening: DeadlineSocket) -> None:
            connect(opening)
            with pool._lock:
                assert pool._failover.was_silent(first, time.monotonic())

        monkeypatch.setattr(DeadlineSocket, "open", is_left_meanwhile)
        assert await pool.read(names) == [b"t"]
        assert pool._failover.in_order() == [second, first]
        await pool.close()


# ---------------------------------------------------------------------- what a failure leaves


@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE_REPLY, Fault.CUT_IN_REPLY])
async def test_many_calls_that_fail_leave_no_connection_behind(fault: Fault) -> None:
    with thrift_gateway(Hbase, Gateway()) as gateway:
        async with running_proxy(gateway) as proxy:
            pool = pool_of(proxy.address)
            proxy.inflict(fault)
            for _ in range(50):
                with pytest.raises(StoreUnavailable):
                    await pool.read(names)
            await proxy.until(lambda: proxy.open == 0)
            assert (len(pool._idle), len(pool._reading)) == (0, 0)
            await pool.close()


async def test_a_request_that_was_refused_here_says_nothing_of_the_gateway() -> None:
    wire = Wire("framed", "binary")
    with thrift_gateway(Hbase, Gateway(), wire) as gateway:
        pool = HBasePool([gateway], 1, PATIENT_MS, PATIENT_MS, wire, frame_bytes=1)
        with pytest.raises(StoreUnavailable, match="larger than"):
            await pool.write(write)
        counters = pool.counters
        assert (counters.errors, counters.refusals, counters.deadline_misses, counters.failovers) == (0, 0, 0, 0)
        await pool.close()
