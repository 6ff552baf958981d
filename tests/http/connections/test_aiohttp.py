"""What of aiohttp's inside the HTTP server relies on, although aiohttp promises none of it.

aiohttp's connection (web.RequestHandler) parses, keeps alive and cancels; ours is a subclass that bounds what it holds
and answers in one piece (connection.py, wire.py; ADR 16, 24, 34). So pyproject.toml has an upper bound for
aiohttp. To move it: install the new version, run this file, and read aiohttp's web_protocol.py and base_protocol.py
where a test here fails.
"""

import ast
import asyncio
import inspect
import tomllib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, cast

import pytest
from aiohttp import EMPTY_PAYLOAD, web
from packaging.requirements import Requirement

from rowbox.api.http import connection as connection_module
from rowbox.api.http.connection import READ_BYTES, Connection
from rowbox.api.http.connections import ConnectionLimits, Connections
from rowbox.api.http.wire import WireResponse

ROOT: Final = Path(__file__).parents[3]

RELIED_ON: Final = {
    "_buffer_paused": "aiohttp paused reading, because too many requests wait",
    "_close": "the connection ends after the answer that is under way: what comes is thrown away",
    "_current_request": "the request whose handler runs, or None",
    "_force_close": "the connection ends now",
    "_messages": "the requests that wait, as pairs of a head and a body",
    "_paused": "the transport takes no more of the answer",
    "_reading_paused": "aiohttp paused reading, because nobody takes the body",
    "_request_count": "how many requests came, what could not be parsed included",
}
"""Each private name of aiohttp that the server reads, and what it takes it to mean. It writes none."""


class Socket(asyncio.Transport):
    """A transport that keeps what is written, and is never full."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.reads = True
        self.closed = False

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


class Probe:
    """A response that writes down what is asked of it."""

    def __init__(self) -> None:
        self.asked: set[str] = set()
        self._response = WireResponse(b"HTTP/1.1 204 No Content\r\n\r\n", keep_alive=True)

    def __getattr__(self, name: str) -> object:
        self.asked.add(name)
        return getattr(self._response, name)


class Opened:
    """A connection without a network, whose handler waits for `go_on`."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.requests: list[web.BaseRequest] = []
        self.probes: list[Probe] = []
        loop = asyncio.get_running_loop()
        server = web.Server(
            self._handle,
            request_factory=partial(web.BaseRequest, loop=loop),
            handler_cancellation=True,
        )
        connections = Connections(ConnectionLimits(most=3, held_bytes=1 << 20, head_s=60, write_s=60))
        connections.let_in()
        self.socket = Socket()
        self.server = server
        self.connections = connections
        self.connection = Connection(
            server, connections, iter(["id-1", "id-2"]), loop=loop, access_log=None, auto_decompress=False
        )
        self.connection.connection_made(self.socket)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        await self.go_on.wait()
        self.probes.append(Probe())
        return cast("web.StreamResponse", self.probes[-1])

    async def receives(self, data: bytes) -> None:
        self.connection.data_received(data)
        await settle()


async def settle(turns: int = 20) -> None:
    """Some turns of the loop, in which what can happen happens."""
    for _ in range(turns):
        await asyncio.sleep(0)


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    one = Opened()
    await settle()
    yield one
    one.connection.connection_lost(None)
    one.connections.close()
    await settle()


def get(path: str = "/x") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def uses_of_aiohttps_own() -> Iterator[tuple[str, bool]]:
    """Each private name that Connection uses and neither it nor a slot of it has; whether it is written."""
    tree = ast.parse(inspect.getsource(connection_module))
    (body,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Connection")
    own = {*Connection.__slots__, *(node.name for node in body.body if isinstance(node, ast.FunctionDef))}
    for node in ast.walk(body):
        if not isinstance(node, ast.Attribute) or ast.unparse(node.value) != "self":
            continue
        if node.attr.startswith("_") and node.attr not in own:
            yield node.attr, not isinstance(node.ctx, ast.Load)


def test_the_version_that_runs_is_one_that_was_looked_at() -> None:
    given = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (asked,) = (one for one in map(Requirement, given) if one.name == "aiohttp")
    assert version("aiohttp") in asked.specifier
    assert "<" in {bound.operator for bound in asked.specifier}


def test_what_is_relied_on_is_listed_here_and_only_read() -> None:
    uses = set(uses_of_aiohttps_own())
    assert {name for name, _ in uses} == RELIED_ON.keys()
    assert [name for name, is_written in uses if is_written] == []


def test_no_name_of_ours_is_one_of_aiohttps() -> None:
    """A field that aiohttp begins to use too would be overwritten by either, and nothing would say so."""
    theirs = {name for part in web.RequestHandler.__mro__ for name in vars(part)}
    assert theirs.isdisjoint(Connection.__slots__)
    methods = {name for name in vars(Connection) if name.startswith("_") and not name.startswith("__")}
    assert theirs.isdisjoint(methods)


async def test_a_connection_has_no_dictionary(opened: Opened) -> None:
    """It is what a waiting client costs: 12 KB with its task, of which a dictionary would be one more."""
    assert not hasattr(opened.connection, "__dict__")


async def test_three_things_are_asked_of_a_response(opened: Opened) -> None:
    """`prepare`, `write_eof` and `keep_alive`: three casts say StreamResponse of what has only these.

    `__http_exception__` is asked for with a default, which is taken.
    """
    opened.go_on.set()
    await opened.receives(get())
    (probe,) = opened.probes
    assert probe.asked == {"prepare", "write_eof", "keep_alive", "__http_exception__"}
    assert opened.socket.sent == b"HTTP/1.1 204 No Content\r\n\r\n"
    assert not opened.socket.closed


async def test_requests_are_counted_as_they_come_and_wait_in_pairs(opened: Opened) -> None:
    connection = opened.connection
    await opened.receives(get("/1") + get("/2") + b"POST /3 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{")
    assert connection._request_count == 3
    assert isinstance(connection._messages, deque)
    (second, nothing), (third, body) = connection._messages
    assert [getattr(head, "path", None) for head in (second, third)] == ["/2", "/3"]
    assert nothing is EMPTY_PAYLOAD
    assert not body.is_eof()
    await opened.receives(b"}")
    assert body.is_eof()


async def test_what_is_no_request_is_counted_as_one_and_answered_by_us(opened: Opened) -> None:
    await opened.receives(b"nonsense\r\n\r\n")
    assert opened.connection._request_count == 1
    assert opened.socket.sent.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in opened.socket.sent
    assert opened.socket.closed


async def test_the_current_request_is_the_one_whose_handler_runs(opened: Opened) -> None:
    running = [opened.connection._current_request]
    await opened.receives(get())
    (request,) = opened.requests
    assert request.protocol is opened.connection
    running.append(opened.connection._current_request)
    opened.go_on.set()
    await settle()
    assert [*running, opened.connection._current_request] == [None, request, None]


async def test_a_writer_waits_while_the_transport_takes_no_more(opened: Opened) -> None:
    await opened.receives(get())
    connection, (request,) = opened.connection, opened.requests
    assert request.writer.output_size == 0
    connection.pause_writing()
    assert connection.writing_paused is connection._paused is True
    draining = asyncio.create_task(request.writer.drain())
    await settle()
    assert not draining.done()
    connection.resume_writing()
    await draining
    assert not connection._paused


async def test_reading_is_paused_for_requests_that_wait_and_for_a_body_that_nobody_takes(opened: Opened) -> None:
    """By flags of their own, so that we do not read on for aiohttp what it has paused."""
    connection = opened.connection
    assert (connection._buffer_paused, connection._reading_paused) == (False, False)
    head = b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    await opened.receives(head + bytes(4 * READ_BYTES))
    assert connection._reading_paused
    assert not opened.socket.reads


async def test_too_many_requests_that_wait_pause_reading(opened: Opened) -> None:
    await opened.receives(get() * 100)
    assert opened.connection._buffer_paused
    assert 1 < opened.connection._request_count < 100
    before = opened.connection._request_count
    opened.go_on.set()
    await settle(turns=1000)
    assert opened.connection._request_count == 100 > before  # by data_received(b""), for what was set aside


async def test_after_the_last_answer_nothing_is_taken(opened: Opened) -> None:
    connection = opened.connection
    connection.close()
    assert connection._close
    await opened.receives(get())
    assert connection._request_count == 0
    connection.force_close()
    assert connection._force_close
    assert opened.socket.closed


async def test_a_client_that_is_gone_ends_its_handler(opened: Opened) -> None:
    """handler_cancellation: a long poll of somebody who left must not wait for its end."""
    await opened.receives(get())
    opened.connection.connection_lost(None)
    await settle()
    assert opened.connection._current_request is None
    opened.go_on.set()
    await settle()
    assert opened.probes == []
