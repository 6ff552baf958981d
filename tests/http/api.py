"""A whole HTTP side, listening on loopback, and a client for it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from contextvars import ContextVar
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import aiohttp
import msgspec

from rowbox.api.app import api_sources, build_admin_app, build_app
from rowbox.api.auth.authenticator import Authenticator, issue_token, make_authenticator
from rowbox.api.edge.local_only import admin_guard_of
from rowbox.api.edge.server import Server, connection_limits
from rowbox.api.http.bodies import Bodies, bodies_of
from rowbox.api.http.connections import Connections
from rowbox.api.http.drain import Drain
from rowbox.api.http.problems import Problem
from rowbox.api.http.request_id import request_ids
from rowbox.api.http.response import Resource
from rowbox.api.operator.calls import Operator, OperatorCall
from rowbox.api.realtime.sockets import Sockets
from rowbox.api.telemetry.counters import HttpCounters
from rowbox.api.telemetry.samples import Source
from rowbox.cacheserver.clocks import wall_clock_us
from rowbox.cacheserver.ephemeral.memory import MemoryEphemeral
from rowbox.cacheserver.ephemeral.presence import Presence
from rowbox.cacheserver.ephemeral.store import EphemeralStore
from rowbox.cacheserver.port import MailboxPort
from rowbox.cacheserver.remote.mailboxes import RemoteMailboxes, mailbox_calls
from rowbox.cacheserver.rpc.endpoint import UnixEndpoint
from rowbox.cacheserver.rpc.handshake import Identity
from rowbox.cacheserver.rpc.listener import Listener
from rowbox.cacheserver.rpc.peer import Peer
from rowbox.cacheserver.rpc.status import StatusPublisher
from rowbox.cacheserver.rpc.wire import LinkTiming
from rowbox.mailbox.settings.config import RateLimitSettings, ServerSettings, Settings

SECRET = b"a secret of at least 32 bytes, for tests"
NO_LIMITS = RateLimitSettings(enabled=False)
ANY_PORT = ServerSettings(port=0, admin_port=0)
SETTINGS = Settings(server=ANY_PORT, rate_limits=NO_LIMITS)
_T = TypeVar("_T")


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    body: bytes
    headers: Any

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    def decode(self, kind: type[_T], status: int = 200) -> _T:
        """The body, where it is exactly of this kind."""
        assert self.status == status, self.body
        assert self.headers["Content-Type"] == "application/json"
        return msgspec.json.decode(self.body, type=kind)

    def problem(self, status: int, code: str) -> Problem:
        """The problem, where it is one of this status and code, and consistent in itself."""
        assert (self.status, self.headers["Content-Type"]) == (status, "application/problem+json"), self.body
        problem = msgspec.json.decode(self.body, type=Problem)
        assert (problem.status, problem.code) == (status, code), problem
        assert problem.request_id == self.headers["X-Request-Id"]
        return problem


class Api:
    """A client of a running server."""

    def __init__(
        self,
        server: Server,
        session: aiohttp.ClientSession,
        counters: HttpCounters,
        drain: Drain,
        connections: Connections,
        bodies: Bodies,
        presence: Presence,
    ) -> None:
        self.server = server
        self.counters = counters
        self.drain = drain
        self.connections = connections
        self.bodies = bodies
        self.presence = presence
        self._session = session

    async def request(
        self,
        method: str,
        path: str,
        user: str | None = "alice",
        *,
        admin: bool = False,
        headers: dict[str, str] | None = None,
        body: bytes | AsyncIterator[bytes] | None = None,
    ) -> Answer:
        """One request as `user`; None: without a token."""
        sent = {} if user is None else {"Authorization": f"Bearer {token(user, admin=admin)}"}
        if body is not None:
            sent["Content-Type"] = "application/json"
        url = f"http://127.0.0.1:{self.server.port}{path}"
        async with self._session.request(method, url, data=body, headers=sent | (headers or {})) as response:
            return Answer(response.status, await response.read(), response.headers)

    async def get(
        self, path: str, user: str | None = "alice", *, admin: bool = False, headers: dict[str, str] | None = None
    ) -> Answer:
        return await self.request("GET", path, user, admin=admin, headers=headers)

    async def post(self, path: str, fields: object, user: str | None = "alice", *, admin: bool = False) -> Answer:
        return await self.request("POST", path, user, admin=admin, body=msgspec.json.encode(fields))

    async def admin(
        self,
        path: str,
        method: str = "GET",
        *,
        proof: str | None = None,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request on the admin port; `proof`: an operator's token."""
        headers = dict(headers or {})
        if proof is not None:
            headers["Authorization"] = f"Bearer {proof}"
        url = f"http://127.0.0.1:{self.server.admin_port}{path}"
        async with self._session.request(method, url, headers=headers, data=body) as response:
            return Answer(response.status, await response.read(), response.headers)

    async def send(
        self, client_message_id: str, content: str = "hello", *, sender: str = "alice", recipient: str = "bob"
    ) -> Answer:
        fields = {"recipientId": recipient, "messageContent": content, "clientMessageId": client_message_id}
        return await self.post("/v1/sendMessage", fields, sender)

    async def raw(self, data: bytes) -> bytes:
        """What comes back for `data` on a fresh connection until the server closes it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        writer.write(data)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


def token(user: str, *, admin: bool = False, ttl_s: float = 3600, now: float | None = None, device: str = "") -> str:
    """A token that the servers of these tests accept."""
    now = time.time() if now is None else now
    return issue_token(SECRET, user, ttl_s, admin=admin, now=now, device_id=device)


class Reach(Enum):
    """What is between the API and the mailboxes of a test."""

    IN_PROCESS = "in_process"
    LINK = "link"


reach: ContextVar[Reach] = ContextVar("reach", default=Reach.IN_PROCESS)


@asynccontextmanager
async def over_link(port: MailboxPort) -> AsyncIterator[MailboxPort]:
    """`port` as a process sees it that has a link to another one's, over a Unix socket."""
    with TemporaryDirectory(prefix="rowbox-link-") as folder:
        listener = Listener(Identity("test", "owner"), SECRET, mailbox_calls(port))
        endpoint = await listener.listen(UnixEndpoint(Path(folder) / "owner.sock"))
        status = StatusPublisher(listener, port, every_s=0.01)
        status.loop.start()
        peer = Peer(endpoint, Identity("test", "api"), SECRET, timing=LinkTiming(beat_s=30, connect_s=30))
        peer.start()
        try:
            await peer.up()
            yield RemoteMailboxes(peer)
        finally:
            await status.loop.close()
            await peer.close()
            await listener.close()


@asynccontextmanager
async def serving(
    port: MailboxPort,
    settings: Settings = SETTINGS,
    *,
    authenticator: Authenticator | None = None,
    sources: list[Source] | None = None,
    calls: Sequence[OperatorCall] = (),
    pages: Sequence[Resource] = (),
    ephemeral: EphemeralStore | None = None,
) -> AsyncIterator[Api]:
    """A server over `port` for the time of the block, with a link between them where `reach` says so. Presence is in
    `ephemeral`, by default in memory.
    """
    between = over_link(port) if reach.get() is Reach.LINK else nullcontext(port)
    async with (
        between as reached,
        _serving(
            reached,
            settings,
            authenticator=authenticator,
            sources=sources,
            calls=calls,
            pages=pages,
            ephemeral=ephemeral,
        ) as api,
    ):
        yield api


@asynccontextmanager
async def _serving(
    port: MailboxPort,
    settings: Settings,
    *,
    authenticator: Authenticator | None,
    sources: list[Source] | None,
    calls: Sequence[OperatorCall],
    pages: Sequence[Resource],
    ephemeral: EphemeralStore | None,
) -> AsyncIterator[Api]:
    counters, drain, ids = HttpCounters(), Drain(), request_ids("test")
    if authenticator is None:
        authenticator = make_authenticator(settings.auth, lambda: [SECRET], time.time, time.monotonic)
    bodies, connections = bodies_of(settings.server), Connections(connection_limits(settings.server))
    sockets = Sockets(settings.sockets, drain)
    presence = Presence(port, MemoryEphemeral() if ephemeral is None else ephemeral, wall_clock_us)
    app = build_app(port, authenticator, settings, counters, drain, ids, bodies, sockets, presence)
    sources = [*(sources or []), *api_sources(drain, connections, bodies, authenticator, sockets), presence.samples]
    operator = Operator(calls, lambda: [SECRET], time.time, pages)
    admin_app = build_admin_app(
        port,
        counters,
        drain,
        ids,
        operator,
        sources=sources,
        guard=admin_guard_of(settings.server),
        parts=[] if authenticator.keys is None else [authenticator.keys],
    )
    server = Server(app, admin_app, port, settings.server, drain, ids, connections)
    try:
        await server.start()
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            yield Api(server, session, counters, drain, connections, bodies, presence)
    finally:
        await server.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Returns once `condition` holds; gives everything else its turn meanwhile. A hang ends in a TimeoutError."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a condition has no event; it is tested after every turn of the loop
            await asyncio.sleep(0)
