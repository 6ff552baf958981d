"""The open loop: requests at a rate, whether or not the server keeps up.

Latency counts from the moment at which a request was meant to be sent. So a server that stalls for a second makes all
the requests of that second slow. A closed loop would wait with the server and see one slow answer (coordinated
omission).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from time import perf_counter

from bench.load.closed_loop import Load, Loop, connect
from bench.load.connection import Connection

CONNECTIONS = 256
"""The number of connections: more than are busy while the server keeps up. Further requests wait here, and the wait
counts as their latency."""
PATIENCE_S = 60.0
_TICK_S = 0.001

NextRequest = Callable[[float], bytes]
"""Makes the next request, right before it is sent. Its argument is the moment at which the request was meant to be
sent, by perf_counter."""


async def open_loop(
    port: int,
    next_request: NextRequest,
    status: int,
    *,
    rate: float,
    seconds: float,
    connections: int = CONNECTIONS,
    until: Awaitable[object] | None = None,
) -> Load:
    """Sends `rate` requests a second for `seconds`, or until `until`, and returns when all are answered.

    WrongAnswer, ConnectionError; TimeoutError where the last answers do not come within PATIENCE_S.
    """
    loop = _OpenLoop(next_request, b"HTTP/1.1 %d " % status, rate, max(1, round(rate * seconds)))
    opened = [await connect(port, loop) for _ in range(connections)]
    try:
        async with asyncio.timeout(seconds + PATIENCE_S):
            return await loop.run(opened, until)
    finally:
        loop.stop()
        for connection in opened:
            connection.close()


class _OpenLoop(Loop):
    def __init__(self, next_request: NextRequest, expected: bytes, rate: float, total: int) -> None:
        super().__init__(expected)
        self._next_request = next_request
        self._rate = rate
        self._total = total
        self._sent = 0
        self._began_s = 0.0
        self._free: deque[Connection] = deque()
        """In the order in which they were given back: each has its turn, or the server would close what stays idle."""
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, connections: list[Connection], until: Awaitable[object] | None) -> Load:
        self._free = deque(connections)
        self._began_s = perf_counter()
        self._tick()
        if until is not None:
            await until
            self._total = max(1, self._sent)
            self._end_if_answered(perf_counter())
        return Load(await self._ended - self._began_s, self.latencies_s)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def go_on(self, connection: Connection, answer: bytes, now_s: float) -> None:
        self._free.append(connection)
        self._send_due(now_s)
        self._end_if_answered(now_s)

    def _end_if_answered(self, now_s: float) -> None:
        if len(self.latencies_s) == self._total and not self._ended.done():
            self._ended.set_result(now_s)

    def _tick(self) -> None:
        self._send_due(perf_counter())
        if self._sent < self._total:
            self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _send_due(self, now_s: float) -> None:
        due = min(self._total, int((now_s - self._began_s) * self._rate) + 1)
        while self._sent < due and self._free:
            intended_s = self._began_s + self._sent / self._rate
            self._sent += 1
            self._free.popleft().send(self._next_request(intended_s), intended_s)
