"""The connections to the gateways, and the one way in which a call is made through them.

A call has one deadline for everything: waiting for a thread, connecting, sending, and the reply to its last byte. A
call that has not begun by its deadline never begins. Calls begin in the order in which they were made. A caller who
stops waiting stops no call.

- A connection that saw any exception is closed, and never used again (hbase_schema/thrift/connection.py).
- A read whose connection broke is made once more, on a new one. A write is not: part of it may have arrived.
- Before a call, a connection that is idle for too long, or was closed or spoken on meanwhile, is replaced: so a
  gateway's restart costs a write only if it falls into the call itself.
- Connections go to one gateway at a time; to the next one when it refuses, misses a deadline while it answers nobody
  else, or answers with errors only (failover.py). One that takes connections and ends each before it has answered on
  it (a proxy without a gateway behind it, one that speaks another transport by now) counts as one that errs.

happybase has a pool, which is bound to threads, takes dead connections and knows one gateway.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Lock
from time import monotonic
from typing import Final, TypeAlias, TypeVar

from rowbox.cacheserver.stores.hbase.counters import Counters
from rowbox.cacheserver.stores.hbase.failover import Failover
from rowbox.hbase_schema.thrift.connection import Address, GatewayConnection
from rowbox.hbase_schema.thrift.errors import Blame, ConnectionEnded
from rowbox.hbase_schema.thrift.thrift1_client import Thrift1Client
from rowbox.hbase_schema.thrift.wire import Wire
from rowbox.mailbox.errors import StoreUnavailable, StoreUnreachable

_T = TypeVar("_T")
_Work = Callable[[Thrift1Client], _T]
"""What a call does with a connection, in a thread of the pool. It may refuse by StoreUnavailable, with nothing sent."""
_Connection: TypeAlias = GatewayConnection[Thrift1Client]

CLOSED: Final = "the store is closed"


class HBasePool:
    """Makes up to `connections` calls at once, each in a thread, on a connection that no other call uses meanwhile."""

    def __init__(
        self,
        gateways: Sequence[Address],
        connections: int,
        call_timeout_ms: int,
        idle_ms: int,
        wire: Wire,
        frame_bytes: int | None = None,
    ) -> None:
        self._failover = Failover(gateways)
        self._wire = wire
        self._frame_bytes = frame_bytes
        self._call_timeout_s = call_timeout_ms / 1000
        self._idle_s = idle_ms / 1000
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="store-call")
        self._idle: deque[_Connection] = deque()
        self._lock = Lock()
        self._closing: asyncio.Future[None] | None = None
        self._reading: set[_Connection] = set()
        """The connections on which a read is made, or is about to be."""
        self.counters = Counters()

    async def read(self, work: _Work[_T]) -> _T:
        """Returns what `work` returns. StoreUnavailable: it could not be read by the deadline."""
        self.counters.reads += 1
        return await self._in_thread(partial(self._read, work))

    async def write(self, work: _Work[_T], timeout_s: float | None = None) -> _T:
        """Returns what `work` returns. StoreUnavailable: nothing was sent. StoreOutcomeUnknown: something was.

        `timeout_s` takes the place of the pool's own timeout.
        """
        self.counters.writes += 1
        return await self._in_thread(partial(self._write, work), timeout_s)

    async def close(self) -> None:
        """Finishes the writes that were asked for, which takes no longer than a call may, then closes.

        Reads end at once, with StoreUnreachable. A second call waits for the first one.
        """
        if self._closing is None:
            self._closing = asyncio.get_running_loop().run_in_executor(None, self._close_blocking)
            self._interrupt_reads()
        await asyncio.shield(self._closing)

    async def _in_thread(self, call: Callable[[float], _T], timeout_s: float | None = None) -> _T:
        if self._closing is not None:
            raise StoreUnreachable(CLOSED)
        job = self._threads.submit(call, monotonic() + (self._call_timeout_s if timeout_s is None else timeout_s))
        done = asyncio.wrap_future(job)
        done.add_done_callback(_take_note)
        return await asyncio.shield(done)

    def _interrupt_reads(self) -> None:
        with self._lock:
            reading = list(self._reading)
        for connection in reading:
            connection.interrupt()

    def _close_blocking(self) -> None:
        self._threads.shutdown()
        while self._idle:
            self._idle.pop().close()

    # In a thread of the pool

    def _read(self, work: _Work[_T], deadline_s: float) -> _T:
        try:
            return self._once(work, deadline_s, is_write=False)
        except ConnectionEnded:
            return self._once(work, deadline_s, is_write=False)

    def _write(self, work: _Work[_T], deadline_s: float) -> _T:
        return self._once(work, deadline_s, is_write=True)

    def _once(self, work: _Work[_T], deadline_s: float, *, is_write: bool) -> _T:
        if monotonic() >= deadline_s:
            with self._lock:
                self.counters.deadline_misses += 1
            raise StoreUnreachable("no connection became free by the call's deadline")
        connection = self._idle_connection() or self._new_connection(deadline_s, is_write=is_write)
        begun_s = monotonic()
        try:
            with self._interruptible(connection, is_write=is_write):
                result = connection.run(work, deadline_s, writes=is_write)
        except StoreUnavailable:
            self._discard(connection, begun_s, is_write=is_write)
            raise
        self._give_back(connection, is_write=is_write)
        return result

    @contextmanager
    def _interruptible(self, connection: _Connection, *, is_write: bool) -> Iterator[None]:
        """`close` ends what is done on `connection`, unless it is done for a write."""
        if is_write:
            yield
            return
        with self._lock:
            self._reading.add(connection)
        try:
            if self._closing is not None:
                raise StoreUnreachable(CLOSED)
            yield
        finally:
            with self._lock:
                self._reading.discard(connection)

    def _idle_connection(self) -> _Connection | None:
        """The one that was used last, so that under a low load the others grow old."""
        while True:
            with self._lock:
                preferred = self._failover.in_order()[0]
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return None
            if connection.gateway == preferred and connection.is_usable(self._idle_s):
                return connection
            connection.close()

    def _new_connection(self, deadline_s: float, *, is_write: bool) -> _Connection:
        """To the first gateway that takes one; a silent one gets its share of the time that is left."""
        with self._lock:
            gateways = self._failover.in_order()
        refusals: list[str] = []
        for tried, gateway in enumerate(gateways):
            timeout_s = max(0.001, (deadline_s - monotonic()) / (len(gateways) - tried))
            connection = GatewayConnection(gateway, Thrift1Client, self._wire, self._frame_bytes)
            with self._interruptible(connection, is_write=is_write):
                try:
                    connection.open(monotonic() + timeout_s)
                except StoreUnreachable as error:
                    refusals.append(str(error))
                    continue
            with self._lock:
                self.counters.connections_opened += 1
                if tried:  # the first one tried is no news, and may have been left meanwhile
                    self.counters.failovers += self._failover.worked(gateway)
            return connection
        raise StoreUnreachable("; ".join(refusals))

    def _discard(self, connection: _Connection, begun_s: float, *, is_write: bool) -> None:
        connection.close()
        with self._lock:
            self._count_round_trips(connection, is_write=is_write)
            self._judge(connection, begun_s)

    def _judge(self, connection: _Connection, begun_s: float) -> None:
        """What a failed call says of its gateway. With the lock held."""
        gateway, blamed = connection.gateway, connection.failure
        if blamed in {None, Blame.CALLER}:
            return
        if blamed is Blame.SILENCE:
            self.counters.deadline_misses += 1
            self.counters.failovers += self._failover.was_silent(gateway, begun_s)
        elif blamed is Blame.GATEWAY:
            self.counters.errors += 1
            self.counters.failovers += self._failover.erred(gateway)
        elif blamed is Blame.CONNECTION:
            if not connection.has_answered:
                self.counters.failovers += self._failover.erred(gateway)
        else:
            self.counters.refusals += 1
            self._failover.answered(gateway, monotonic())

    def _give_back(self, connection: _Connection, *, is_write: bool) -> None:
        with self._lock:
            self._count_round_trips(connection, is_write=is_write)
            self._failover.answered(connection.gateway, connection.used_s)
            self._idle.append(connection)
            oldest = self._idle.popleft() if self._idle[0].used_s < connection.used_s - self._idle_s else None
        if oldest is not None:
            oldest.close()

    def _count_round_trips(self, connection: _Connection, *, is_write: bool) -> None:
        """With the lock held."""
        if is_write:
            self.counters.write_round_trips += connection.round_trips
        else:
            self.counters.read_round_trips += connection.round_trips


def _take_note(done: "asyncio.Future[_T]") -> None:
    """Its error is nobody's where whoever asked has left: else asyncio would complain that nobody fetched it."""
    if not done.cancelled():
        done.exception()
