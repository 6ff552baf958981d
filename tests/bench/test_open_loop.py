"""The open loop against a server in the same loop, which answers when the test lets it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import cast

import pytest

from bench.load.closed_loop import HOST, WrongAnswer
from bench.load.latency import in_ms, percentile
from bench.load.open_loop import open_loop

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
REQUEST = b"GET / HTTP/1.1\r\n\r\n"
RATE = 1000.0


class Answering(asyncio.Protocol):
    """Answers with `answer` through a gate: a gate calls what it is given, now or later."""

    def __init__(self, gate: Callable[[Callable[[], None]], None], answer: bytes) -> None:
        self._gate = gate
        self._answer = answer
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._gate(lambda: cast("asyncio.WriteTransport", self._transport).write(self._answer))


class Stall:
    """Lets everything pass, but holds what comes from number `after` on, for `seconds` once."""

    def __init__(self, after: int, seconds: float) -> None:
        self._after = after
        self._seconds = seconds
        self._seen = 0
        self._held: list[Callable[[], None]] | None = None

    def __call__(self, answer: Callable[[], None]) -> None:
        self._seen += 1
        if self._seen == self._after:
            self._held = []
            asyncio.get_running_loop().call_later(self._seconds, self._release)
        if self._held is not None:
            self._held.append(answer)
        else:
            answer()

    def _release(self) -> None:
        held, self._held = self._held or [], None
        for answer in held:
            answer()


def at_once(answer: Callable[[], None]) -> None:
    answer()


@asynccontextmanager
async def serving(gate: Callable[[Callable[[], None]], None], answer: bytes = OK) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(lambda: Answering(gate, answer), HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def test_a_stall_shows_in_every_request_that_was_meant_for_it() -> None:
    """With 4 connections only 4 requests are out while the server stalls; some 250 were meant to be."""
    async with serving(Stall(after=100, seconds=0.25)) as port:
        load = await open_loop(port, lambda _: REQUEST, 200, rate=RATE, seconds=0.5, connections=4)
    latencies_ms = in_ms(load.latencies_s)
    assert percentile(latencies_ms, 0.99) > 200
    assert sum(latency_ms > 50 for latency_ms in latencies_ms) > 150


async def test_as_many_requests_as_the_rate_asks_for() -> None:
    intended: list[float] = []

    def next_request(intended_s: float) -> bytes:
        intended.append(intended_s)
        return REQUEST

    async with serving(at_once) as port:
        load = await open_loop(port, next_request, 200, rate=RATE, seconds=0.1, connections=8)
    assert len(load.latencies_s) == len(intended) == 100
    assert all(0.0009 < later - earlier < 0.0011 for earlier, later in pairwise(intended))


async def test_it_ends_early_when_it_is_told_to() -> None:
    enough = asyncio.Event()
    sent = 0

    def next_request(_: float) -> bytes:
        nonlocal sent
        sent += 1
        if sent == 20:
            enough.set()
        return REQUEST

    async with asyncio.timeout(30), serving(at_once) as port:
        load = await open_loop(port, next_request, 200, rate=RATE, seconds=600, connections=8, until=enough.wait())
    assert 20 <= len(load.latencies_s) == sent


async def test_a_wrong_answer_ends_it() -> None:
    async with serving(at_once, OK.replace(b"200", b"503")) as port:
        with pytest.raises(WrongAnswer, match="503"):
            await open_loop(port, lambda _: REQUEST, 200, rate=RATE, seconds=0.5, connections=2)
