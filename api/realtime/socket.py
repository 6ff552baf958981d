"""One WebSocket: does what its session (session.py) decides, and tells the session what comes of it.

    the connection       has bytes: what a text frame asks is done in the same moment (`_take`), unless it has to wait
    the handler's task   what has to wait: verifies tokens and begins to follow, while no frame is looked at
    the owner            calls `_notify` when the mailbox has changed
    short tasks          one for each call under way, and one for a pull
    `Parts.timers`       one timer queue for all sockets and streams

Whichever of these it is, the session's effects are done at once and nothing of it waits. Frames go straight to the
transport; the session sees to it that little lies there unwritten. Two of them wait for a turn of the loop
(releases.py), because another one probably comes in it, and a write costs what the rest of a frame costs: the delta of
whoever has a call under way, maybe the send of which it tells; and the welcome, behind which a follow is answered.
"""

import asyncio
import logging
import math
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from typing import Final, Literal, cast

from aiohttp import EofStream, WebSocketError, WSMessage, WSMsgType, web

from rowbox.api.auth.claims import Claims
from rowbox.api.edge.endpoint import authenticated
from rowbox.api.edge.named_calls import NamedCall
from rowbox.api.edge.own_address import own_address
from rowbox.api.http.connection import Connection
from rowbox.api.realtime import closing, effects, frames
from rowbox.api.realtime.call_queue import MAX_CALLS
from rowbox.api.realtime.closing import REFUSED
from rowbox.api.realtime.deltas import Pulled
from rowbox.api.realtime.effects import Effect
from rowbox.api.realtime.parts import CLOSE_S, PULL_BYTES, PULL_ITEMS, RETRY_MS, Parts
from rowbox.api.realtime.people.viewing import Viewing
from rowbox.api.realtime.people.watching import Watching
from rowbox.api.realtime.session import Holder, Session, Stage
from rowbox.api.realtime.sockets import SPREAD_MS
from rowbox.api.v1.responses import encode_feed
from rowbox.api.websocket import wire
from rowbox.api.websocket.handshake import switch
from rowbox.api.websocket.incoming import Incoming
from rowbox.cacheserver.port import (
    REPLACED,
    Changed,
    FetchChanges,
    Follow,
    Following,
    Lost,
    ProvenToken,
    connection_number,
)
from rowbox.mailbox.devices import is_device_id
from rowbox.mailbox.errors import BadRequest, ConnectedElsewhere, RowboxError, TokenRevoked, Unauthenticated

NO_CODE: Final = 1005
"""Of a client that closes and says no code (RFC 6455, 7.4.1)."""
CONTROL_BYTES: Final = 6
"""What a client's ping or pong has beside its payload: two bytes and the mask."""
MOST_HELD_BYTES: Final = 4 << 10
"""Of frames that wait for the next. A larger one is worth a write of its own."""
_AWAITED: Final = effects.Verify | effects.Follow
"""Effects that take time, during which no frame is looked at."""
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
        "_held",
        "_loop",
        "_number",
        "_parts",
        "_remote",
        "_session",
        "_tasks",
        "_user_id",
        "_viewing",
        "_watching",
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
        self._watching: Watching | None = None
        self._viewing: Viewing | None = None
        self._armed_s = math.inf
        self._code = closing.UNHEARD
        self._number = 0
        """Which connection it is of its device, among all servers' (Follow); 0: not known yet, or of none."""
        self._held = b""
        """Frames that wait for the one that comes next, or for `release`: MOST_HELD_BYTES at most."""
        self._session = Session(parts.terms, self._loop.time(), None if claims is None else self._holder(claims))

    async def run(self, accept: str, refusal: tuple[int, str] | None = None) -> str | None:
        """Answers the handshake with `accept`, and serves the client until one of the two ends it. Returns whose socket
        it was. With a `refusal`, a code and its reason, it is closed at once.
        """
        connection = self._connection
        try:
            connection.upgrade(self)
            connection.write_frame(switch(accept, frames.SUBPROTOCOL))
            incoming: Incoming[list[Effect]] = Incoming(connection, self._loop, self._take)
            parser = incoming.begin(connection, self._parts.terms.max_frame_bytes)
            self._arm()
            if refusal is not None:
                self._do(self._session.refused(*refusal))
            await self._read(incoming)
            del parser
        finally:
            self._left()
        return self._user_id

    def _take(self, frame: WSMessage) -> WSMessage | list[Effect] | None:
        """A frame has come, and nothing that came before it waits. Does what it asks, or returns what has to wait."""
        if frame.type is not WSMsgType.TEXT:
            return frame
        todo = self._received(frame.data)
        for effect in todo:
            if isinstance(effect, _AWAITED):
                return todo
        self._do(todo)
        return None

    def _received(self, text: str) -> list[Effect]:
        self._parts.sockets.frames_in += 1
        self._connection.frame_taken(len(text) if text.isascii() else len(text.encode()))
        return self._session.received(text, self._loop.time())

    async def _read(self, incoming: Incoming[list[Effect]]) -> None:
        """Does what waits, one after the other, until the client has ended the connection."""
        try:
            while True:
                rest = await incoming.read_on()
                if isinstance(rest, list):
                    await self._act(rest)
                elif rest.type is WSMsgType.TEXT:
                    await self._act(self._received(rest.data))
                elif rest.type is WSMsgType.CLOSE:
                    self._client_closed(rest.data)
                    return
                else:
                    self._received_other(rest)
        except EofStream:
            return
        except WebSocketError as error:
            self._do(self._session.refused(error.code, str(error)))
        await self._loop.create_future()  # until the client has the close frame and goes, or its time is over

    def _received_other(self, frame: WSMessage) -> None:
        session, connection, now_s = self._session, self._connection, self._loop.time()
        self._parts.sockets.frames_in += 1
        if frame.type is WSMsgType.BINARY:
            connection.frame_taken(len(frame.data))
            self._do(session.received(None, now_s))
            return
        connection.control_taken(CONTROL_BYTES + len(frame.data))
        if frame.type is WSMsgType.PING:
            self._send(wire.frame(wire.PONG, frame.data))
        self._do(session.received_control(now_s))

    def _client_closed(self, code: int) -> None:
        """`code`: 0 where it said none."""
        self._parts.sockets.frames_in += 1
        if self._session.stage is Stage.ENDED:
            return
        self._code = code or NO_CODE
        self._send(wire.close_frame(code, "") if code else wire.frame(wire.CLOSE, b""))
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
        self.release()
        if self._session.stage is Stage.ENDED:
            self._connection.abort()
            return
        now_s = self._loop.time()
        unsent_bytes = self._connection.unsent_bytes()
        if unsent_bytes or self._session.lies_unwritten:
            self._do(self._session.unwritten(unsent_bytes, now_s))
        self._do(self._session.elapsed(now_s))

    def _notify(self, claims: Claims, change: Changed | Lost) -> None:
        """`claims`: with which it is followed, maybe those of an earlier token."""
        session, now_s = self._session, self._loop.time()
        if isinstance(change, Changed):
            if self._viewing is not None:
                self._viewing.changed(change.frame)
            done = session.changed(change.head, change.prev, change.frame, now_s)
            if done and isinstance(done[0], effects.Write):
                self._parts.sockets.deltas_pushed += 1
        elif not change.is_over:
            done = session.out_of_reach(change.reason, change.retry_after_ms or RETRY_MS, now_s)
        elif change.reason in REFUSED:
            done = self._revoked(claims, change.reason)
        elif change.reason == REPLACED:
            done = session.displaced("this device has connected elsewhere, or too many others follow this user")
        else:  # this server does not reach the mailbox any more: another one may
            done = session.drain(self._parts.sockets.chance(SPREAD_MS))
        self._do(done)

    def _revoked(self, claims: Claims, why: str) -> list[Effect]:
        """The token with these claims is. Where another one has come, which is followed with now, that one counts."""
        if claims is not self._claims:
            return []
        return self._session.refused(*REFUSED[why])

    # ------------------------------------------------------------------ what is told of people

    @property
    def is_open(self) -> bool:
        """See Carrier."""
        return self._session.stage is Stage.OPEN

    @property
    def claims(self) -> Claims:
        """See Carrier."""
        assert self._claims is not None
        return self._claims

    def say(self, frame: frames.Presence | frames.Types) -> bool:
        """See Carrier."""
        todo = self._session.ephemeral(frames.encode(frame))
        self._do(todo)
        return bool(todo)

    # ------------------------------------------------------------------ what the session decides

    async def _act(self, todo: list[Effect]) -> None:
        """Does what a frame led to, also what has to be waited for."""
        while todo:
            now, later = todo, []
            for at, effect in enumerate(todo):
                if isinstance(effect, _AWAITED):
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
                case effects.Write(frame=text, may_wait=may_wait):
                    self._parts.sockets.frames_out += 1
                    frame = wire.frame(wire.TEXT, text)
                    if not (may_wait and self._held_back(frame)):
                        unwritten_bytes = self._send(frame)
                case effects.Pull(token=token, number=number):
                    self.begin(self._pull(token, number))
                case effects.Prove(token=token):
                    self.begin(self._prove(token))
                case effects.Begin(number=number, call=call):
                    self.begin(self._call(number, call))
                case effects.Refuse(call=call):
                    answer = self._parts.calls.one_too_many(MAX_CALLS)
                    self._do(self._session.refused_call(call, answer.status, answer.body))
                case effects.Ping():
                    self._send(wire.frame(wire.PING, b""))
                case effects.Enter() | effects.Active() | effects.Watch() | effects.View() | effects.Typing():
                    self._do_for_user(effect)
                case effects.End():
                    self._end(effect)
                case _:
                    raise AssertionError(f"only a frame leads to {effect}")
        if unwritten_bytes:
            self._do(self._session.unwritten(unwritten_bytes, self._loop.time()))
        self._arm()

    def _do_for_user(
        self, effect: effects.Enter | effects.Active | effects.Watch | effects.View | effects.Typing
    ) -> None:
        match effect:
            case effects.Enter(user_id=user_id, device_id=device_id):
                self._user_id = user_id
                self._parts.sockets.enter(self, user_id, device_id)
            case effects.Active():
                assert self._user_id is not None
                self._parts.presence.active(self._user_id)
            case effects.Watch(users=users):
                if self._watching is None:
                    self._watching = Watching(self, self._parts.presence)
                self._watching.watch(users)
            case effects.View():
                if self._viewing is None:
                    self._viewing = Viewing(self, self._parts.presence)
                self._viewing.view(effect.recipient_id, effect.conversation_id)
            case effects.Typing():
                if self._viewing is not None:
                    self._parts.presence.type(self._viewing)

    def _send(self, frame: bytes) -> int:
        """Sends a frame, and those that waited for it before it. Returns as Connection.write_frame."""
        if self._held:
            frame, self._held = self._held + frame, b""
        return self._connection.write_frame(frame)

    def _held_back(self, frame: bytes) -> bool:
        """Keeps a frame, to go out together with the next one. False where it is to go out at once."""
        if len(self._held) + len(frame) > MOST_HELD_BYTES or self._session.lies_unwritten:
            return False
        if not self._held:
            self._parts.releases.add(self)
        self._held += frame
        return True

    def release(self) -> None:
        """No other frame came within a turn of the loop: what was kept back for it goes out."""
        if self._held:
            unwritten_bytes = self._send(b"")
            if unwritten_bytes:
                self._do(self._session.unwritten(unwritten_bytes, self._loop.time()))

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
        self._send(wire.close_frame(end.code, end.reason))
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
        bearer = claims.bearer
        device_id = bearer.device_id if bearer is not None and bearer.is_of_device else None
        if claims.valid_until_s == math.inf:
            return Holder(claims.user_id, device_id=device_id)
        left_s = claims.valid_until_s - self._parts.wall_clock()
        expires = int(claims.valid_until_s - self._parts.terms.leeway_s)
        return Holder(claims.user_id, self._loop.time() + left_s, expires, device_id)

    async def _follow(self) -> list[Effect]:
        claims, device_id = self._claims, self._session.device_id
        assert claims is not None
        if device_id is not None and is_device_id(device_id):  # any other name cannot be registered, nor signed out
            claims = self._claims = claims.on_device(device_id)
        try:
            notify = partial(self._notify, claims)
            following = await self._parts.port.follow(self._wish(claims), notify)
        except TokenRevoked as error:
            return self._session.refused(*REFUSED[error.code])
        except ConnectedElsewhere as error:
            return self._session.displaced(str(error))
        except RowboxError as error:
            return self._session.refused(closing.OVERLOADED, error.told)
        self._unfollow()
        if self._session.stage is Stage.ENDED:
            following.close()
            return []
        self._following = following
        return self._session.followed(following.head, self._loop.time())

    def _wish(self, claims: Claims) -> Follow:
        """To follow the user, for the connection that its device has from now on, or goes on with."""
        bearer = claims.bearer
        if bearer is None or not bearer.device_id:
            return Follow(claims.user_id, bearer)
        is_first = not self._number
        if is_first:
            self._number = connection_number(int(self._parts.wall_clock() * 1000), self._parts.sockets.chance(1 << 62))
        return Follow(claims.user_id, bearer, self._number, is_first)

    def _unfollow(self) -> None:
        following, self._following = self._following, None
        if following is not None:
            following.close()

    # ------------------------------------------------------------------ what takes time

    def begin(self, work: Coroutine[object, object, None]) -> None:
        """See Carrier."""
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
        except TokenRevoked as error:
            if claims is not self._claims:  # there is another token meanwhile
                await self._pull(token, number)
                return
            done = self._revoked(claims, error.code)
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
        if answer.refused_for_good:
            self._do(self._revoked(claims, answer.refused_for_good))

    def _left(self) -> None:
        """The connection is over: nothing of it goes on. Calls that were begun are finished by the owner."""
        if self._session.stage is not Stage.ENDED:
            self._session.refused(self._code, "")
        self._held = b""
        self._parts.timers.remove(self)
        self._unfollow()
        for task in self._tasks or ():
            task.cancel()
        if self._watching is not None:
            self._watching.close()
        if self._viewing is not None:
            self._viewing.close()
        if self._user_id is not None and self._code == closing.SIGNED_OUT:
            self._parts.presence.silence(self._user_id)
        self._parts.sockets.leave(self, self._user_id)
        self._parts.sockets.closed(self._code)
