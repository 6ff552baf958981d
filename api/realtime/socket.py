"""One WebSocket: does what its session (session.py) decides, and tells the session what comes of it.

    the handler's task   reads frames, one after the other; verifies tokens and begins to follow, while no frame is read
    the owner            calls `_notify` when the mailbox has changed
    short tasks          one for each call under way, and one for a pull
    `Parts.timers`       one timer queue for all sockets and streams

Whichever of these it is, the session's effects are done at once and nothing of it waits. Frames go straight to the
transport; the session sees to it that little lies there unwritten.
"""

import asyncio
import logging
import math
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from typing import Final, Literal, cast

from aiohttp import WebSocketError, WSMessage, WSMsgType, hdrs, web

from rowbox.api.auth.claims import Claims
from rowbox.api.edge.endpoint import authenticated
from rowbox.api.edge.named_calls import NamedCall
from rowbox.api.edge.own_address import own_address
from rowbox.api.http.connection import Connection
from rowbox.api.realtime import closing, effects, frames, wire
from rowbox.api.realtime.call_queue import MAX_CALLS
from rowbox.api.realtime.deltas import Pulled
from rowbox.api.realtime.effects import Effect
from rowbox.api.realtime.parts import CLOSE_S, PULL_BYTES, PULL_ITEMS, RETRY_MS, Parts
from rowbox.api.realtime.session import Holder, Session, Stage
from rowbox.api.realtime.sockets import SPREAD_MS
from rowbox.api.v1.responses import encode_feed
from rowbox.cacheserver.port import REPLACED, REVOKED, Changed, FetchChanges, Follow, Following, Lost, ProvenToken
from rowbox.mailbox.errors import BadRequest, RowboxError, TokenRevoked, Unauthenticated

NO_CODE: Final = 1005
"""Of a client that closes and says no code (RFC 6455, 7.4.1)."""
CONTROL_BYTES: Final = 6
"""What a client's ping or pong has beside its payload: two bytes and the mask."""
_log = logging.getLogger(__name__)


class Socket:
    """One connection. `claims`: of the token in the handshake's header, if it had one."""

    __slots__ = (
        "_address",
        "_armed_s",
        "_claims",
        "_code",
        "_connection",
        "_following",
        "_loop",
        "_parts",
        "_remote",
        "_session",
        "_tasks",
        "_user_id",
    )
    kind: Literal["socket"] = "socket"
    reads: Final = True

    def __init__(self, parts: Parts, request: web.BaseRequest, claims: Claims | None) -> None:
        self._parts = parts
        self._connection = cast("Connection", request.protocol)
        self._remote = request.remote
        self._address = own_address(request)
        self._loop = asyncio.get_running_loop()
        self._claims = claims
        self._user_id: str | None = None
        self._following: Following | None = None
        self._tasks: set[asyncio.Task[None]] | None = None
        self._armed_s = math.inf
        self._code = closing.UNHEARD
        self._session = Session(parts.terms, self._loop.time(), None if claims is None else self._holder(claims))

    async def run(self, request: web.BaseRequest, refusal: tuple[int, str] | None = None) -> str | None:
        """Serves the client until one of the two ends it. Returns whose socket it was. With a `refusal`, a code and its
        reason, it is closed at once.
        """
        websocket = web.WebSocketResponse(
            protocols=(frames.SUBPROTOCOL,),
            timeout=CLOSE_S,
            autoping=False,
            autoclose=False,
            compress=False,
            max_msg_size=self._parts.terms.max_frame_bytes,
        )
        websocket.headers[hdrs.SERVER] = "rowbox"
        self._connection.upgrade(self)
        try:
            await websocket.prepare(request)
            self._arm()
            if refusal is not None:
                self._do(self._session.refused(*refusal))
            await self._read(websocket)
        finally:
            self._left()
        return self._user_id

    async def _read(self, websocket: web.WebSocketResponse) -> None:
        session, connection, parts = self._session, self._connection, self._parts
        while True:
            message = await websocket.receive()
            parts.sockets.frames_in += 1
            now_s = self._loop.time()
            match message.type:
                case WSMsgType.TEXT:
                    text: str = message.data
                    connection.frame_taken(len(text) if text.isascii() else len(text.encode()))
                    await self._act(session.received(text, now_s))
                case WSMsgType.BINARY:
                    connection.frame_taken(len(message.data))
                    self._do(session.received(None, now_s))
                case WSMsgType.PING:
                    connection.control_taken(CONTROL_BYTES + len(message.data))
                    connection.write_frame(wire.frame(wire.PONG, message.data))
                    self._do(session.received_control(now_s))
                case WSMsgType.PONG:
                    connection.control_taken(CONTROL_BYTES + len(message.data))
                    self._do(session.received_control(now_s))
                case _:
                    self._client_ended(message)
                    return

    def _client_ended(self, last: WSMessage) -> None:
        """The client closed, or broke the rules of WebSocket, which aiohttp has told it then."""
        if self._session.stage is Stage.ENDED:
            return
        if last.type is WSMsgType.CLOSE:
            self._code = last.data or NO_CODE
            echo = wire.close_frame(last.data, "") if last.data else wire.frame(wire.CLOSE, b"")
            self._connection.write_frame(echo)
        elif isinstance(last.data, WebSocketError):
            self._code = last.data.code
        self._session.refused(self._code, "")

    # ------------------------------------------------------------------ what others tell

    def heard(self) -> None:
        self._session.heard(self._loop.time())

    def flows(self) -> None:
        self._do(self._session.unwritten(0, self._loop.time()))

    def displaced(self, reason: str) -> None:
        self._do(self._session.displaced(reason))

    def drain(self, retry_after_ms: int) -> None:
        self._do(self._session.drain(retry_after_ms))

    def elapse(self) -> None:
        """The time has come for which this socket was in the queue of timers."""
        self._armed_s = math.inf
        if self._session.stage is Stage.ENDED:
            self._connection.abort()
            return
        now_s = self._loop.time()
        self._do(self._session.unwritten(self._connection.unsent_bytes(), now_s))
        self._do(self._session.elapsed(now_s))

    def _notify(self, claims: Claims, change: Changed | Lost) -> None:
        """`claims`: with which it is followed, maybe those of an earlier token."""
        session, now_s = self._session, self._loop.time()
        if isinstance(change, Changed):
            done = session.changed(change.head, change.prev, change.frame, now_s)
            self._parts.sockets.deltas_pushed += any(isinstance(one, effects.Write) for one in done)
        elif not change.is_over:
            done = session.out_of_reach(change.reason, change.retry_after_ms or RETRY_MS, now_s)
        elif change.reason == REVOKED:
            done = self._revoked(claims)
        elif change.reason == REPLACED:
            done = session.displaced("too many others follow this user")
        else:  # this server does not reach the mailbox any more: another one may
            done = session.drain(self._parts.sockets.chance(SPREAD_MS))
        self._do(done)

    def _revoked(self, claims: Claims) -> list[Effect]:
        """The token with these claims is. Where another one has come, which is followed with now, that one counts."""
        if claims is not self._claims:
            return []
        return self._session.refused(closing.UNAUTHENTICATED, "the token was revoked")

    # ------------------------------------------------------------------ what the session decides

    async def _act(self, todo: list[Effect]) -> None:
        """Does what a frame led to, also what has to be waited for."""
        while todo:
            now, later = todo, []
            for at, effect in enumerate(todo):
                if isinstance(effect, effects.Verify | effects.Follow):
                    now, later = todo[:at], todo[at:]
                    break
            self._do(now)
            if not later:
                return
            awaited = self._verify(later[0].token) if isinstance(later[0], effects.Verify) else self._follow()
            todo = [*await awaited, *later[1:]]

    def _do(self, todo: list[Effect]) -> None:
        unwritten_bytes = 0
        for effect in todo:
            match effect:
                case effects.Write(frame=text):
                    self._parts.sockets.frames_out += 1
                    unwritten_bytes = self._connection.write_frame(wire.frame(wire.TEXT, text))
                case effects.Pull(token=token, number=number):
                    self._begin(self._pull(token, number))
                case effects.Prove(token=token):
                    self._begin(self._prove(token))
                case effects.Begin(number=number, call=call):
                    self._begin(self._call(number, call))
                case effects.Refuse(call=call):
                    answer = self._parts.calls.one_too_many(MAX_CALLS)
                    self._do(self._session.refused_call(call, answer.status, answer.body))
                case effects.Ping():
                    self._connection.write_frame(wire.frame(wire.PING, b""))
                case effects.Enter(user_id=user_id, device_id=device_id):
                    self._user_id = user_id
                    self._parts.sockets.enter(self, user_id, device_id)
                case effects.End():
                    self._end(effect)
                case _:
                    raise AssertionError(f"only a frame leads to {effect}")
        if unwritten_bytes:
            self._do(self._session.unwritten(unwritten_bytes, self._loop.time()))
        self._arm()

    def _arm(self) -> None:
        """Sees to it that `elapse` is called in time; where that became later, it is called once too early."""
        if self._session.stage is Stage.ENDED:
            return
        due_s = self._session.due_s
        if due_s < self._armed_s:
            self._armed_s = due_s
            self._parts.timers.add(self, max(0.0, due_s - self._loop.time()))

    def _end(self, end: effects.End) -> None:
        self._code = end.code
        self._unfollow()
        if end.is_gone:
            self._connection.abort()
            return
        self._connection.write_frame(wire.close_frame(end.code, end.reason))
        self._parts.timers.add(self, CLOSE_S)

    async def _verify(self, token: str) -> list[Effect]:
        authorization = f"Bearer {token}"
        parts, session = self._parts, self._session
        try:
            claims = parts.authenticator.remembered(authorization)
            if claims is None:
                claims = await authenticated(parts.authenticator, authorization, parts.drain)
        except Unauthenticated as error:
            return session.refused(closing.UNAUTHENTICATED, str(error).partition(":")[0])
        except RowboxError as error:
            return session.refused(closing.OVERLOADED, error.told)
        self._claims = claims
        self._connection.is_known = True
        return session.verified(self._holder(claims), self._loop.time())

    def _holder(self, claims: Claims) -> Holder:
        if claims.valid_until_s == math.inf:
            return Holder(claims.user_id)
        left_s = claims.valid_until_s - self._parts.wall_clock()
        expires = int(claims.valid_until_s - self._parts.terms.leeway_s)
        return Holder(claims.user_id, self._loop.time() + left_s, expires)

    async def _follow(self) -> list[Effect]:
        claims = self._claims
        assert claims is not None
        try:
            notify = partial(self._notify, claims)
            following = await self._parts.port.follow(Follow(claims.user_id, claims.bearer), notify)
        except TokenRevoked:
            return self._session.refused(closing.UNAUTHENTICATED, "the token was revoked")
        except RowboxError as error:
            return self._session.refused(closing.OVERLOADED, error.told)
        self._unfollow()
        if self._session.stage is Stage.ENDED:
            following.close()
            return []
        self._following = following
        return self._session.followed(following.head, self._loop.time())

    def _unfollow(self) -> None:
        following, self._following = self._following, None
        if following is not None:
            following.close()

    # ------------------------------------------------------------------ what takes time

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task = self._loop.create_task(work)
        if self._tasks is None:
            self._tasks = set()
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        if self._tasks is not None:
            self._tasks.discard(task)
            self._tasks = self._tasks or None  # an empty set takes 200 bytes of each idle socket

    async def _pull(self, token: str | None, number: int) -> None:
        session, claims = self._session, self._claims
        assert claims is not None
        try:
            request = FetchChanges(claims.user_id, token, PULL_ITEMS, PULL_BYTES, 0, claims.bearer)
            changes = await self._parts.port.fetch_changes(request)
        except TokenRevoked:
            if claims is not self._claims:  # there is another token meanwhile
                await self._pull(token, number)
                return
            done = self._revoked(claims)
        except BadRequest as error:
            done = session.refused(closing.BAD_FRAME, str(error))
        except RowboxError as error:
            done = session.not_pulled(number, error.code, error.retry_after_ms or RETRY_MS, self._loop.time())
        except Exception:  # noqa: BLE001 - what nobody expected ends this connection, and is logged
            _log.exception("a pull for a socket failed")
            done = session.refused(closing.INTERNAL, "something went wrong here")
        else:
            page = Pulled(changes.token, changes.has_more, changes.is_empty, encode_feed(changes))
            done = session.pulled(number, page, self._loop.time())
            self._parts.sockets.deltas_pulled += any(isinstance(one, effects.Write) for one in done)
        self._do(done)

    async def _prove(self, token: str) -> None:
        """What the owner does not hear now it hears with the next token of the user."""
        claims = self._claims
        if claims is None or claims.is_admin:
            return
        with suppress(RowboxError):
            await self._parts.port.prove(ProvenToken(claims.user_id, token, claims.bearer))

    async def _call(self, number: int, call: frames.Call) -> None:
        claims = self._claims
        assert claims is not None
        answer = await self._parts.calls.answer(
            NamedCall(call.do, claims, bytes(call.args), self._remote, self._address)
        )
        self._do(self._session.called(number, answer.status, answer.body, self._loop.time()))
        if answer.is_revoked:
            self._do(self._revoked(claims))

    def _left(self) -> None:
        """The connection is over: nothing of it goes on. Calls that were begun are finished by the owner."""
        if self._session.stage is not Stage.ENDED:
            self._session.refused(self._code, "")
        self._parts.timers.remove(self)
        self._unfollow()
        for task in self._tasks or ():
            task.cancel()
        self._parts.sockets.leave(self, self._user_id)
        self._parts.sockets.closed(self._code)
