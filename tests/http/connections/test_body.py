"""Bodies: what is refused before it is read, while it is read, and never inflated."""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from rowbox.mailbox.settings.config import ServerSettings, Settings
from tests.http.api import ANY_PORT, NO_LIMITS, Api, serving, token
from tests.http.scripted_port import ScriptedPort

LIMIT = 512 * 1024
GOOD = b'{"recipientId":"bob","messageContent":"hello","clientMessageId":"1"}'


def head(*more: str, user: str = "alice") -> bytes:
    lines = ["POST /v1/sendMessage HTTP/1.1", "Host: x", f"Authorization: Bearer {token(user)}", *more, "", ""]
    return "\r\n".join(lines).encode()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def connection(api: Api) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", api.server.port)


async def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(edge: Api, scripted: ScriptedPort) -> None:
    reader, writer = await connection(edge)
    writer.write(head("Content-Type: application/json", f"Content-Length: {LIMIT + 1}"))
    assert status_of(await reader.readuntil(b"\r\n\r\n")) == 413
    assert b"message_too_large" in await reader.readuntil(b"}")
    writer.close()
    assert scripted.calls == []


async def test_a_body_of_exactly_the_limit_is_read(edge: Api, scripted: ScriptedPort) -> None:
    body = GOOD + b" " * (LIMIT - len(GOOD))
    assert (await edge.request("POST", "/v1/sendMessage", body=body)).status == 201
    assert len(scripted.calls) == 1


async def test_the_largest_content_fits_however_it_is_escaped(edge: Api, scripted: ScriptedPort) -> None:
    body = GOOD.replace(b"hello", rb"\u0000" * 65_535)
    assert (await edge.request("POST", "/v1/sendMessage", body=body)).status == 201
    assert scripted.calls[0].content == "\0" * 65_535


async def test_a_chunked_body_is_read_up_to_the_limit_and_not_further(edge: Api, scripted: ScriptedPort) -> None:
    async def chunks(total: int) -> AsyncIterator[bytes]:
        yield GOOD
        for _ in range(total // 4096):
            yield b" " * 4096

    assert (await edge.request("POST", "/v1/sendMessage", body=chunks(8192))).status == 201
    (await edge.request("POST", "/v1/sendMessage", body=chunks(2 * LIMIT))).problem(413, "message_too_large")
    assert len(scripted.calls) == 1


async def test_a_chunked_body_in_one_packet_is_bounded_too(scripted: ScriptedPort) -> None:
    small = Settings(server=ServerSettings(port=0, admin_port=0, max_body_bytes=1024), rate_limits=NO_LIMITS)
    async with serving(scripted, small) as api:
        chunk = b"800\r\n" + b" " * 0x800 + b"\r\n0\r\n\r\n"
        headers = ("Content-Type: application/json", "Transfer-Encoding: chunked", "Connection: close")
        assert status_of(await api.raw(head(*headers) + chunk)) == 413


async def test_nothing_is_read_of_a_caller_who_is_not_known(edge: Api) -> None:
    reader, writer = await connection(edge)
    writer.write(
        b"POST /v1/sendMessage HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    )
    assert status_of(await reader.readuntil(b"\r\n\r\n")) == 401
    writer.close()


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "json"]
)
async def test_other_media_types_are_refused(content_type: str, edge: Api) -> None:
    answer = await edge.request("POST", "/v1/sendMessage", body=GOOD, headers={"Content-Type": content_type})
    answer.problem(415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"', "application/json;"]
)
async def test_json_may_say_that_it_is_utf_8(content_type: str, edge: Api) -> None:
    answer = await edge.request("POST", "/v1/sendMessage", body=GOOD, headers={"Content-Type": content_type})
    assert answer.status == 201


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "x"])
async def test_compressed_bodies_are_refused(encoding: str, edge: Api, scripted: ScriptedPort) -> None:
    """100 MB of spaces are 100 KB of gzip."""
    headers = {"Content-Encoding": encoding}
    answer = await edge.request("POST", "/v1/sendMessage", body=gzip.compress(GOOD), headers=headers)
    answer.problem(415, "unsupported_media_type")
    assert scripted.calls == []


async def test_a_client_that_asks_first_is_told_to_go_on(edge: Api) -> None:
    reader, writer = await connection(edge)
    headers = ("Content-Type: application/json", f"Content-Length: {len(GOOD)}", "Expect: 100-continue")
    writer.write(head(*headers))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(GOOD)
    assert status_of(await reader.readuntil(b"\r\n\r\n")) == 201
    writer.close()


async def test_a_client_that_asks_first_is_refused_before_it_sends(edge: Api) -> None:
    reader, writer = await connection(edge)
    headers = ("Content-Type: application/json", f"Content-Length: {LIMIT + 1}", "Expect: 100-continue")
    writer.write(head(*headers))
    assert status_of(await reader.readuntil(b"\r\n\r\n")) == 413
    writer.close()


async def test_a_body_that_does_not_come_is_given_up(scripted: ScriptedPort) -> None:
    impatient = Settings(server=replace(ANY_PORT, body_ms=1), rate_limits=NO_LIMITS)
    async with serving(scripted, impatient) as api:
        reader, writer = await connection(api)
        writer.write(head("Content-Type: application/json", "Content-Length: 100") + GOOD)
        assert status_of(await reader.readuntil(b"\r\n\r\n")) == 400
        assert b"did not arrive" in await reader.readuntil(b"}")
        writer.close()
    assert scripted.calls == []


async def test_a_broken_chunk_is_a_bad_request(edge: Api, scripted: ScriptedPort) -> None:
    reader, writer = await connection(edge)
    writer.write(head("Content-Type: application/json", "Transfer-Encoding: chunked") + b"5\r\n{    \r\n")
    await writer.drain()
    writer.write(b"nonsense\r\n\r\n")
    answer = await reader.read()
    assert re.match(rb"HTTP/1\.[01] 400 ", answer)
    assert b'"code":"bad_request"' in answer
    writer.close()
    assert scripted.calls == []
