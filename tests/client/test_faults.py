"""Outage or fault: what is tried again, and what is told at once; for each exception that there is."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest

from rowbox.client import CLIENT_CLOSED, NO_ANSWER, Client, OutcomeUnknown
from rowbox.client.calls.faults import checked_token, is_outage
from tests.client.scripted_server import ScriptedServer, Time, client_of, never, problem
from tests.http.api import until

FAULTS_OF_AIOHTTP = {
    "InvalidURL",
    "InvalidUrlClientError",
    "InvalidUrlRedirectClientError",
    "NonHttpUrlClientError",
    "NonHttpUrlRedirectClientError",
}
"""Whatever else it has tells of a connection or of an answer."""


def kinds(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for sub in kind.__subclasses__():
        yield from kinds(sub)


def test_each_error_of_aiohttp_is_one_of_the_two() -> None:
    """A kind that a later aiohttp adds is an outage; this says which are not."""
    found = {kind for kind in kinds(aiohttp.ClientError) if kind.__module__.startswith("aiohttp")}
    assert len(found) > 20
    assert {kind.__name__ for kind in found if not is_outage(kind.__new__(kind))} == FAULTS_OF_AIOHTTP


@pytest.mark.parametrize(
    "error",
    [
        OSError(24, "Too many open files"),
        PermissionError("a firewall"),
        ConnectionResetError(),
        BrokenPipeError(),
        TimeoutError(),
        ssl.SSLError("wrong version number"),
        ssl.SSLCertVerificationError("self-signed certificate"),
        asyncio.IncompleteReadError(b"", 1),
    ],
    ids=repr,
)
def test_what_the_network_and_the_system_raise_is_an_outage(error: Exception) -> None:
    assert is_outage(error)


@pytest.mark.parametrize("error", [TypeError(), ValueError(), UnicodeError(), KeyError(), RuntimeError()], ids=repr)
def test_what_a_wrong_argument_raises_is_a_fault(error: Exception) -> None:
    assert not is_outage(error)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8080",
        "ftp://host",
        "http://",
        "http://:8080",
        "http://host:port",
        "http://host:70000",
        "http://ho st",
        "http://host\n",
        "http://a..b",
        "http://[::1",
        "http://alice@host",
        "http://host/?token=x",
        "http://host/#token=x",
        f"http://{'a' * 64}.example",
    ],
)
def test_a_url_that_is_none_is_told_where_the_client_is_made(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        Client(url, "token")


@pytest.mark.parametrize("url", [None, b"http://host", 8080])
def test_what_is_not_even_text_is_told_as_such(url: Any) -> None:
    with pytest.raises(TypeError, match="URL is a str"):
        Client(url, "token")


@pytest.mark.parametrize("url", ["http://[::1]:8080", "https://chat.example/rowbox/", "http://b\u00fccher.example"])
def test_a_url_may_have_a_path_and_any_host(url: str) -> None:
    Client(url, "token")


async def test_arguments_of_another_type_are_told_at_once(server: ScriptedServer, client: Client) -> None:
    nothing: Any = object()
    with pytest.raises(TypeError):
        await client.send("bob", nothing)
    with pytest.raises(TypeError):
        await anext(client.follow(conversation_id=nothing))
    with pytest.raises(TypeError):
        await client.fetch_messages(page_size=nothing)
    assert server.asked == []


@asynccontextmanager
async def saying(answer: bytes) -> AsyncIterator[str]:
    """The URL of a server that says this to whatever it is asked, and hangs up."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"not HTTP at all\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: minus\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nrows",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    ],
    ids=lambda answer: repr(answer[:48]),
)
async def test_an_answer_that_is_broken_is_an_outage(answer: bytes) -> None:
    async with saying(answer) as url, Client(url, "token", patience_s=0) as client:
        with pytest.raises(OutcomeUnknown) as raised:
            await client.send("bob", "hello")
        with pytest.raises(OutcomeUnknown):
            await client.fetch_messages()
    assert raised.value.code == NO_ANSWER


async def test_a_port_that_speaks_another_protocol_is_an_outage_that_is_named(server: ScriptedServer) -> None:
    """It may be that of a proxy which is set up just now; the text says what is wrong."""
    async with Client(server.url.replace("http:", "https:"), "token", patience_s=0) as client:
        with pytest.raises(OutcomeUnknown, match="SSL"):
            await client.send("bob", "hello")


async def test_a_client_that_is_closed_is_told_at_once(server: ScriptedServer, time: Time) -> None:
    client = client_of(server, time)
    async with client:
        follow = client.follow("t9")
    with pytest.raises(OutcomeUnknown, match="closed") as raised:
        await anext(follow)
    assert (raised.value.code, raised.value.retryable) == (CLIENT_CLOSED, False)


@pytest.mark.parametrize("is_answered", [True, False])
async def test_a_client_that_is_closed_under_a_send_tells_its_id(
    server: ScriptedServer, time: Time, is_answered: bool
) -> None:
    """One that is under way (or waits to be tried again), and one behind it that was not tried yet."""
    server.otherwise = problem(503, "overloaded") if is_answered else never
    client = client_of(server, time)
    async with client:
        pause = asyncio.Event()

        async def sleep(seconds: float) -> None:
            await pause.wait()

        client._timing = msgspec.structs.replace(client._timing, sleep=sleep)
        sends = [
            asyncio.ensure_future(client.send("bob", "hello", client_message_id=client_message_id))
            for client_message_id in ("first", "second")
        ]
        await until(lambda: len(server.asked) == 1 + is_answered)
    pause.set()
    count = len(server.asked)
    for error, client_message_id in zip(
        await asyncio.gather(*sends, return_exceptions=True), ("first", "second"), strict=True
    ):
        assert isinstance(error, OutcomeUnknown)
        assert (error.code, error.retryable, error.client_message_id) == (CLIENT_CLOSED, False, client_message_id)
        assert error.first_tried_at is not None
    assert len(server.asked) == count


@pytest.mark.parametrize("token", ["insecure:alice", "insecure:a+b@x.org", "e30.e30.c2ln-_"])
def test_a_token_of_a_server_without_authentication_is_one_too(token: str) -> None:
    assert checked_token(token) == token
