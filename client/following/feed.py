"""Does what a FeedSession decides: sockets, long polls, time. The program is given the changes, and calls go over the
socket.

    the connection's task   opens a socket, reads its frames; a task beside it writes
    the polls' task         long polls, while there is no socket
    one timer               when the session wants to be asked

Whichever of these it is, what the session says is done at once. `close` ends all of it.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import aiohttp
import msgspec

from rowbox.client.calls.answers import Changes, Presence, Whereabouts
from rowbox.client.calls.errors import (
    CLIENT_CLOSED,
    CONNECTED_ELSEWHERE,
    SIGNED_OUT,
    AccessDenied,
    CallFailed,
    OutcomeUnknown,
    Refused,
)
from rowbox.client.calls.faults import is_outage
from rowbox.client.calls.retry import Timing
from rowbox.client.calls.transport import PROGRAM, Transport
from rowbox.client.following.comeback import LOST, UNAUTHENTICATED
from rowbox.client.following.effects import (
    Connect,
    Effect,
    Give,
    HangUp,
    Lose,
    Poll,
    Renew,
    Reply,
    Say,
    Seen,
    Stop,
    Told,
    Unpoll,
)
from rowbox.client.following.polls import Connection, OnConnection, Polls
from rowbox.client.following.session import FeedSession
from rowbox.client.following.two_lists import TwoLists

BAD_FRAME: Final = 4400
FORBIDDEN: Final = 4403
ELSEWHERE: Final = 4409
SIGNED_OUT_CODE: Final = 4410
ASK_S: Final = 2.0
"""How long the server is asked where to open a socket, before it is opened at this one."""
OnPresence: TypeAlias = Callable[[Mapping[str, Presence | None]], None]
"""A function of what is so now of users whom a program watches. None: it is not known, or not shown."""
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_encode = msgspec.json.Encoder().encode


class Feed:
    """The following of one mailbox, from `token` on; None: from a beginning. `close` has to be awaited."""

    def __init__(
        self,
        transport: Transport,
        token: str | None,
        wait_s: int,
        timing: Timing,
        on_connection: OnConnection | None,
        on_presence: OnPresence | None,
    ) -> None:
        self._transport = transport
        self._wait_s = wait_s
        self._timing = timing
        self._on_connection = on_connection
        self._on_presence = on_presence
        self._lists = TwoLists(transport.get, timing.clock)
        self._session = FeedSession(token or None, timing.random.random, client=PROGRAM, device_id=transport.device_id)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connection: asyncio.Task[None] | None = None
        self._polls: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._outgoing: asyncio.Queue[str] = asyncio.Queue()
        """Frames on their way; how many there can be, the session bounds."""
        self._calls: dict[int, asyncio.Future[tuple[int, object]]] = {}
        self._arrived: Changes | None = None
        self._given: deque[Changes] = deque()
        self._is_connected: bool | None = None
        self._is_away = False
        """The last socket is at another server, and had no welcome there so far."""
        self._error: Exception | None = None
        self._news = asyncio.Event()
        """Something was given, or it is over."""
        self._room = asyncio.Event()

    @property
    def token(self) -> str | None:
        """Everything up to here was given or is in a change that is."""
        return self._session.token

    def begin(self) -> None:
        """To be called once."""
        self._transport.when_woken.add(self._woke)
        if self._transport.carrier is None:
            self._transport.carrier = self
        self._do(self._session.begin(self._now_ms()))

    async def next(self) -> Changes:
        """The next change, however long that takes. Raises what ended the following, again and again."""
        while not self._given:
            if self._error is not None:
                raise self._error
            self._news.clear()
            await self._news.wait()
        return self._given.popleft()

    def taken(self) -> None:
        """The program has dealt with the oldest change that `next` gave."""
        self._do(self._session.taken(self._now_ms()))

    def watch(self, users: Sequence[str]) -> None:
        """Has `on_presence` told of these users, and of nobody else."""
        self._do(self._session.watch(users, self._now_ms()))

    def active(self) -> None:
        """Somebody is looking."""
        self._do(self._session.active(self._now_ms()))

    async def close(self) -> None:
        """Ends it: the connection, the polls, the calls that have no reply."""
        self._end(OutcomeUnknown("the client was closed", code=CLIENT_CLOSED))
        if self._tasks:
            await asyncio.wait(self._tasks)

    def call(self, name: str, fields: Mapping[str, Any]) -> Awaitable[tuple[int, object]] | None:
        """As Carrier has it (transport.py)."""
        now_ms = self._now_ms()
        if not self._session.can_call(now_ms):
            return None
        if len(_encode(fields)) > self._session.max_frame_bytes - 1024:
            return None
        number, effects = self._session.call(name, fields, now_ms)
        future = self._calls[number] = self._loop.create_future()
        self._do(effects)
        return self._reply(number, future)

    async def _reply(self, number: int, future: asyncio.Future[tuple[int, object]]) -> tuple[int, object]:
        try:
            return await future
        finally:
            self._calls.pop(number, None)
            self._do(self._session.give_up(number, self._now_ms()))

    # ------------------------------------------------------------------ what the session decides

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            if not self._do_of_ways(effect):
                self._tell(effect)
        self._settle()

    def _do_of_ways(self, effect: Effect) -> bool:
        """Whether the effect is about what carries the feed; then it is done."""
        match effect:
            case Connect(refused=refused):
                self._connection = self._begun(partial(self._connect, refused))
            case Say(frame=frame):
                self._outgoing.put_nowait(_encode(frame).decode())
            case HangUp():
                self._cancel(self._connection)
                self._connection = None
            case Renew(old=old):
                self._begun(partial(self._renew, old))
            case Poll(token=token):
                self._polls = self._begun(partial(self._poll, token))
            case Unpoll():
                self._cancel(self._polls)
                self._polls = None
            case _:
                return False
        return True

    def _tell(self, effect: Effect) -> None:
        """The effect is about what the program learns."""
        match effect:
            case Give():
                assert self._arrived is not None
                self._given.append(self._arrived)
                self._news.set()
            case Reply(id=number, status=status, body=body):
                if (future := self._calls.get(number)) is not None and not future.done():
                    future.set_result((status, body))
            case Lose(ids=numbers):
                self._lose(numbers)
            case Seen(users=users):
                if self._on_presence is not None:
                    self._on_presence(users)
            case Told():
                self._heard_of(Connection(is_connected=True))
            case Stop(code=code, reason=reason):
                self._end(_error_of(code, reason))
            case _:
                raise AssertionError(effect)

    def _settle(self) -> None:
        """What follows from where the session is now: the polls' room, and the timer."""
        if self._session.has_room:
            self._room.set()
        else:
            self._room.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._error is None and (due_ms := self._session.due_ms) != math.inf:
            self._timer = self._loop.call_at(due_ms / 1000, self._elapsed)

    def _elapsed(self) -> None:
        self._timer = None
        self._do(self._session.elapsed(self._now_ms()))

    def _woke(self) -> None:
        self._do(self._session.woke(self._now_ms()))

    def _lose(self, numbers: Any) -> None:
        for number in numbers:
            if (future := self._calls.get(number)) is not None and not future.done():
                future.set_exception(ConnectionResetError("the socket ended before the reply"))

    def _end(self, error: Exception) -> None:
        """It is over, because of `error`."""
        if self._error is not None:
            return
        self._error = error
        self._transport.when_woken.discard(self._woke)
        if self._transport.carrier is self:
            self._transport.carrier = None
        for task in self._tasks:
            self._cancel(task)
        self._lose(list(self._calls))
        self._settle()
        self._news.set()

    def _now_ms(self) -> float:
        return self._loop.time() * 1000

    def _heard_of(self, connection: Connection) -> None:
        """Tells the program whether the server answers, where that is news."""
        if connection.is_connected and self._is_connected:
            return
        self._is_connected = connection.is_connected
        if self._on_connection is not None:
            self._on_connection(connection)

    # ------------------------------------------------------------------ what takes time

    def _begun(self, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        task = self._loop.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """Ends the following where the work ends with what no other try cures: a refusal, or a fault.

        It is begun here: a task that is cancelled before its first step would leave a coroutine that nobody awaits.
        """
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - it reaches the program, by `next`
            self._end(error)

    @staticmethod
    def _cancel(task: asyncio.Task[None] | None) -> None:
        """A task that says itself that it is over goes on to its end."""
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def _connect(self, refused: str | None) -> None:
        session, code, reason, asked_ms = self._session, LOST, "", 0
        this = asyncio.current_task()
        try:
            access = await self._transport.access_token(refused)
            if access is None:
                self._do(session.denied())
                return
            address = await self._address()
            self._is_away = address is not None
            async with self._transport.socket(address) as socket:
                self._outgoing = asyncio.Queue()
                self._do(session.connected(access))
                code, reason = await self._talk(socket, this)
                if self._is_away:  # one that welcomes nobody ends nothing: the own server is asked next
                    code, reason = LOST, ""
        except CallFailed as error:
            if not error.retryable:
                raise
            asked_ms = error.retry_after_ms or 0
        if self._connection is this:
            self._connection = None
            self._do(session.ended(code, reason, self._now_ms(), asked_ms))

    async def _address(self) -> str | None:
        """Where to open a socket; None: at the client's own server, also after one elsewhere that had no welcome."""
        servers, was_in_vain = self._transport.servers, self._is_away
        if was_in_vain or not servers.has_others:
            return None
        try:
            async with asyncio.timeout(ASK_S):
                url = (await self._transport.get("connect", {}, Whereabouts)).url
        except (CallFailed, TimeoutError):
            return None
        return url if servers.allows(url) else None

    async def _talk(self, socket: aiohttp.ClientWebSocketResponse, this: asyncio.Task[None] | None) -> tuple[int, str]:
        """Writes and reads until the socket ends; its code and reason."""
        writer = self._loop.create_task(_write(socket, self._outgoing))
        try:
            while self._connection is this:
                message = await socket.receive()
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._frame(message.data)
                elif message.type is aiohttp.WSMsgType.CLOSE:
                    return message.data or LOST, message.extra or ""
                elif message.type is not aiohttp.WSMsgType.BINARY:
                    break
            return LOST, ""
        finally:
            writer.cancel()
            await asyncio.wait([writer])

    def _frame(self, text: str) -> None:
        now_ms = self._now_ms()
        try:
            frame = msgspec.json.decode(text, type=dict[str, Any])
            if frame.get("t") == "delta":
                self._arrived = msgspec.convert(frame, Changes)
            elif frame.get("t") == "presence":
                frame["users"] = msgspec.convert(frame.get("users"), dict[str, Presence | None])
        except _UNREADABLE:
            self._do(self._session.broken(now_ms))
            return
        if frame.get("t") == "welcome":
            self._is_away = False
        if frame.get("t") == "welcome" and isinstance(life_ms := frame.get("dedupeLifeMs"), int) and life_ms > 0:
            self._transport.dedupe_life_s = life_ms / 1000
        self._do(self._session.received(frame, now_ms))

    async def _renew(self, old: str) -> None:
        try:
            access = await self._transport.access_token(old)
        except CallFailed as error:
            if not error.retryable:
                raise
            return
        if access is not None:
            self._do(self._session.renewed(access))

    async def _poll(self, token: str | None) -> None:
        this = asyncio.current_task()

        def heard_of(connection: Connection) -> None:
            if not connection.is_connected:
                self._session.not_polled()
            self._heard_of(connection)

        polls = Polls(self._lists.fetch, token, self._wait_s, self._timing, heard_of)
        while self._polls is this:
            await self._room.wait()
            page = await polls.next()
            if self._polls is this:
                self._arrived = page
                self._do(self._session.polled(_frame_of(page), self._now_ms()))


async def _write(socket: aiohttp.ClientWebSocketResponse, outgoing: asyncio.Queue[str]) -> None:
    """Until the socket ends, which its reader learns as well."""
    try:
        while True:
            await socket.send_str(await outgoing.get())
    except Exception as error:
        if not is_outage(error):
            raise


def _frame_of(page: Changes) -> dict[str, Any]:
    return {
        "messages": page.messages,
        "conversations": page.conversations,
        "account": page.account,
        "isDeltaUpdate": page.is_delta_update,
        "lastUpdatedTimestamp": page.last_updated_timestamp or None,  # none yet (two_lists.py)
    }


def _error_of(code: int, reason: str) -> CallFailed:
    """Why a server that closes with this code ends a following."""
    text = f"{code}: {reason}"
    match code:
        case _ if code == UNAUTHENTICATED:
            return AccessDenied(text, code="token_revoked" if "revoked" in reason else "unauthenticated", status=401)
        case _ if code == SIGNED_OUT_CODE:
            return AccessDenied(text, code=SIGNED_OUT, status=401)
        case _ if code == FORBIDDEN:
            return AccessDenied(text, code="forbidden", status=403)
        case _ if code == ELSEWHERE:
            return Refused(text, code=CONNECTED_ELSEWHERE)
        case _:
            return Refused(text, code="bad_request" if code == BAD_FRAME else f"closed_{code}")
