"""A server that answers what the test wrote into its script, and keeps what it was asked. Time and chance with it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Final, TypeAlias

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

from rowbox.client import Client, TokenSource
from rowbox.client.calls.retry import Pauses, Timing

PAUSES: Final = Pauses(base_s=1.0, cap_s=8.0)
TOKEN: Final = "the.access.token"


class Asked(msgspec.Struct, frozen=True):
    """One request."""

    path: str
    query: dict[str, str]
    fields: dict[str, str]
    token: str
    port: int
    """The client's, of its connection."""


class Answer(msgspec.Struct, frozen=True):
    """What the server says. Status 0: it hangs up instead."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}


Step: TypeAlias = Answer | Callable[[Asked], Awaitable[Answer]]
HANG_UP: Final = Answer(0)


class ScriptedServer:
    """Takes the steps it was given one after the other, then `otherwise` for ever."""

    def __init__(self) -> None:
        self._script: deque[Step] = deque()
        self.otherwise: Step = Answer(500, b"the script is over")
        self.asked: list[Asked] = []
        self.url = ""

    def will(self, *steps: Step) -> None:
        """What comes next."""
        self._script.extend(steps)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["ScriptedServer"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        server = TestServer(app)
        await server.start_server()
        self.url = str(server.make_url(""))
        try:
            yield self
        finally:
            await server.close()

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        asked = Asked(
            request.path,
            dict(request.query),
            msgspec.json.decode(body) if body else {},
            request.headers.get("Authorization", "").removeprefix("Bearer "),
            request.get_extra_info("peername")[1],
        )
        self.asked.append(asked)
        step = self._script.popleft() if self._script else self.otherwise
        answer = step if isinstance(step, Answer) else await step(asked)
        if answer.status == 0:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


class Time:
    """A clock that only `sleep`, and who else says so, moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.asleep_s = 0.0
        """What only the wall clock counted."""
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.now_s

    def wall_clock(self) -> float:
        return 1_800_000_000 + self.now_s + self.asleep_s

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)


class Longest(Random):
    """Every pause as long as it can be: what is tested is the bound."""

    def uniform(self, a: float, b: float) -> float:
        return b


def client_of(server: ScriptedServer, time: Time, token: TokenSource = TOKEN, *, patience_s: float = 30.0) -> Client:
    timing = Timing(pauses=PAUSES, random=Longest(), sleep=time.sleep, clock=time.clock, wall_clock=time.wall_clock)
    return Client(server.url, token, patience_s=patience_s, timing=timing)


# ---------------------------------------------------------------------- answers, as api.md has them


def ok(fields: object, status: int = 200) -> Answer:
    return Answer(status, msgspec.json.encode(fields))


async def never(asked: Asked) -> Answer:
    """A server that is silent, as one is behind a connection that is dead."""
    await asyncio.Event().wait()
    raise AssertionError


def sent(message_id: str = "m1", *, duplicate: bool = False, headers: dict[str, str] | None = None) -> Answer:
    fields = {
        "messageId": message_id,
        "conversationId": "c1",
        "sentTimestamp": 5,
        "lastUpdatedTimestamp": 6,
        "pendingRecipients": 0,
        "duplicate": duplicate,
    }
    return Answer(200 if duplicate else 201, msgspec.json.encode(fields), headers or {})


def problem(status: int, code: str, *, retry_after_ms: int | None = None, **headers: str) -> Answer:
    fields: dict[str, Any] = {"type": "x", "title": "x", "status": status, "detail": "why", "code": code}
    fields |= {"retryable": False, "requestId": "r-1"}
    if retry_after_ms is not None:
        fields["retryAfterMs"] = retry_after_ms
    return Answer(status, msgspec.json.encode(fields), headers)


def message(version: int) -> dict[str, object]:
    return {
        "messageId": f"m{version}",
        "conversationId": "c1",
        "senderId": "bob",
        "participants": ["alice", "bob"],
        "messageContent": f"text {version}",
        "sentTimestamp": version,
        "lastUpdatedTimestamp": version,
    }


def delta(*versions: int, token: int, **more: object) -> Answer:
    """The messages with these versions, as what came since a token; the token of a version is "t" and its number."""
    return _page("messages", [message(version) for version in versions], token, isDeltaUpdate=True, **more)


def full(*versions: int, token: int, **more: object) -> Answer:
    """A page in place of a delta."""
    return _page("messages", [message(version) for version in versions], token, isDeltaUpdate=False, **more)


def conversations(*versions: int, token: int, is_delta: bool, **more: object) -> Answer:
    """The conversations with these versions."""
    found = [
        {
            "conversationId": f"c{version}",
            "participants": ["alice", "bob"],
            "snippet": f"text {version}",
            "lastUpdatedTimestamp": version,
            "lastMessageId": f"m{version}",
            "lastSenderId": "alice",
            "lastSentTimestamp": version,
            "unreadCount": 1,
        }
        for version in versions
    ]
    return _page("conversations", found, token, isDeltaUpdate=is_delta, **more)


def _page(name: str, items: Sequence[dict[str, object]], token: int, **more: object) -> Answer:
    fields = {name: items, "lastUpdatedTimestamp": f"t{token}", "hasMore": False, "nextCursor": None}
    return ok(fields | {"resetReason": None} | more)
