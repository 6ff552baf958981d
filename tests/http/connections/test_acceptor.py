"""Who is let in, who is sent away, and what happens where the system has nothing left. On both loops."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from msgspec.structs import replace

from rowbox.api.edge.server import ADMIN_CONNECTIONS
from rowbox.api.http import listeners
from rowbox.mailbox.settings.config import Settings
from tests.conftest import leave_out
from tests.http.api import ANY_PORT, NO_LIMITS, serving, token, until
from tests.http.connections.test_server import HeldPort
from tests.http.scripted_port import ScriptedPort

MOST = 20
SMALL = Settings(server=replace(ANY_PORT, max_connections=MOST), rate_limits=NO_LIMITS)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Clients(AsyncExitStack):
    """Connections that are closed in the end."""

    async def connect(self, port: int, sent: bytes = b"") -> Streams:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self.callback(writer.close)
        writer.write(sent)
        return reader, writer


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    async with Clients() as clients:
        yield clients


def send(number: int) -> bytes:
    body = '{"recipientId":"bob","messageContent":"hello","clientMessageId":"1"}'
    lines = [
        "POST /v1/sendMessage HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {token(f'user{number}')}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", body]).encode()


async def test_for_one_too_many_the_oldest_silent_one_goes(scripted: ScriptedPort, clients: Clients) -> None:
    """At 80c87b5 nobody was ever closed for another, until the process had no descriptor for its store."""
    async with serving(scripted, SMALL) as api:
        silent = [await clients.connect(api.server.port) for _ in range(3 * MOST)]
        for reader, _ in silent[: 2 * MOST]:
            async with asyncio.timeout(10):
                assert await reader.read() == b""
        assert len(api.connections) == MOST
        assert (await api.get("/v1/fetchMessages")).status == 200


async def test_one_too_many_is_told_so_while_all_others_are_being_answered(clients: Clients) -> None:
    held = HeldPort()
    async with serving(held, SMALL) as api:
        for number in range(MOST):
            await clients.connect(api.server.port, send(number))
        await until(lambda: len(held.calls) == MOST)
        reader, _ = await clients.connect(api.server.port)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"code":"overloaded"' in answer
        assert b"Retry-After: 2\r\n" in answer
        assert api.connections.refused == 1
        held.release.set()
        await until(lambda: len(held.ends) == MOST)
        reader, _ = await clients.connect(api.server.port, b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")


async def test_health_answers_however_many_clients_there_are(clients: Clients) -> None:
    """On both ports: the admin port has connections of its own, and its idle ones go first too."""
    held = HeldPort()
    async with serving(held, SMALL) as api:
        for number in range(MOST):
            await clients.connect(api.server.port, send(number))
        for _ in range(2 * ADMIN_CONNECTIONS):
            await clients.connect(api.server.admin_port)
        reader, _ = await clients.connect(api.server.admin_port, HEALTH)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        held.release.set()


class Accepts:
    """The system's accept, as a listener has it; `failures` of the next calls fail with EMFILE."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failures = 0
        original = socket.socket.accept

        def accept(listener: socket.socket) -> tuple[socket.socket, object]:
            if self.failures:
                self.failures -= 1
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return original(listener)

        monkeypatch.setattr(socket.socket, "accept", accept)


async def test_without_a_descriptor_an_idle_client_goes_and_the_next_one_comes_in(
    scripted: ScriptedPort, clients: Clients, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The server of uvloop closes the listening socket at the first such error that reaches it, without a word."""
    accepts = Accepts(monkeypatch)
    patient = Settings(server=replace(ANY_PORT, head_ms=600_000), rate_limits=NO_LIMITS)
    async with serving(scripted, patient) as api:
        idle = await clients.connect(api.server.port)
        await until(lambda: len(api.connections) == 1)
        accepts.failures = 2
        reader, _ = await clients.connect(api.server.port, b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(10):
            assert await idle[0].read() == b""
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        accepts.failures = 1  # and again, after somebody came in
        reader, _ = await clients.connect(api.server.port, b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        assert api.connections.accept_failures == 3
        assert caplog.text.count("no connection can be accepted") == 1, "once in a while, however often it is tried"


async def test_a_port_can_be_closed_while_nobody_is_let_in(
    scripted: ScriptedPort, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepts = Accepts(monkeypatch)
    async with serving(scripted) as api:
        accepts.failures = 1
        await clients.connect(api.server.port)
        await until(lambda: accepts.failures == 0)


@pytest.mark.parametrize(
    ("hosts", "at", "not_at"),
    [
        ("::", {"127.0.0.1", "::1"}, set()),
        ("127.0.0.1,::1", {"127.0.0.1", "::1"}, {"127.0.0.2"}),
        ("::,127.0.0.1", {"127.0.0.1", "::1"}, {"127.0.0.2"}),
        ("127.0.0.1, 127.0.0.1,localhost", {"127.0.0.1"}, {"127.0.0.2"}),
        ("0.0.0.0", {"127.0.0.1", "127.0.0.2"}, {"::1"}),
    ],
)
async def test_it_listens_at_each_address_that_is_named(
    hosts: str, at: set[str], not_at: set[str], scripted: ScriptedPort, clients: Clients
) -> None:
    """At 80c87b5 `::` left out IPv4, and there could not be two."""
    if ":" in hosts and not socket.has_ipv6:
        leave_out("needs IPv6")
    server = replace(ANY_PORT, host=hosts, admin_host=hosts)
    async with serving(scripted, Settings(server=server, rate_limits=NO_LIMITS)) as api:
        for port in (api.server.port, api.server.admin_port):
            for host in at:
                reader, writer = await asyncio.open_connection(host, port)
                clients.callback(writer.close)
                writer.write(HEALTH)
                assert (await reader.readline()).startswith(b"HTTP/1.1 ")
            for host in not_at:
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection(host, port)


async def test_an_address_that_cannot_be_had_is_named(scripted: ScriptedPort) -> None:
    with pytest.raises(OSError, match="Cannot assign requested address") as caught:
        async with serving(scripted, Settings(server=replace(ANY_PORT, host="127.0.0.1,192.0.2.1"))):
            pass
    assert str(caught.value.filename).startswith("192.0.2.1 port ")
    with pytest.raises(OSError, match=r"nobody\.invalid"):
        async with serving(scripted, Settings(server=replace(ANY_PORT, host="nobody.invalid"))):
            pass


@pytest.mark.parametrize("is_first", [True, False])
async def test_one_address_of_a_name_is_enough(
    scripted: ScriptedPort, clients: Clients, monkeypatch: pytest.MonkeyPatch, *, is_first: bool
) -> None:
    """In a container without IPv6 `localhost` is `::1` as well."""
    addresses: list[tuple[int, str]] = [(socket.AF_INET, "192.0.2.1"), (socket.AF_INET, "127.0.0.1")]

    async def resolved(*_: object) -> list[tuple[int, str]]:
        return addresses if is_first else addresses[::-1]

    monkeypatch.setattr(listeners, "resolved", resolved)
    async with serving(scripted, Settings(server=replace(ANY_PORT, host="localhost", admin_host="localhost"))) as api:
        await clients.connect(api.server.port)
