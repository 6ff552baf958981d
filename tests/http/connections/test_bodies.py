"""Room for bodies: a budget over all, a share for each user, and who waits how long. And the order at the edge."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from rowbox.api.auth.claims import Claims
from rowbox.api.http.bodies import Bodies
from rowbox.api.http.operation import Call
from rowbox.mailbox.errors import HandoverInProgress, Overloaded, RateLimited
from rowbox.mailbox.settings.config import RateLimitSettings, Settings
from tests.http.api import ANY_PORT, NO_LIMITS, Api, serving, token, until
from tests.http.connections.test_server import HeldPort
from tests.http.scripted_port import ScriptedPort

LONG_S = 600.0


async def begun(*waits: "asyncio.Task[None]") -> None:
    for _ in range(3 * len(waits)):
        await asyncio.sleep(0)


async def test_bodies_wait_for_room_in_the_order_in_which_they_came() -> None:
    bodies = Bodies(most=100, most_per_user=100)
    await bodies.reserve("alice", 80, LONG_S)
    large = asyncio.create_task(bodies.reserve("bob", 50, LONG_S))
    small = asyncio.create_task(bodies.reserve("carol", 20, LONG_S))
    await begun(large, small)
    assert not large.done()
    assert not small.done(), "it would fit, but another one was first"
    bodies.release("alice", 80)
    await asyncio.gather(large, small)
    assert bodies.bytes == 70
    bodies.release("bob", 50)
    bodies.release("carol", 20)
    assert bodies.bytes == 0


async def test_one_that_waits_too_long_is_refused_and_holds_nothing() -> None:
    bodies = Bodies(most=100, most_per_user=100)
    await bodies.reserve("alice", 80, LONG_S)
    with pytest.raises(Overloaded, match="too much is being received"):
        await bodies.reserve("bob", 50, 0.001)
    assert (bodies.bytes, bodies.refused) == (80, 1)
    await bodies.reserve("bob", 20, LONG_S)
    assert bodies.bytes == 100


async def test_one_who_leaves_while_he_waits_lets_the_next_one_in() -> None:
    bodies = Bodies(most=100, most_per_user=100)
    await bodies.reserve("alice", 80, LONG_S)
    large = asyncio.create_task(bodies.reserve("bob", 50, LONG_S))
    small = asyncio.create_task(bodies.reserve("carol", 20, LONG_S))
    await begun(large, small)
    large.cancel()
    await small
    assert bodies.bytes == 100


async def test_one_who_leaves_at_the_moment_at_which_room_came_gives_it_back() -> None:
    bodies = Bodies(most=100, most_per_user=100)
    await bodies.reserve("alice", 80, LONG_S)
    waiting = asyncio.create_task(bodies.reserve("bob", 50, LONG_S))
    await begun(waiting)
    bodies.release("alice", 80)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert bodies.bytes == 0
    await bodies.reserve("bob", 100, LONG_S)


async def test_a_users_share_holds_while_he_waits_too() -> None:
    """Else one user could fill the queue for all others."""
    bodies = Bodies(most=100, most_per_user=60)
    await bodies.reserve("alice", 50, LONG_S)
    await bodies.reserve("bob", 50, LONG_S)
    waiting = asyncio.create_task(bodies.reserve("carol", 50, LONG_S))
    await begun(waiting)
    with pytest.raises(Overloaded, match="this user"):
        await bodies.reserve("carol", 50, LONG_S)
    bodies.release("alice", 50)
    await waiting
    bodies.release("carol", 50)
    await bodies.reserve("carol", 50, LONG_S)


# ---------------------------------------------------------------------- at the edge


def head(*more: str, user: str = "alice") -> bytes:
    lines = [
        "POST /v1/sendMessage HTTP/1.1",
        "Host: x",
        "Content-Type: application/json",
        f"Authorization: Bearer {token(user)}",
        *more,
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


@pytest.mark.in_process
async def test_an_empty_bucket_is_told_before_anything_of_a_body_is_read(scripted: ScriptedPort) -> None:
    """At 80c87b5 the whole body was read first: 300 connections of one user were 230 MB."""
    scripted.not_admitted = RateLimited("too many requests of this user", retry_after_ms=1500)
    async with serving(scripted) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
        writer.write(head("Content-Length: 500000"))
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b"Retry-After: 2\r\n" in answer
        assert api.bodies.bytes == 0
        writer.close()
    assert scripted.calls == []


@pytest.mark.in_process
async def test_the_owner_tells_of_an_empty_bucket_without_taking_from_it(api: Api) -> None:
    for number in range(2):
        assert (await api.send(str(number))).status == 201
    reader, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
    writer.write(head("Content-Length: 500000"))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 429 ")
    writer.close()
    await writer.wait_closed()


@pytest.fixture
def settings() -> Settings:
    return Settings(server=ANY_PORT, rate_limits=RateLimitSettings(send_burst=2, send_per_second=0.001))


@pytest.mark.in_process
async def test_who_does_not_own_the_mailboxes_reads_no_body(scripted: ScriptedPort) -> None:
    scripted.not_admitted = HandoverInProgress("another server owns the mailboxes")
    async with serving(scripted) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
        writer.write(head("Content-Length: 500000"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 503 ")
        writer.close()


async def test_an_announced_body_has_its_room_before_it_is_read(scripted: ScriptedPort) -> None:
    server = replace(ANY_PORT, bodies_bytes=1000, bodies_bytes_per_user=1000, body_room_ms=1)
    async with serving(scripted, Settings(server=server, rate_limits=NO_LIMITS)) as api:
        _, first = await asyncio.open_connection("127.0.0.1", api.server.port)
        first.write(head("Content-Length: 900"))
        await until(lambda: api.bodies.bytes == 900)
        reader, second = await asyncio.open_connection("127.0.0.1", api.server.port)
        second.write(head("Content-Length: 200", user="bob"))
        answer = await reader.readuntil(b"}")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"code":"overloaded"' in answer
        first.close()
        second.close()
        await until(lambda: api.bodies.bytes == 0)


async def test_a_body_in_chunks_has_its_room_as_it_comes(scripted: ScriptedPort) -> None:
    go = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"recipientId":"bob","messageContent":"hello","clientMessageId":"1"}'
        yield b" " * 100_000
        await go.wait()
        yield b" " * 100_000

    async with serving(scripted) as api:
        sending = asyncio.create_task(api.request("POST", "/v1/sendMessage", body=chunks()))
        await until(lambda: api.bodies.bytes >= 100_000)
        assert api.bodies.bytes <= 100_068 + 2 * 65_536
        go.set()
        assert (await sending).status == 201
        assert api.bodies.bytes == 0


def test_a_body_is_taken_once() -> None:
    """Else the call, which waits for the owner, holds it."""
    call = Call(Claims("alice", is_admin=False, valid_until_s=0), "", b"{}")
    assert (call.take_body(), call.body) == (b"{}", b"")


async def test_while_the_owner_works_the_body_is_let_go() -> None:
    """A message is at most 64 KB; its JSON may be 393 KB, and waited with it for the store."""
    held = HeldPort()
    async with serving(held) as api:
        fields = {"recipientId": "bob", "messageContent": "\0" * 65_535, "clientMessageId": "1"}
        sending = asyncio.create_task(api.post("/v1/sendMessage", fields))
        await until(lambda: bool(held.calls))
        assert api.bodies.bytes == 0
        assert api.connections.held_bytes == 0
        held.release.set()
        assert (await sending).status == 201
