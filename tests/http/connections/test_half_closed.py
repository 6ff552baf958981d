"""A client that closes its half of the connection gets its answers, and one that left frees what it held.

Nothing but a write tells them apart, so these use real sockets, on both loops; a probe comes after milliseconds instead
of a second.
"""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from rowbox.api.edge import server as server_module
from rowbox.api.http.connection import PROBE, PROBE_CYCLE, Connection
from rowbox.cacheserver.owner.owner import Owner
from tests.http.api import Api, serving, token, until
from tests.http.connections.test_server import HeldPort
from tests.http.scripted_port import ScriptedPort

SOON_S = 0.01
NEVER_S = 600.0
POLL = "/v1/fetchMessages?wait=55&lastUpdatedTimestamp=0"
BODY = b'{"recipientId":"bob","messageContent":"hello","clientMessageId":"1"}'


@pytest.fixture(autouse=True)
def probed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "PROBE_S", SOON_S)


def request(path: str, *headers: str, method: str = "GET", version: str = "1.1", user: str = "bob") -> bytes:
    known = f"Authorization: Bearer {token(user)}"
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: x", known, *headers, "", ""]).encode()


def send() -> bytes:
    headers = (f"Content-Length: {len(BODY)}", "Content-Type: application/json")
    return request("/v1/sendMessage", *headers, method="POST") + BODY


@asynccontextmanager
async def asking(api: Api, data: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
    writer.write(data)
    try:
        yield reader, writer
    finally:
        writer.close()


async def all_of(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(10):
        return await reader.read()


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("path", ["/v1/fetchMessages", "/docs", "/nothing"])
async def test_a_request_is_answered(path: str, version: str, edge: Api) -> None:
    """At 80c87b5 the end of what a client sends was taken for its leaving, and it got nothing."""
    async with asking(edge, request(path, version=version)) as (reader, writer):
        writer.write_eof()
        answer = (await all_of(reader)).replace(PROBE, b"")  # an answer may take longer than a probe's time
    assert answer.startswith(b"HTTP/1.1 404" if path == "/nothing" else b"HTTP/1.1 200")
    await until(lambda: not len(edge.connections))


async def test_a_send_is_answered_and_the_probes_before_are_no_answer() -> None:
    held = HeldPort()
    async with serving(held) as api, asking(api, send()) as (reader, writer):
        writer.write_eof()
        assert await reader.readexactly(2 * len(PROBE)) == 2 * PROBE
        held.release.set()
        answer = await all_of(reader)
        assert answer.replace(PROBE, b"").startswith(b"HTTP/1.1 201 ")
        assert held.ends == ["finished"]


async def test_all_requests_that_it_sent_are_answered_in_their_order(edge: Api) -> None:
    async with asking(edge, request("/nothing") + request("/docs") + request("/v1/fetchMessages")) as (reader, writer):
        writer.write_eof()
        answers = await all_of(reader)
    assert re.findall(rb"HTTP/1.1 ([2-5]\d\d) ", answers) == [b"404", b"200", b"200"]


async def test_a_poll_is_answered_when_something_comes(api: Api, owner: Owner) -> None:
    async with asking(api, request(POLL)) as (reader, writer):
        await until(lambda: owner.waiters.count == 1)
        writer.write_eof()
        await reader.readexactly(len(PROBE))
        await api.send("1", "news")
        assert b"news" in await all_of(reader)
    await until(lambda: len(api.connections) == 1)  # the one that sent


async def test_without_interim_answers_too(monkeypatch: pytest.MonkeyPatch, owner: Owner) -> None:
    monkeypatch.setattr(server_module, "PROBE_S", NEVER_S)
    async with serving(owner) as api, asking(api, request(POLL, version="1.0")) as (reader, writer):
        await until(lambda: owner.waiters.count == 1)
        writer.write_eof()
        await api.send("1", "news")
        assert b"news" in await all_of(reader)


async def test_a_poll_of_which_the_client_left_frees_its_place(api: Api, owner: Owner) -> None:
    """After the second probe: the first is refused by the system of who left, the second one fails."""
    async with asking(api, request(POLL)) as (_, writer):
        await until(lambda: owner.waiters.count == 1)
        writer.close()
        await until(lambda: owner.waiters.count == 0)
        await until(lambda: not len(api.connections))


async def test_without_interim_answers_a_poll_is_given_up_after_ten_chances(
    api: Api, owner: Owner, made: list[Connection]
) -> None:
    """Nginx asks so by itself: each page that is closed behind it would leave a poll for 55 s."""
    async with asking(api, request(POLL, version="1.0")) as (reader, writer):
        await until(lambda: owner.waiters.count == 1)
        writer.write_eof()
        assert await all_of(reader) == b""
        await until(lambda: owner.waiters.count == 0)
        assert made[0]._chances == PROBE_CYCLE


async def test_one_that_leaves_after_it_closed_its_half_is_noticed_too(api: Api, owner: Owner) -> None:
    async with asking(api, request(POLL)) as (reader, writer):
        await until(lambda: owner.waiters.count == 1)
        writer.write_eof()
        await reader.readexactly(2 * len(PROBE))
        writer.close()
        await until(lambda: owner.waiters.count == 0)


async def test_a_reset_ends_a_poll_at_once(monkeypatch: pytest.MonkeyPatch, owner: Owner) -> None:
    monkeypatch.setattr(server_module, "PROBE_S", NEVER_S)
    async with serving(owner) as api, asking(api, request(POLL)) as (_, writer):
        await until(lambda: owner.waiters.count == 1)
        client = writer.get_extra_info("socket")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await until(lambda: owner.waiters.count == 0)


async def test_a_stop_answers_it(api: Api, owner: Owner) -> None:
    async with asking(api, request(POLL)) as (reader, writer):
        await until(lambda: owner.waiters.count == 1)
        writer.write_eof()
        await reader.readexactly(len(PROBE))
        await api.server.stop()
        answer = (await all_of(reader)).replace(PROBE, b"")
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "data",
    [b"", b"GET / HTT", send()[:-10], request("/docs") + b"GET / HTT"],
    ids=["nothing", "half_a_head", "half_a_body", "half_a_head_behind"],
)
async def test_what_can_never_become_whole_is_not_waited_for(
    data: bytes, monkeypatch: pytest.MonkeyPatch, scripted: ScriptedPort
) -> None:
    monkeypatch.setattr(server_module, "PROBE_S", NEVER_S)
    async with serving(scripted) as api, asking(api, data) as (reader, writer):
        writer.write_eof()
        answer = await all_of(reader)
        await until(lambda: not len(api.connections))
    assert (b"200 OK" in answer) == data.startswith(b"GET /docs")
    assert scripted.calls == []


async def test_one_that_waits_long_is_probed_twice_in_ten_chances(made: list[Connection]) -> None:
    """A chance is a second: a poll of 55 s carries twelve probes of 25 bytes."""
    held = HeldPort()
    async with serving(held) as api, asking(api, send()) as (reader, writer):
        writer.write_eof()
        await until(lambda: bool(made) and made[0]._chances == 3 * PROBE_CYCLE - 1)
        api.connections.limits = replace(api.connections.limits, probe_s=NEVER_S)  # behind the last chance of the cycle
        await until(lambda: made[0]._chances == 3 * PROBE_CYCLE)
        held.release.set()
        answer = await all_of(reader)
    assert answer.count(PROBE) == 6


async def test_one_that_does_not_take_its_answer_is_not_probed_behind_it(made: list[Connection]) -> None:
    """The probe would stand behind the last answer, and pile up."""
    held = HeldPort()
    async with serving(held) as api, asking(api, send()) as (reader, writer):
        await until(lambda: bool(made) and made[0]._request_count == 1)
        made[0].pause_writing()
        writer.write_eof()
        await until(lambda: made[0]._chances >= 3 * PROBE_CYCLE)
        made[0].resume_writing()
        held.release.set()
        answer = await all_of(reader)
    assert answer.count(PROBE) <= 2
