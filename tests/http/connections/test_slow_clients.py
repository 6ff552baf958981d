"""Clients that send slowly, read slowly, send ahead, or stay: what each may hold, and for how long. On both loops.

Bytes are counted in the server's own buffers; deadlines are a few milliseconds, and what is waited for is the event.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

import pytest
from aiohttp import web
from msgspec.structs import replace

from rowbox.api.http.connection import MAX_HEAD_BYTES, READ_BYTES, Connection
from rowbox.api.http.connections import Cut
from rowbox.cacheserver.port import Page
from rowbox.mailbox.settings.config import MIB, Settings
from tests.http.api import ANY_PORT, NO_LIMITS, Api, serving, token, until
from tests.http.scripted_port import ScriptedPort

NEVER_MS = 600_000
SOON_MS = 20


def settings(
    *,
    head_ms: int = NEVER_MS,
    write_ms: int = NEVER_MS,
    held_bytes: int = 64 * MIB,
    max_connections: int = 100,
    body_ms: int = NEVER_MS,
) -> Settings:
    server = replace(
        ANY_PORT,
        head_ms=head_ms,
        write_ms=write_ms,
        held_bytes=held_bytes,
        max_connections=max_connections,
        body_ms=body_ms,
    )
    return Settings(server=server, rate_limits=NO_LIMITS)


class Client:
    """A raw socket with small buffers: what it does not read piles up at the server soon."""

    def __init__(self, api: Api) -> None:
        self._port = api.server.port
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.setblocking(False)

    async def __aenter__(self) -> Self:
        await self._loop.sock_connect(self._socket, ("127.0.0.1", self._port))
        return self

    async def __aexit__(self, *error: object) -> None:
        self._socket.close()

    async def send(self, data: bytes) -> None:
        """ConnectionError where the server has closed."""
        await self._loop.sock_sendall(self._socket, data)

    async def flood(self, data: bytes) -> None:
        """Sends it again and again, until the server ends that."""
        while True:
            await self.send(data)

    async def read(self, size: int = 1 << 16) -> bytes:
        """What comes next; nothing where the server has closed."""
        try:
            return await self._loop.sock_recv(self._socket, size)
        except ConnectionResetError:
            return b""

    async def read_all(self) -> bytes:
        received = b""
        while data := await self.read():
            received += data
        return received

    def half_close(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)


def request(path: str = "/docs", *headers: str, user: str | None = None, method: str = "GET") -> bytes:
    known = () if user is None else (f"Authorization: Bearer {token(user)}",)
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *known, *headers, "", ""]).encode()


def upload(size: int, user: str | None = "alice") -> bytes:
    headers = ("Content-Type: application/json", f"Content-Length: {size}")
    return request("/v1/sendMessage", *headers, user=user, method="POST")


@asynccontextmanager
async def flooding(client: Client, data: bytes) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(client.flood(data))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def settles(turns: int = 200) -> None:
    """Some turns of the loop, in which what can happen happens."""
    for _ in range(turns):
        await asyncio.sleep(0)


# ---------------------------------------------------------------------- who does not read


async def test_answers_to_pipelined_requests_do_not_pile_up(scripted: ScriptedPort, made: list[Connection]) -> None:
    """At 80c87b5 one such connection, without a token, took a gigabyte in 18 s."""
    async with serving(scripted, settings()) as api, Client(api) as client:
        async with flooding(client, request() * 10):
            await until(lambda: bool(made) and made[0].writing_paused)
            await settles()
            answer = len(await one_answer(api))
            assert made[0].unsent_bytes() <= answer
            assert len(made[0]._messages) <= 33
            assert api.connections.held_bytes <= answer + 2 * MAX_HEAD_BYTES + 64 * 4096
        await until(lambda: len(api.connections) == 2)  # and the one of `one_answer`
        assert api.counters.routes


async def one_answer(api: Api) -> bytes:
    answer = await api.get("/docs", None)
    return answer.body + b"\r\n".join(f"{name}: {value}".encode() for name, value in answer.headers.items()) + bytes(64)


async def test_requests_behind_one_that_is_being_answered_are_taken_in_up_to_a_bound(made: list[Connection]) -> None:
    """Heads of 8 KB, as many as the client likes: two megabytes of them lay in a connection, counted by nobody."""
    held = HeldPort()
    async with serving(held, settings()) as api, Client(api) as client:
        await client.send(request("/v1/fetchMessages", user="alice"))
        await until(lambda: bool(held.calls))
        async with flooding(client, request("/docs", "X: " + "x" * 8000)):
            await until(lambda: made[0]._is_paused)
            await settles()
            assert made[0]._received_bytes <= MAX_HEAD_BYTES + 2 * READ_BYTES
            assert MAX_HEAD_BYTES < api.connections.held_bytes == made[0].held_bytes() <= 2 * MAX_HEAD_BYTES
            held.release.set()
            taken = made[0]._request_count
            async with asyncio.timeout(10):
                while made[0]._request_count <= taken + 40:  # who reads is read on
                    assert await client.read()


async def test_a_pipeliner_who_reads_gets_every_answer(scripted: ScriptedPort) -> None:
    async with serving(scripted, settings()) as api, Client(api) as client:
        number = 200
        sending = asyncio.create_task(client.send(request() * (number - 1) + request("/docs", "Connection: close")))
        received = await client.read_all()
        await sending
        assert received.count(b"HTTP/1.1 200 OK") == number
        await until(lambda: api.connections.held_bytes == 0)


async def test_a_client_that_reads_nothing_is_cut_off(scripted: ScriptedPort, made: list[Connection]) -> None:
    async with serving(scripted, settings(write_ms=SOON_MS)) as api, Client(api) as client:
        with pytest.raises(ConnectionError):
            await client.flood(request())
        await until(lambda: not len(api.connections))
        assert api.connections.cuts[Cut.WRITE] == 1
        assert api.connections.held_bytes == 0


async def test_a_client_that_reads_slowly_gets_all_of_it(made: list[Connection]) -> None:
    """The deadline is for an answer that does not move."""
    port = ScriptedPort()
    port.page = Page([b'"%s"' % (b"x" * MIB)] * 4, is_delta=False, token="1")
    write_ms = 1500  # in which the kernel of a busy machine takes some more of the answer, however seldom we read
    async with serving(port, settings(write_ms=write_ms)) as api, Client(api) as client:
        await client.send(request("/v1/fetchMessages", "Connection: close", user="alice"))
        await until(lambda: bool(made) and made[0].writing_paused)
        received, began_s = 0, asyncio.get_running_loop().time()
        looks = set()
        while data := await client.read(1 << 16):
            received += len(data)
            looks.add(api.connections.held_bytes)
            await asyncio.sleep(write_ms / 1000 / 500)  # the pace of the client, which reads a thousand times
        assert asyncio.get_running_loop().time() - began_s > write_ms / 1000, "longer than an answer may stand still"
        assert received > 4 * MIB
        assert len(looks) > 1
        assert api.connections.cuts[Cut.WRITE] == 0
        assert api.connections.held_bytes == 0


async def test_an_answer_that_nobody_reads_is_bounded_over_all_connections(made: list[Connection]) -> None:
    """Whoever waits longest goes first, and a stranger before anybody with a token."""
    port = ScriptedPort()
    port.page = Page([b'"%s"' % (b"x" * MIB)] * 6, is_delta=False, token="1")
    async with AsyncExitStack() as stack, serving(port, settings(held_bytes=16 * MIB)) as api:
        clients = [await stack.enter_async_context(Client(api)) for _ in range(5)]
        for number, client in enumerate(clients):
            await client.send(request("/v1/fetchMessages", user=f"user{number}"))
            await until(lambda number=number: len(made) > number and made[number].writing_paused)  # type: ignore[misc]
            assert api.connections.held_bytes <= 16 * MIB
        assert api.connections.cuts[Cut.BYTES] >= 2
        await until(lambda: made[0].transport is None and made[1].transport is None)
        assert made[4].transport is not None


class HeldPort(ScriptedPort):
    """Fetches are answered once `release` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.release = asyncio.Event()

    async def fetch_messages(self, request: object) -> Page:
        self.calls.append(request)
        await self.release.wait()
        return self.page


# ---------------------------------------------------------------------- heads that do not end


def endless_head() -> Iterator[bytes]:
    yield b"GET / HTTP/1.1\r\nHost: x\r\n"
    for number in range(1000):
        yield f"X-{number}: {'x' * 4000}\r\n".encode()


async def test_a_head_that_does_not_end_is_refused_at_its_bound(scripted: ScriptedPort, made: list[Connection]) -> None:
    """At 80c87b5 it could have 128 lines of 8,190 bytes, each of them kept twice."""
    async with serving(scripted, settings()) as api, Client(api) as client:
        most = 0
        try:
            for line in endless_head():
                await client.send(line)
                await settles(10)
                most = max(most, api.connections.held_bytes)
        except ConnectionError:
            pass
        answer = await client.read_all()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
        assert MAX_HEAD_BYTES - 8192 < most <= MAX_HEAD_BYTES + 2 * READ_BYTES
        await until(lambda: not len(api.connections))
        assert api.connections.held_bytes == 0


async def test_a_head_that_is_too_long_is_told_so(scripted: ScriptedPort) -> None:
    async with serving(scripted, settings()) as api, Client(api) as client:
        await client.send(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 60)
        await until(lambda: api.connections.held_bytes > 0)
        while len(api.connections):
            await client.send(b"X: " + b"x" * 1000 + b"\r\n")
            await settles(10)
        assert b"head is longer than 32768 bytes" in await client.read_all()


async def test_a_stranger_who_sends_no_http_does_not_fill_the_log(
    scripted: ScriptedPort, caplog: pytest.LogCaptureFixture
) -> None:
    """At 9435754 a line each: 400 KB a second."""
    caplog.set_level(logging.INFO)
    async with serving(scripted, settings()) as api:
        for sent in (b"\x16\x03\x01 no HTTP\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 200) * 20:
            async with Client(api) as client:
                await client.send(sent)
                assert b" 400 " in await client.read_all()
        assert api.connections.broken == 40
    assert caplog.text.count("not HTTP") == 1


async def test_many_short_headers_cost_what_they_take(scripted: ScriptedPort) -> None:
    async with serving(scripted, settings()) as api, Client(api) as client:
        await client.send(b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 50)
        await until(lambda: api.connections.held_bytes > 50 * 256)


async def test_a_head_that_is_not_whole_in_time_ends_its_connection(scripted: ScriptedPort) -> None:
    async with serving(scripted, settings(head_ms=SOON_MS)) as api, Client(api) as silent, Client(api) as slow:
        await slow.send(b"GET / HTTP/1.1\r\nHost: x\r\nX:")
        assert await silent.read() == b""
        assert await slow.read() == b""
        assert api.connections.cuts[Cut.HEAD] == 2
        await until(lambda: not len(api.connections))


async def test_the_next_head_has_its_own_time(scripted: ScriptedPort) -> None:
    """It counts from its first byte: an idle connection may stay as long as it is kept alive."""
    head_ms = 500  # of which a busy machine needs some between the connection and the whole head
    async with serving(scripted, settings(head_ms=head_ms)) as api, Client(api) as client:
        await client.send(request("/healthz"))
        assert b"404" in await client.read()
        async with Client(api) as silent:
            assert await silent.read() == b"", "the time of a head that began later is over"
        await client.send(request("/healthz"))
        assert b"404" in await client.read()
        await client.send(b"GET / HT")
        assert await client.read() == b""
        assert api.connections.cuts[Cut.HEAD] == 2


async def test_heads_that_do_not_end_share_one_budget(scripted: ScriptedPort, made: list[Connection]) -> None:
    """A client with a token, whose next head is slow too, stays when strangers fill the budget."""
    async with AsyncExitStack() as stack, serving(scripted, settings(held_bytes=MIB)) as api, Client(api) as known:
        await known.send(request("/v1/fetchMessages", user="alice"))
        await known.read()
        await known.send(b"GET / HTTP/1.1\r\n" + b"X: " + b"x" * 8000)
        await until(lambda: api.connections.held_bytes > 8000)
        clients = [await stack.enter_async_context(Client(api)) for _ in range(60)]
        for client in clients:
            await client.send(b"GET / HTTP/1.1\r\n" + (b"X: " + b"x" * 7000 + b"\r\n") * 4)
        await until(lambda: len(made) == 61 and api.connections.cuts[Cut.BYTES] >= 20)
        assert MIB // 2 < api.connections.held_bytes <= MIB
        assert made[0].transport is not None
        await until(lambda: made[1].transport is None)


# ---------------------------------------------------------------------- bodies that do not come


async def test_a_body_of_a_stranger_is_not_taken_in(scripted: ScriptedPort, made: list[Connection]) -> None:
    async with serving(scripted, settings()) as api, Client(api) as client:
        await client.send(upload(500_000, user=None))
        async with flooding(client, b" " * 10_000):
            assert b"401" in await client.read()
            await settles()
            assert api.bodies.bytes == 0
            assert api.connections.held_bytes <= 3 * READ_BYTES


async def test_while_a_body_waits_for_room_little_of_it_is_taken_in(made: list[Connection]) -> None:
    server = replace(settings().server, bodies_bytes=MIB, bodies_bytes_per_user=MIB, body_room_ms=NEVER_MS)
    port = ScriptedPort()
    async with serving(port, Settings(server=server, rate_limits=NO_LIMITS)) as api:
        async with Client(api) as first, Client(api) as second, Client(api) as third:
            await first.send(upload(500_000, "alice"))
            await second.send(upload(500_000, "bob"))
            await until(lambda: api.bodies.bytes == 1_000_000)
            await third.send(upload(400_000, "carol"))
            async with flooding(third, b" " * 10_000):
                await until(lambda: len(made) == 3 and made[2]._body is not None and made[2].is_known)
                await settles()
                assert made[2]._body is not None
                assert made[2]._body.total_bytes <= 4 * READ_BYTES
                assert api.bodies.bytes == 1_000_000
        await until(lambda: not len(api.connections))
        assert api.bodies.bytes == 0
        assert api.connections.held_bytes == 0


# ---------------------------------------------------------------------- who closes one half


async def test_a_client_that_closes_its_half_frees_everything(made: list[Connection]) -> None:
    """At once, or by its answer where it asked for something."""
    held = HeldPort()
    async with serving(held, settings()) as api, Client(api) as poll, Client(api) as head, Client(api) as body:
        await poll.send(request("/v1/fetchMessages", user="alice"))
        await head.send(b"GET / HTTP/1.1\r\nX: y")
        await body.send(upload(1000))
        await until(lambda: api.drain.in_flight == 2 and api.bodies.bytes == 1000)
        for client in (poll, head, body):
            client.half_close()
        await until(lambda: api.drain.in_flight == 1 == len(api.connections))
        assert api.bodies.bytes == 0
        assert api.connections.held_bytes == 0
        held.release.set()
        assert (await poll.read_all()).startswith(b"HTTP/1.1 200 ")
        await until(lambda: api.drain.in_flight == 0 == len(api.connections))
        assert isinstance(made[0], web.RequestHandler)


async def test_an_answer_to_a_client_that_is_gone_is_a_lost_connection(made: list[Connection]) -> None:
    held = HeldPort()
    async with serving(held, settings()) as api, Client(api) as client:
        await client.send(request("/v1/fetchMessages", user="alice"))
        await until(lambda: bool(held.calls))
        made[0].abort()
        with pytest.raises(ConnectionError):
            made[0].send(b"x")
        await until(lambda: not len(api.connections))
        with pytest.raises(ConnectionError):
            made[0].send(b"x")
