"""GET /v1/events: one event stream, for programs that want changes and nothing else. It does what its session
(stream_session.py) decides, in the same ways as a socket (socket.py).

The answer has no length and no chunks: it ends with its connection.
"""

import asyncio
import logging
import math
from typing import Final, Literal, cast

from aiohttp import hdrs, web

from rowbox.api.auth.claims import Claims
from rowbox.api.edge.endpoint import authenticated
from rowbox.api.http import request_id
from rowbox.api.http.connection import Connection
from rowbox.api.http.cors import DEVICE_ID
from rowbox.api.http.response import Respond, Response, header_lines
from rowbox.api.http.wire import stream_head
from rowbox.api.realtime import closing, effects
from rowbox.api.realtime.closing import REFUSED
from rowbox.api.realtime.deltas import Pulled
from rowbox.api.realtime.effects import Effect, Pull
from rowbox.api.realtime.parts import CLOSE_S, PULL_BYTES, PULL_ITEMS, RETRY_MS, Parts
from rowbox.api.realtime.sockets import SPREAD_MS
from rowbox.api.realtime.stream_session import StreamSession
from rowbox.api.v1.requests import parse_events
from rowbox.api.v1.responses import encode_feed
from rowbox.cacheserver.port import REPLACED, Changed, Changes, FetchChanges, Follow, Following, Lost
from rowbox.mailbox.errors import BadRequest, RowboxError, TokenRevoked
from rowbox.mailbox.revocation import Bearer

LAST_EVENT_ID: Final = "Last-Event-ID"
AGAIN_MS: Final = 2_000
"""How long a client waits after the end of a stream, at least; a random part of as much is added."""
_LINES: Final = header_lines(
    {hdrs.CONTENT_TYPE: "text/event-stream", hdrs.CACHE_CONTROL: "no-store", "X-Accel-Buffering": "no"}
)
_log = logging.getLogger(__name__)


def events(parts: Parts) -> Respond:
    """The function behind the endpoint."""

    async def respond(request: web.BaseRequest) -> Response:
        authorization = request.headers.get(hdrs.AUTHORIZATION)
        claims = parts.authenticator.remembered(authorization)
        claims = claims or await authenticated(parts.authenticator, authorization, parts.drain)
        device_id = request.headers.get(DEVICE_ID)
        if device_id is not None:
            claims = claims.on_device(device_id)
        token = parse_events(request.raw_path.partition("?")[2], request.headers.get(LAST_EVENT_ID))
        if request.method != hdrs.METH_GET:
            return Response(200, b"", _LINES, user_id=claims.user_id)
        stream = Stream(parts, request, claims)
        parts.sockets.let_in(stream)
        await stream.run(token)
        return Response(200, b"", "", is_poll=True, user_id=claims.user_id, is_sent=True)

    return respond


class Stream:
    """One connection."""

    __slots__ = (
        "_armed_s",
        "_bearer",
        "_code",
        "_connection",
        "_early",
        "_ended",
        "_ends_s",
        "_following",
        "_is_active",
        "_is_own_client",
        "_loop",
        "_parts",
        "_pull_task",
        "_session",
        "_user_id",
    )
    kind: Literal["stream"] = "stream"
    reads: Final = False

    def __init__(self, parts: Parts, request: web.BaseRequest, claims: Claims) -> None:
        self._parts = parts
        self._connection = cast("Connection", request.protocol)
        self._connection.is_known = True
        self._loop = asyncio.get_running_loop()
        self._user_id = claims.user_id
        self._bearer: Bearer | None = claims.bearer
        self._is_active = False
        """It counts as something of the user's that is open."""
        self._is_own_client = not claims.is_admin
        self._ends_s = self._loop.time() + claims.valid_until_s - parts.wall_clock()
        self._session: StreamSession | None = None
        self._following: Following | None = None
        self._early: Lost | None = None
        """The following was over before the stream began."""
        self._pull_task: asyncio.Task[None] | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._armed_s = math.inf
        self._code = closing.UNHEARD

    async def run(self, token: str | None) -> None:
        """Serves the client, who has everything up to `token`, until one of the two ends it.

        RowboxError where nothing was sent yet: the answer is then a problem.
        """
        parts = self._parts
        try:
            following = self._following = await parts.port.follow(Follow(self._user_id, self._bearer), self._notify)
            session = StreamSession(
                token, following.head, ends_s=self._ends_s, write_s=parts.terms.write_s, now_s=self._loop.time()
            )
            pull = session.begin()
            changes = await self._fetch(pull, proves=self._is_own_client)
            parts.sockets.enter(self, self._user_id, None)
            parts.presence.begin(self._user_id)
            self._is_active = True
            self._connection.upgrade(self)
            first = f"retry: {AGAIN_MS + parts.sockets.chance(AGAIN_MS)}\n\n".encode()
            self._connection.write_frame(
                stream_head(Response(200, b"", _LINES), request_id.REQUEST_ID.get() or "") + first
            )
            self._session = session
            self._pulled(pull, changes)
            self._do(session.compared(following.head))
            if self._early is not None:
                self._notify(self._early)
            if parts.drain.has_begun:
                self.drain(RETRY_MS)
            await self._ended
        finally:
            self._left()

    def heard(self) -> None:
        """See Carried: it reads nothing."""

    def flows(self) -> None:
        if self._session is not None:
            self._do(self._session.unwritten(0, self._loop.time()))
        if self._code != closing.UNHEARD:
            self._finish()

    def displaced(self, reason: str) -> None:
        if self._session is not None:
            self._do(self._session.ended(closing.ELSEWHERE, reason))

    def drain(self, retry_after_ms: int) -> None:
        if self._session is not None:
            self._do(self._session.drain(retry_after_ms))

    def elapse(self) -> None:
        """The time has come for which this stream was in the queue of timers."""
        self._armed_s = math.inf
        if self._code != closing.UNHEARD or self._session is None:
            self._connection.abort()
            self._finish()
            return
        now_s = self._loop.time()
        self._do(self._session.unwritten(self._connection.unsent_bytes(), now_s))
        self._do(self._session.elapsed(now_s))

    def _notify(self, change: Changed | Lost) -> None:
        if self._session is None:  # what the following knows of changes is compared when the stream begins
            if isinstance(change, Lost) and change.is_over:
                self._early = change
            return
        if isinstance(change, Changed):
            done = self._session.changed(change.head, change.prev, change.frame, self._loop.time())
            self._parts.sockets.deltas_pushed += any(isinstance(one, effects.Write) for one in done)
            self._do(done)
        elif not change.is_over:
            pass  # it is being mended, and pulls are made again until they are answered
        elif change.reason in REFUSED:
            self._do(self._session.ended(*REFUSED[change.reason]))
        elif change.reason == REPLACED:
            self.displaced("too many others follow this user")
        else:  # this server does not reach the mailbox any more: another one may
            self.drain(self._parts.sockets.chance(SPREAD_MS))

    def _do(self, todo: list[Effect]) -> None:
        assert self._session is not None
        unwritten_bytes = 0
        for effect in todo:
            match effect:
                case effects.Write(frame=data):
                    self._parts.sockets.frames_out += 1
                    unwritten_bytes = self._connection.write_frame(data)
                case effects.Pull():
                    self._pull_task = self._loop.create_task(self._pull(effect))
                case effects.End(code=code, is_gone=is_gone):
                    self._end(code, is_gone=is_gone)
                case _:
                    raise AssertionError(effect)
        if unwritten_bytes:
            self._do(self._session.unwritten(unwritten_bytes, self._loop.time()))
        if self._code == closing.UNHEARD and self._session.due_s < self._armed_s:
            self._armed_s = self._session.due_s
            self._parts.timers.add(self, max(0.0, self._armed_s - self._loop.time()))

    def _end(self, code: int, *, is_gone: bool) -> None:
        self._code = code
        if is_gone:
            self._connection.abort()
        if is_gone or not self._connection.unsent_bytes():
            self._finish()
        else:
            self._parts.timers.add(self, CLOSE_S)

    def _finish(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    async def _fetch(self, pull: Pull, *, proves: bool = False) -> Changes:
        """`proves`: the token is the client's own, which it has come back with."""
        request = FetchChanges(self._user_id, pull.token, PULL_ITEMS, PULL_BYTES, 0, self._bearer, proves)
        return await self._parts.port.fetch_changes(request)

    async def _pull(self, pull: Pull) -> None:
        session = self._session
        assert session is not None
        try:
            changes = await self._fetch(pull)
        except TokenRevoked as error:
            self._do(session.ended(*REFUSED[error.code]))
        except BadRequest as error:
            self._do(session.ended(closing.UNAUTHENTICATED, error.code))
        except RowboxError as error:
            session.not_pulled(pull.number, error.retry_after_ms or RETRY_MS, self._loop.time())
            self._do([])
        except Exception:  # noqa: BLE001 - what nobody expected ends this connection, and is logged
            _log.exception("a pull for a stream failed")
            self._do(session.ended(closing.INTERNAL, ""))
        else:
            self._pulled(pull, changes)

    def _pulled(self, pull: Pull, changes: Changes) -> None:
        assert self._session is not None
        page = Pulled(changes.token, changes.has_more, changes.is_empty, encode_feed(changes))
        done = self._session.pulled(pull.number, page, self._loop.time())
        self._parts.sockets.deltas_pulled += any(isinstance(one, effects.Write) for one in done)
        self._do(done)

    def _left(self) -> None:
        if self._following is not None:
            self._following.close()
        if self._session is not None:
            self._session.ended(self._code, "")
            self._parts.sockets.closed(self._code)
        self._parts.timers.remove(self)
        if self._pull_task is not None:
            self._pull_task.cancel()
        if self._is_active:
            self._parts.presence.end(self._user_id)
            if self._code == closing.SIGNED_OUT:
                self._parts.presence.silence(self._user_id)
        self._parts.sockets.leave(self, self._user_id)
