"""One call: a request becomes a typed answer or a typed error. No retries, except with a renewed access token.

It goes by HTTP, or over a socket where somebody has one open (`carrier`).
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self, TypeVar

import aiohttp

from rowbox import __version__
from rowbox.client.calls.access import AccessToken, TokenSource
from rowbox.client.calls.answers import converted, decoded, is_signed_out
from rowbox.client.calls.awake import GAP_S, TICK_S, Alarm, MachineSlept
from rowbox.client.calls.connections import CONNECT_S, Connections, Generation, probing_socket
from rowbox.client.calls.errors import CLIENT_CLOSED, NO_ANSWER, OutcomeUnknown
from rowbox.client.calls.faults import checked_url, is_outage, said
from rowbox.client.calls.servers import Servers

CALL_S: Final = 15.0
"""Seconds for one try. A server that cannot carry it out answers before that (`server.body_room_ms`,
`commit.timeout_ms`)."""
POLL_MARGIN_S: Final = 5.0
"""Seconds for which a client listens to a poll beyond the poll's `wait`."""
DEDUPE_LIFE_S: Final = 7 * 24 * 3600.0
"""Seconds for which a server knows a clientMessageId by default."""
DEVICE: Final = "X-Device-Id"
SUBPROTOCOL: Final = "rowbox.v1"
CLOSE_S: Final = 1.0
"""Seconds for the server's word when a socket is closed."""
PROGRAM: Final = f"rowbox-client/{__version__}"
_T = TypeVar("_T")


class Carrier(Protocol):
    """Who may have a socket open."""

    def call(self, name: str, fields: Mapping[str, Any]) -> Awaitable[tuple[int, object]] | None:
        """Makes a call; its status and body. None where none can be made now. OutcomeUnknown where the socket ends."""
        ...


class _Redirected(aiohttp.ClientError):
    pass


class _Exchange(NamedTuple):
    status: int
    body: bytes
    retry_after: str | None


class _Try:
    """A request that is under way. `end` ends it when the machine slept meanwhile."""

    def __init__(self, timeout_s: float) -> None:
        self.scope = asyncio.timeout(timeout_s)
        self.timeout_s = timeout_s
        self.has_slept = False

    def end(self) -> None:
        if self.scope.expired():  # where the loop's clock counts the sleep, the timeout ended it in the same moment
            return
        self.has_slept = True
        self.scope.reschedule(asyncio.get_running_loop().time())

    def notice_sleep(self) -> None:
        """Sets `has_slept` where the timeout ended the try much too late: then the loop's clock counted a sleep, and
        `end` was not needed.
        """
        late_s = asyncio.get_running_loop().time() - (self.scope.when() or 0)
        self.has_slept = self.has_slept or (self.scope.expired() and late_s > GAP_S)

    def why(self, error: Exception) -> str:
        """Why the try has no answer, for people."""
        if self.has_slept:
            return "the machine slept"
        return f"none within {self.timeout_s:g} s" if self.scope.expired() else said(error)


class Transport:
    """The connections to one server. `async with` opens and closes them."""

    def __init__(
        self,
        url: str,
        token: TokenSource,
        *,
        device_id: str | None = None,
        dedupe_life_s: float = DEDUPE_LIFE_S,
        servers: Iterable[str] = (),
        call_s: float = CALL_S,
        margin_s: float = POLL_MARGIN_S,
        tick_s: float = TICK_S,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`url` is http(s)://host:port, followed by a path where a proxy serves Rowbox under one.

        `servers` are the origins of others at which a socket may be opened (servers.py).

        ValueError for a URL, an origin or a token that cannot be one; TypeError where it is not even text.
        `wall_clock`, `call_s`, `margin_s` and `tick_s` are for tests.
        """
        self._url = checked_url(url)
        self.servers = Servers(self._url, servers)
        self._access = AccessToken(token, call_s)
        self.device_id = device_id
        """What each request says of where it comes from."""
        self._call_s = call_s
        self._margin_s = margin_s
        self._alarm = Alarm(self._woke, wall_clock=wall_clock, tick_s=tick_s)
        self._alarm_task: asyncio.Task[None] | None = None
        self._connections: Connections | None = None
        self._was_closed = False
        self._tries: set[_Try] = set()
        self.carrier: Carrier | None = None
        self.when_woken: set[Callable[[], None]] = set()
        """Called when the machine has slept."""
        self.dedupe_life_s = dedupe_life_s
        """Seconds for which the server knows a clientMessageId: the last value that an answer to a send had."""

    async def __aenter__(self) -> Self:
        self._connections = Connections(_session)
        self._alarm_task = asyncio.get_running_loop().create_task(self._alarm.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._alarm_task is not None:
            self._alarm_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._alarm_task
        if self._connections is not None:
            connections, self._connections = self._connections, None
            self._was_closed = True
            await connections.close()

    async def post(self, call: str, fields: dict[str, str], kind: type[_T]) -> _T:
        """Makes one POST with `fields` as JSON, and returns the answer as `kind`.

        Refused, AccessDenied or OutcomeUnknown (errors.py); faults as they are (faults.py).
        """
        return await self._call("POST", call, kind, self._call_s, json=fields)

    async def get(self, call: str, query: dict[str, str | int | None], kind: type[_T], *, wait_s: int = 0) -> _T:
        """Makes one GET, and returns the answer as `kind`. Errors as of `post`.

        Parameters that are None are left out. `wait_s` is how many seconds the server may hold the request.
        """
        given = {name: value for name, value in query.items() if value is not None}
        if wait_s:
            given["wait"] = wait_s
        return await self._call("GET", call, kind, wait_s + self._margin_s if wait_s else self._call_s, params=given)

    async def access_token(self, refused: str | None) -> str | None:
        """The access token; another one than `refused`, which is used no more; None where there is none."""
        return await self._access.get() if refused is None else await self._access.renewed(refused)

    @asynccontextmanager
    async def socket(self, url: str | None = None) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A socket, before its hello, at a URL that `servers` allow; None: at the client's own server.

        OutcomeUnknown where there is none; faults as they are. It takes its time.
        """
        connections = self._open()
        async with connections.borrowed() as generation:
            try:
                opened = await generation.session.ws_connect(
                    url if url is not None else f"{self._url}/v1/ws",
                    protocols=(SUBPROTOCOL,),
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                )
            except aiohttp.WSServerHandshakeError as error:
                asked = error.headers.get("Retry-After", "") if error.headers is not None else ""
                asked_ms = int(asked[:9]) * 1000 if asked.isdecimal() else None
                text = f"no socket: {error.status}"
                raise OutcomeUnknown(text, code=NO_ANSWER, status=error.status, retry_after_ms=asked_ms) from error
            except Exception as error:
                if not is_outage(error):
                    raise
                raise OutcomeUnknown(f"no socket: {said(error)}", code=NO_ANSWER) from error
            async with opened:
                yield opened

    async def _call(self, method: str, call: str, kind: type[_T], timeout_s: float, **content: Any) -> _T:
        self._open()
        if self.carrier is not None and "wait" not in content.get("params", ()):
            carried = self.carrier.call(call, content.get("json") or content.get("params") or {})
            if carried is not None:
                status, body = await self._in_time(call, timeout_s, carried)
                if status != 401:
                    return converted(status, body, kind)
        token = await self._access.get()
        answer = await self._exchange(method, call, token, timeout_s, content)
        is_refused = answer.status == 401 and not is_signed_out(answer.body)
        if is_refused and (renewed := await self._access.renewed(token)) is not None:
            answer = await self._exchange(method, call, renewed, timeout_s, content)
        return decoded(answer.status, answer.body, answer.retry_after, kind)

    def _open(self) -> Connections:
        if self._connections is not None:
            return self._connections
        if self._was_closed:
            raise OutcomeUnknown("the client was closed", code=CLIENT_CLOSED)
        raise RuntimeError("a client is used inside `async with` it")

    async def _exchange(
        self, method: str, call: str, token: str, timeout_s: float, content: dict[str, Any]
    ) -> _Exchange:
        connections = self._open()
        async with connections.borrowed() as generation:
            try:
                return await self._in_time(call, timeout_s, self._asked(generation, method, call, token, content))
            except OutcomeUnknown as error:
                if not isinstance(error.__cause__, aiohttp.ClientConnectorError):  # such a try never had a connection
                    await connections.retire(generation)
                raise

    async def _in_time(self, call: str, timeout_s: float, answer: Awaitable[_T]) -> _T:
        """What `answer` gives. OutcomeUnknown where that takes too long, or the network fails; faults as they are."""
        this = _Try(timeout_s)
        try:
            async with this.scope:
                self._tries.add(this)
                try:
                    return await answer
                finally:
                    self._tries.discard(this)
        except Exception as error:
            if not is_outage(error):
                raise
            this.notice_sleep()
            cause = MachineSlept() if this.has_slept else error
            raise OutcomeUnknown(f"no answer to {call}: {this.why(error)}", code=NO_ANSWER) from cause

    async def _asked(
        self, generation: Generation, method: str, call: str, token: str, content: dict[str, Any]
    ) -> _Exchange:
        async with generation.session.request(
            method,
            f"{self._url}/v1/{call}",
            headers={"Authorization": f"Bearer {token}"} | ({DEVICE: self.device_id} if self.device_id else {}),
            allow_redirects=False,  # the access token must not go to another server
            **content,
        ) as response:
            life = response.headers.get("X-Dedupe-Life", "")
            if 200 <= response.status < 300 and life.isdecimal():
                self.dedupe_life_s = float(life) or self.dedupe_life_s
            return _Exchange(response.status, await response.read(), response.headers.get("Retry-After"))

    async def _woke(self) -> None:
        """Ends all tries that are under way, because they use connections that were made before the sleep."""
        if self._connections is not None:
            await self._connections.retire()
        for one in self._tries:
            one.end()
        for woken in list(self.when_woken):
            woken()


def _session() -> aiohttp.ClientSession:
    redirects = aiohttp.TraceConfig()  # a request says itself that it follows none; a socket's handshake cannot
    redirects.on_request_redirect.append(_refuse)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(socket_factory=probing_socket),
        headers={"User-Agent": PROGRAM},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        trace_configs=[redirects],
    )


async def _refuse(*_: object) -> None:
    raise _Redirected("a redirect, not followed: the access token must not go to another server")
