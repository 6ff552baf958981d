"""Sends by sockets that follow nothing: what a call costs beside a request."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from itertools import cycle
from time import perf_counter

from bench.live.pairs import call_of
from bench.load import socket
from bench.load.closed_loop import HOST, WrongAnswer
from bench.load.workload import PARTNERS, SENDERS, Workload

_SENT = b'"status":201'


class Senders:
    """Users whose sockets are open. Each has one call under way at most."""

    def __init__(self, workload: Workload, count: int) -> None:
        self._workload = workload
        self._serials = workload.serials()
        self._count = count
        self._free: deque[tuple[socket.Socket, Iterator[str]]] = deque()
        self._answered: Callable[[], None] = lambda: None
        self._failed: Callable[[str], None] = lambda _: None

    async def open(self, port: int) -> None:
        """Connects all."""
        for number in range(self._count):
            side = await socket.connect(port, self._hears(number), self._lost, HOST)
            side.say(b'{"t":"hello","token":"%b"}' % self._workload.caller(f"user{number:04}").token.encode())
            self._free.append((side, self._recipients(number)))
        self._sides = tuple(self._free)

    async def closed_loop(self, in_flight: int, seconds: float) -> int:
        """As soon as a call was answered, the socket that has waited longest has one. How many were. WrongAnswer."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ends_s, count, busy = perf_counter() + seconds, 0, in_flight

        def failed(why: str) -> None:
            if not done.done():
                done.set_exception(WrongAnswer(why))

        def answered() -> None:
            nonlocal count, busy
            count += 1
            if perf_counter() < ends_s:
                self._send()
                return
            busy -= 1
            if not busy and not done.done():
                done.set_result(None)

        self._answered, self._failed = answered, failed
        for _ in range(in_flight):
            self._send()
        await done
        return count

    def close(self) -> None:
        """Ends its connections."""
        self._failed = lambda _: None
        for side, _ in self._sides:
            side.abort()

    def _lost(self, why: str) -> None:
        self._failed(why)

    def _send(self) -> None:
        side, recipients = self._free.popleft()
        side.say(call_of(next(recipients), next(self._serials)))

    def _hears(self, number: int) -> socket.Receive:
        def hear(frame: bytes) -> None:
            if frame.startswith(b'{"t":"reply"'):
                if _SENT not in frame:
                    self._failed(frame.decode(errors="replace"))
                self._free.append(self._sides[number])
                self._answered()

        return hear

    def _recipients(self, number: int) -> Iterator[str]:
        return cycle([f"user{(number + SENDERS // 2 + partner) % SENDERS:04}" for partner in range(PARTNERS)])
