"""The closed loop: a fixed number of requests in flight. Each answer is followed by the next request."""

import asyncio
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import NamedTuple, Protocol

from bench.load.connection import Connection, body_of

HOST = "127.0.0.1"


class WrongAnswer(Exception):
    """A server gave an answer that the scenario does not expect, so its numbers mean nothing."""


class Load(NamedTuple):
    """The latencies that a loop saw. `wall_s` ends with the last answer, so no request is in flight at either end."""

    wall_s: float
    latencies_s: list[float]


async def closed_loop(
    port: int, requests: Iterator[bytes], status: int, *, in_flight: int, seconds: float = float("inf")
) -> Load:
    """Keeps `in_flight` requests going for `seconds`, or until there are no more. WrongAnswer, ConnectionError."""
    loop = _ClosedLoop(requests, b"HTTP/1.1 %d " % status)
    connections = [await connect(port, loop) for _ in range(in_flight)]
    try:
        return await loop.run(connections, seconds)
    finally:
        for connection in connections:
            connection.close()


async def exchange(port: int, requests: Iterable[bytes], status: int) -> list[bytes]:
    """The bodies of the answers to `requests`, sent one after the other."""
    loop = _ClosedLoop(iter(requests), b"HTTP/1.1 %d " % status, keeps_bodies=True)
    connection = await connect(port, loop)
    try:
        await loop.run([connection], float("inf"))
    finally:
        connection.close()
    return loop.bodies


class Receiver(Protocol):
    """Is called with each answer of a connection, and at its end."""

    def answered(self, connection: Connection, answer: bytes) -> None: ...

    def lost(self, error: Exception | None) -> None: ...


async def connect(port: int, receiver: Receiver, address: str = HOST) -> Connection:
    """A connection from the local `address`: 10,000 of them and their remains do not fit the ports of one. OSError."""
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: Connection(receiver.answered, receiver.lost), HOST, port, local_addr=(address, 0)
    )
    return connection


class Loop:
    """Shared by the closed and the open loop: answers are timed and checked, and the first wrong one ends the loop."""

    def __init__(self, expected: bytes) -> None:
        self._expected = expected
        self._ended: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.latencies_s: list[float] = []

    def answered(self, connection: Connection, answer: bytes) -> None:
        now_s = perf_counter()
        self.latencies_s.append(now_s - connection.sent_at_s)
        if answer.startswith(self._expected):
            self.go_on(connection, answer, now_s)
        else:
            self._fail(WrongAnswer(answer.decode(errors="replace")))

    def go_on(self, connection: Connection, answer: bytes, now_s: float) -> None:
        """Called after each answer, when `connection` is free again."""
        raise NotImplementedError

    def lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionError("the server closed a connection"))

    def _fail(self, error: Exception) -> None:
        if not self._ended.done():
            self._ended.set_exception(error)


class _ClosedLoop(Loop):
    def __init__(self, requests: Iterator[bytes], expected: bytes, *, keeps_bodies: bool = False) -> None:
        super().__init__(expected)
        self._requests = requests
        self._keeps_bodies = keeps_bodies
        self._deadline_s = 0.0
        self._busy = 0
        self.bodies: list[bytes] = []

    async def run(self, connections: list[Connection], seconds: float) -> Load:
        began_s = perf_counter()
        self._deadline_s = began_s + seconds
        self._busy = len(connections)
        for connection in connections:
            self._send_next(connection, perf_counter())
        ended_s = await self._ended
        return Load(ended_s - began_s, self.latencies_s)

    def go_on(self, connection: Connection, answer: bytes, now_s: float) -> None:
        if self._keeps_bodies:
            self.bodies.append(body_of(answer))
        self._send_next(connection, now_s)

    def _send_next(self, connection: Connection, now_s: float) -> None:
        request = next(self._requests, None) if now_s < self._deadline_s else None
        if request is not None:
            connection.send(request, now_s)
            return
        self._busy -= 1
        if not self._busy and not self._ended.done():
            self._ended.set_result(now_s)
