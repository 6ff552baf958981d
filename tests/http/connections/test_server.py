"""Starting and stopping."""

import asyncio
import time

import aiohttp
import pytest

from rowbox.api.app import build_admin_app, build_app
from rowbox.api.auth.claims import Claims
from rowbox.api.edge.server import Server, connection_limits
from rowbox.api.http.bodies import bodies_of
from rowbox.api.http.connections import Connections
from rowbox.api.http.drain import Drain
from rowbox.api.http.request_id import request_ids
from rowbox.api.operator.calls import Operator
from rowbox.api.realtime.sockets import Sockets
from rowbox.api.telemetry.counters import HttpCounters
from rowbox.api.v1.responses import SendMessageResponse
from rowbox.cacheserver.ephemeral.presence import NoPresence
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import Send, SendResult
from rowbox.mailbox.settings.config import ServerSettings, Settings, SocketSettings
from tests.http.api import ANY_PORT, NO_LIMITS, Api, serving, token, until
from tests.http.scripted_port import ScriptedPort


class HeldPort(ScriptedPort):
    """Sends are answered once `release` is set, and remembered as finished or cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.release = asyncio.Event()
        self.ends: list[str] = []

    async def send(self, request: Send) -> SendResult:
        self.calls.append(request)
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.ends.append("cancelled")
            raise
        self.ends.append("finished")
        return self.sent


class NoKeys:
    """Tells nobody apart: what it would need does not come."""

    keys = None

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def remembered(self, authorization: str | None) -> Claims | None:
        return None

    async def authenticate(self, authorization: str | None) -> Claims:
        keys: asyncio.Future[Claims] = asyncio.get_running_loop().create_future()
        return await keys


class LateKeys(NoKeys):
    """Makes ready when `come` is set: a key set that is fetched at the start."""

    def __init__(self) -> None:
        self.come = asyncio.Event()

    async def start(self) -> None:
        await self.come.wait()


async def test_readiness_comes_after_the_api(scripted: ScriptedPort) -> None:
    """At 80c87b5 /readyz said 200 while whatever the proxy sent for it was refused: the keys were being fetched."""
    keys, counters, drain = LateKeys(), HttpCounters(), Drain()
    ids = request_ids("test")
    connections = Connections(connection_limits(ANY_PORT))
    app = build_app(
        scripted,
        keys,
        Settings(server=ANY_PORT),
        counters,
        drain,
        ids,
        bodies_of(ANY_PORT),
        Sockets(SocketSettings(), drain),
        NoPresence(scripted),
    )
    admin = build_admin_app(scripted, counters, drain, ids, Operator((), list, time.time))
    server = Server(app, admin, scripted, ANY_PORT, drain, ids, connections)
    starting = asyncio.create_task(server.start())
    await until(lambda: bool(server.admin_port))
    async with aiohttp.ClientSession() as session:

        async def said(path: str) -> tuple[int, str]:
            async with session.get(f"http://127.0.0.1:{server.admin_port}{path}") as answer:
                return answer.status, await answer.text()

        assert await said("/healthz") == (200, '{"status":"ok"}')
        assert await said("/readyz?verbose") == (503, '{"ready":false,"reasons":["starting"]}')
        keys.come.set()
        await starting
        assert await said("/readyz") == (200, '{"ready":true}')
    await server.stop()


async def test_readiness_goes_before_the_api() -> None:
    """Whoever was refused and asks then does not hear that it is ready."""
    held = HeldPort()
    async with serving(held) as api:
        sending = asyncio.create_task(api.send("1"))
        await until(lambda: bool(held.calls))
        stopping = asyncio.create_task(api.server.stop())
        refused = False
        while not refused:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
                writer.close()
            except ConnectionError:  # or reset, from the queue of the socket that was closed
                refused = True
                assert (await api.admin("/readyz")).status == 503
        held.release.set()
        await sending
        await stopping


@pytest.mark.in_process
async def test_a_send_in_flight_is_finished_and_answered(scripted: ScriptedPort) -> None:
    held = HeldPort()
    async with serving(held) as api:
        sending = asyncio.create_task(api.send("1"))
        await until(lambda: bool(held.calls))
        stopping = asyncio.create_task(api.server.stop())
        await until(lambda: held.has_drained)
        held.release.set()
        answer = await sending
        answer.decode(SendMessageResponse, 201)
        assert answer.headers["Connection"] == "close"
        await stopping
    assert held.ends == ["finished"]


async def test_what_does_not_end_is_cut_off_in_time() -> None:
    held = HeldPort()
    settings = Settings(server=ServerSettings(port=0, admin_port=0, drain_ms=0), rate_limits=NO_LIMITS)
    async with serving(held, settings) as api:
        sending = asyncio.create_task(api.send("1"))
        await until(lambda: bool(held.calls))
        began = time.monotonic()
        await api.server.stop()
        assert time.monotonic() - began < 5
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await sending
    assert held.ends == ["cancelled"]


async def test_a_stalled_upload_does_not_hold_a_stop_and_may_be_sent_elsewhere(scripted: ScriptedPort) -> None:
    async with serving(scripted) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
        header = f"Host: x\r\nAuthorization: Bearer {token('alice')}\r\nContent-Type: application/json\r\n"
        writer.write(f"POST /v1/sendMessage HTTP/1.1\r\n{header}Content-Length: 100\r\n\r\n{{".encode())
        await until(lambda: api.drain.in_flight == 1)
        began = time.monotonic()
        await api.server.stop()
        assert time.monotonic() - began < 4  # of the ten seconds that a stop may take
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"code":"handover_in_progress"' in answer
        writer.close()
    assert scripted.calls == []


async def test_a_token_whose_keys_do_not_come_does_not_hold_a_stop(scripted: ScriptedPort) -> None:
    async with serving(scripted, authenticator=NoKeys()) as api:
        asking = asyncio.create_task(api.get("/v1/fetchMessages"))
        await until(lambda: api.drain.in_flight == 1)
        began = time.monotonic()
        await api.server.stop()
        assert time.monotonic() - began < 4
        (await asking).problem(503, "overloaded")


async def test_who_asks_for_nothing_is_closed_at_once_while_others_are_finished() -> None:
    """A connection that nobody uses any more, one that never said a word, and one whose head does not end."""
    held = HeldPort()
    async with serving(held) as api:
        silent = await asyncio.open_connection("127.0.0.1", api.server.port)
        half = await asyncio.open_connection("127.0.0.1", api.server.port)
        half[1].write(b"GET / HTTP/1.1\r\nHost:")
        used = await asyncio.open_connection("127.0.0.1", api.server.port)
        used[1].write(b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n")
        await used[0].readuntil(b"\r\n\r\n")
        sending = asyncio.create_task(api.send("1"))
        await until(lambda: api.drain.in_flight == 1)
        stopping = asyncio.create_task(api.server.stop())
        for reader, writer in (silent, half, used):
            async with asyncio.timeout(4):
                await reader.read()  # ends, because the server closes
            writer.close()
        assert not stopping.done()
        held.release.set()
        (await sending).decode(SendMessageResponse, 201)
        await stopping


async def test_500_waiting_polls_are_answered_when_it_stops(api: Api, owner: Owner) -> None:
    polls = [
        asyncio.create_task(api.get("/v1/fetchMessages?wait=55&lastUpdatedTimestamp=0", f"user{number}"))
        for number in range(500)
    ]
    await until(lambda: owner.waiters.count >= 100)  # aiohttp's client opens 100 connections at a time
    api.server.drain()
    answers = await asyncio.gather(*polls)
    assert {answer.status for answer in answers} == {200}
    assert all(answer.json()["retryAfterMs"] <= 3000 for answer in answers)


async def test_a_port_that_is_taken_is_an_error_and_leaves_nothing_open(scripted: ScriptedPort, edge: Api) -> None:
    taken = Settings(server=ServerSettings(port=edge.server.port, admin_port=0), rate_limits=NO_LIMITS)
    with pytest.raises(OSError, match="in use"):
        async with serving(ScriptedPort(), taken):
            pass


async def test_it_can_be_stopped_twice(edge: Api) -> None:
    await edge.server.stop()
    await edge.server.stop()
