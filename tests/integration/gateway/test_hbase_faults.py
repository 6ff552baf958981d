"""The store on a real HBase behind gateways that go slow, deaf and away: each error is the right one, and in time.

Right means: StoreOutcomeUnknown iff something of a write was sent, StoreUnavailable otherwise.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from itertools import count
from time import monotonic, time_ns

import pytest

from rowbox.cacheserver.stores.hbase import reads as hbase_reads
from rowbox.cacheserver.stores.hbase.store import HBaseStore
from rowbox.cacheserver.stores.port import Put, RowDelete, RowMutation
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.thrift.connection import GatewayConnection
from rowbox.hbase_schema.thrift.thrift1_client import Thrift1Client
from rowbox.hbase_schema.thrift.wire import DEFAULT
from rowbox.mailbox.errors import StoreOutcomeUnknown, StoreUnavailable
from rowbox.mailbox.settings.config import HBaseAddress, HBaseSettings, StoreSettings
from tests.integration.support.hbase_server import in_time
from tests.support.hbase_cluster import HBase
from tests.support.hbase_table import made_table
from tests.support.tcp_proxy import Fault, TcpProxy, running_proxy

pytestmark = pytest.mark.integration

I, O = Family.INDEX, Family.OUTBOX  # noqa: E741 - their letters
stamps = count(time_ns() // 1_000_000)
TIMEOUT_MS = 1000
LIMIT_S = 1.6
"""A call's deadline, and less than another one."""
BUSY_MACHINE_S = 4.0
"""Less than a deadline for each of ten calls."""
NEVER_MS = 3_600_000
KNOWN = b"0001/known"
SHARD = range(1, 2)
READS: dict[str, Callable[[HBaseStore], Awaitable[object]]] = {
    "get_row": lambda store: store.get_row(KNOWN, [I, O]),
    "get_row_within": lambda store: store.get_row_within(KNOWN, [I, O], 1),
    "get_columns": lambda store: store.get_columns(KNOWN, I, [b"q"]),
    "get_range": lambda store: store.get_range(KNOWN, I, b"", b"\xff", 9),
    "scan": lambda store: store.scan(SHARD, I, None, 1),
    "scan_rows": lambda store: store.scan_rows(SHARD, I, None, 1),
    "verify": lambda store: store.verify(),
}
WRITES: dict[str, Callable[[HBaseStore], Awaitable[object]]] = {
    "mutate": lambda store: put(store, b"0002/mutated", b"v"),
    "delete": lambda store: store.delete([RowDelete(b"0002/deleted", [(I, b"q")])], next(stamps)),
    "compare_and_set": lambda store: store.compare_and_set(b"0002/set", I, b"q", b"never", b"v"),
}
WHAT_IS_READ: dict[str, object] = {
    "get_row": {I: [(b"q", b"known")], O: []},
    "get_row_within": {I: [(b"q", b"known")], O: []},
    "get_columns": [(b"q", b"known")],
    "get_range": [(b"q", b"known")],
    "scan": [(KNOWN, [(b"q", b"known")])],
    "scan_rows": [KNOWN],
    "verify": None,
}


async def put(store: HBaseStore, row: bytes, value: bytes) -> None:
    await store.mutate([RowMutation(row, [Put(I, b"q", value)])], next(stamps))


async def value(store: HBaseStore, row: bytes) -> bytes | None:
    columns = await store.get_columns(row, I, [b"q"])
    return columns[0][1] if columns else None


@pytest.fixture(scope="module")
def table(hbase: HBase) -> Iterator[HBaseAddress]:
    with made_table(hbase, StoreSettings(shards=64)) as address:
        yield address


@pytest.fixture
async def proxies(table: HBaseAddress) -> AsyncIterator[list[TcpProxy]]:
    """Two, in front of one gateway."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running_proxy(table.gateways[0])) for _ in range(2)]


@pytest.fixture
async def proxy(proxies: list[TcpProxy]) -> TcpProxy:
    return proxies[0]


@asynccontextmanager
async def opened(
    table: HBaseAddress, *proxies: TcpProxy, connections: int = 16, idle_ms: int = NEVER_MS
) -> AsyncIterator[HBaseStore]:
    """A store behind `proxies`, in which the row KNOWN stands."""
    address = HBaseAddress(tuple(proxy.address for proxy in proxies), table.prefix)
    settings = HBaseSettings(connections=connections, call_timeout_ms=TIMEOUT_MS, idle_ms=idle_ms)
    store = await HBaseStore.open(address, settings)
    try:
        await put(store, KNOWN, b"known")
        yield store
    finally:
        await store.close()


async def kinds(store: HBaseStore, calls: dict[str, Callable[[HBaseStore], Awaitable[object]]]) -> dict[str, type]:
    """What becomes of all `calls`, made at once: the error's type, or NoneType for no error."""

    async def kind(call: Callable[[HBaseStore], Awaitable[object]]) -> type:
        try:
            await call(store)
        except StoreOutcomeUnknown:
            return StoreOutcomeUnknown
        except StoreUnavailable:
            return StoreUnavailable
        return type(None)

    return dict(zip(calls, await asyncio.gather(*map(kind, calls.values())), strict=True))


async def all_is_well(store: HBaseStore) -> None:
    """Every call works, and reads give what was asked for."""
    assert {name: await read(store) for name, read in READS.items()} == WHAT_IS_READ
    assert set((await kinds(store, WRITES)).values()) == {type(None)}


# What each fault means to each call


@pytest.mark.parametrize("fault", Fault)
async def test_a_write_that_was_sent_is_unknown_and_a_read_unavailable_by_the_deadline(
    table: HBaseAddress, proxy: TcpProxy, fault: Fault
) -> None:
    async with opened(table, proxy) as store:

        async def inflicted() -> float:
            proxy.inflict(fault)
            began_s = monotonic()
            found = await kinds(store, READS | WRITES)
            took_s = monotonic() - began_s
            assert found == dict.fromkeys(READS, StoreUnavailable) | dict.fromkeys(WRITES, StoreOutcomeUnknown)
            proxy.heal()
            await all_is_well(store)
            return took_s

        await in_time(inflicted, LIMIT_S)


async def test_where_no_gateway_takes_a_connection_nothing_is_unknown(table: HBaseAddress, proxy: TcpProxy) -> None:
    async with opened(table, proxy) as store:
        await proxy.refuse()
        assert await kinds(store, READS | WRITES) == dict.fromkeys(READS | WRITES, StoreUnavailable)
        await proxy.listen()
        await all_is_well(store)


async def test_a_write_that_finds_no_thread_by_its_deadline_is_never_sent(table: HBaseAddress, proxy: TcpProxy) -> None:
    numbers = count()
    async with opened(table, proxy, connections=2) as store:

        async def crowded() -> float:
            rows = [b"0003/crowd%d" % next(numbers) for _ in range(6)]
            proxy.inflict(Fault.HOLD)
            began_s = monotonic()
            found = await kinds(store, {row.decode(): partial(put, row=row, value=b"v") for row in rows})
            took_s = monotonic() - began_s
            assert set(found.values()) == {StoreOutcomeUnknown, StoreUnavailable}
            proxy.heal()
            await proxy.release()
            sent = [row.decode() for row in rows if await value(store, row)]
            assert sent == [row for row, kind in found.items() if kind is StoreOutcomeUnknown]
            return took_s

        await in_time(crowded, LIMIT_S)


async def test_a_write_that_lands_late_was_reported_as_unknown(table: HBaseAddress, proxy: TcpProxy) -> None:
    row = b"0003/late"
    async with opened(table, proxy) as store:
        proxy.inflict(Fault.HOLD)
        with pytest.raises(StoreOutcomeUnknown):
            await put(store, row, b"late")
        proxy.heal()
        assert await value(store, row) is None
        await proxy.release()
        assert await value(store, row) == b"late"


async def test_a_write_whose_reply_was_lost_has_happened_and_is_not_made_again(
    table: HBaseAddress, proxy: TcpProxy
) -> None:
    row = b"0003/lost"
    async with opened(table, proxy) as store:
        before = proxy.requests
        proxy.inflict(Fault.CUT_BEFORE_REPLY, times=1)
        with pytest.raises(StoreOutcomeUnknown):
            await put(store, row, b"v")
        assert proxy.requests - before == 1
        assert await value(store, row) == b"v"


# Connections


async def test_a_connection_that_saw_an_exception_is_closed(table: HBaseAddress, proxy: TcpProxy) -> None:
    async with opened(table, proxy) as store:
        proxy.inflict(Fault.HOLD, times=1)
        with pytest.raises(StoreUnavailable):
            await value(store, KNOWN)
        await proxy.until(lambda: proxy.open == 0)
        await proxy.release()
        assert await value(store, b"0003/nobody") is None
        assert store.counters.connections_opened == 2


async def test_the_reply_to_a_call_that_was_given_up_is_not_taken_for_the_next_ones(
    table: HBaseAddress, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a connection that is not closed, as it should be."""
    get = partial(hbase_reads.get_columns, table=table.table.encode(), row=KNOWN, family=I, qualifiers=[b"q"])

    def read(seconds: float) -> object:
        return connection.run(get, monotonic() + seconds, writes=False)

    connection = GatewayConnection(proxy.address, Thrift1Client, DEFAULT)
    connection.open(monotonic() + 1)
    with monkeypatch.context() as patch:
        patch.setattr(connection, "close", lambda: None)
        proxy.inflict(Fault.HOLD, times=1)
        with pytest.raises(StoreUnavailable, match="timed out"):
            await asyncio.to_thread(read, 0.1)
        await proxy.release()
        with pytest.raises(StoreUnavailable, match="got a reply to getRowWithColumns"):
            await asyncio.to_thread(read, 10.0)
    connection.close()


async def test_a_read_whose_connection_broke_is_made_once_more(table: HBaseAddress, proxy: TcpProxy) -> None:
    async with opened(table, proxy) as store:
        proxy.inflict(Fault.CUT_IN_REPLY, times=1)
        assert await value(store, KNOWN) == b"known"
        before = proxy.requests
        proxy.inflict(Fault.CUT_IN_REPLY)
        with pytest.raises(StoreUnavailable):
            await value(store, KNOWN)
        assert proxy.requests - before == 2


async def test_a_write_does_not_take_a_connection_that_the_gateway_closed(table: HBaseAddress, proxy: TcpProxy) -> None:
    async with opened(table, proxy) as store:
        await proxy.hang_up()
        await put(store, KNOWN, b"known")


async def test_a_connection_that_died_silently_costs_a_call_unless_it_was_idle_for_too_long(
    table: HBaseAddress, proxy: TcpProxy
) -> None:
    async with opened(table, proxy, idle_ms=NEVER_MS) as store:
        proxy.forget()
        with pytest.raises(StoreOutcomeUnknown):
            await put(store, KNOWN, b"known")
    async with opened(table, proxy, idle_ms=0) as store:
        proxy.forget()
        await put(store, KNOWN, b"known")


async def test_connections_that_are_not_needed_any_more_are_closed(table: HBaseAddress, proxy: TcpProxy) -> None:
    async with opened(table, proxy, idle_ms=0) as store:
        await asyncio.gather(*(value(store, KNOWN) for _ in range(8)))
        await proxy.until(lambda: proxy.open <= 1)


async def test_connections_are_made_when_they_are_needed_and_at_most_so_many(
    table: HBaseAddress, proxy: TcpProxy
) -> None:
    async with opened(table, proxy, connections=3) as store:
        assert proxy.accepted == 1
        await asyncio.gather(*(value(store, KNOWN) for _ in range(20)))
        assert proxy.accepted <= 3


# Several gateways


async def test_the_next_gateway_serves_when_one_refuses_and_stays(table: HBaseAddress, proxies: list[TcpProxy]) -> None:
    first, second = proxies
    async with opened(table, first, second) as store:
        await first.refuse()
        await all_is_well(store)
        await first.listen()
        await all_is_well(store)
        assert (store.counters.failovers, first.accepted) == (1, 1)
        await second.refuse()
        await all_is_well(store)
        assert store.counters.failovers == 2


async def test_the_next_gateway_serves_once_one_has_been_deaf_for_a_deadline(
    table: HBaseAddress, proxies: list[TcpProxy]
) -> None:
    """All calls that begin from then on, although there are idle connections to the deaf one."""
    first, second = proxies
    async with opened(table, first, second) as store:
        first.inflict(Fault.HOLD)
        reads = [asyncio.create_task(value(store, KNOWN)) for _ in range(4)]
        await first.until(lambda: first.held == len(reads))
        await first.release()
        await asyncio.gather(*reads)
        first.inflict(Fault.DEAF)
        began_s = monotonic()
        with pytest.raises(StoreUnavailable):
            await value(store, KNOWN)
        await all_is_well(store)
        assert monotonic() - began_s < LIMIT_S + BUSY_MACHINE_S
        assert (store.counters.deadline_misses, store.counters.failovers) == (1, 1)


async def test_a_read_goes_on_at_the_next_gateway_when_one_dies_meanwhile(
    table: HBaseAddress, proxies: list[TcpProxy]
) -> None:
    first, second = proxies
    async with opened(table, first, second) as store:
        first.inflict(Fault.HOLD)
        reading = asyncio.create_task(value(store, KNOWN))
        await first.until(lambda: first.held == 1)
        await first.refuse()
        assert await reading == b"known"
        assert second.accepted == 1


async def test_a_gateway_that_does_not_even_refuse_leaves_time_for_the_next(
    table: HBaseAddress, proxy: TcpProxy
) -> None:
    """Its machine is gone: what is sent there is lost. Here, its queue of new connections is full."""
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(silent.getsockname())
        address = HBaseAddress((silent.getsockname(), proxy.address), table.prefix)
        store = await HBaseStore.open(address, HBaseSettings(call_timeout_ms=TIMEOUT_MS))
        assert store.counters.failovers == 1
        await store.close()


async def test_where_all_gateways_refuse_the_error_names_each(table: HBaseAddress, proxies: list[TcpProxy]) -> None:
    async with opened(table, *proxies) as store:
        for proxy in proxies:
            await proxy.refuse()
        with pytest.raises(StoreUnavailable) as failure:
            await store.verify()
        assert all(f"{host}:{port}" in str(failure.value) for host, port in (proxy.address for proxy in proxies))


# What it says about itself


async def test_round_trips_are_counted(table: HBaseAddress, proxy: TcpProxy) -> None:
    async with opened(table, proxy) as store:
        reads = store.counters.reads  # those of opening
        for call, expected in (("get_row", 1), ("get_columns", 1), ("get_range", 2), ("scan", 2), ("scan_rows", 2)):
            before = store.counters.read_round_trips
            await READS[call](store)
            assert (call, store.counters.read_round_trips - before) == (call, expected)
        before = store.counters.write_round_trips
        await kinds(store, WRITES)
        assert store.counters.write_round_trips - before == len(WRITES)
        assert (store.counters.reads - reads, store.counters.writes) == (5, 4)
