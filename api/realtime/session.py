"""One socket's session: what comes of each frame, change, answer and moment. Pure: no I/O, and time is an argument.

    AWAITS_HELLO --hello--> OPENING --the token is good, the owner tells of changes--> OPEN --> ENDED

Each method says what happened and returns what is to be done about it, in order (effects.py). After an End there is
nothing more. `now_s` is the loop's time, in seconds, and never falls.

What is protected here, each rule with a test that fails without it (tests/unit/realtime/test_session.py):

frames      the first is a hello, in time; a second hello, or what is no frame, ends the session; FRAMES_PER_S at most
calls       32 at once, begun in the order of their frames, while little lies unwritten (call_queue.py)
token       its end ends the session, unless another one of the same user came; a warning before
device      the one that the token is of, where that says so: another one in the hello ends the session
window      8 deltas unacknowledged, at most for SHUT_S (deltas.py)
writing     a client that takes nothing for `write_s` is given up
typing      is passed on once in TYPING_S at most
life        a client that is silent is asked by a ping, and given up where that has no answer
"""

import math
from enum import Enum
from typing import Final

import msgspec

from rowbox.api.realtime import closing, frames
from rowbox.api.realtime.call_queue import CallQueue
from rowbox.api.realtime.deltas import WINDOW, Delta, Deltas, Pulled
from rowbox.api.realtime.effects import (
    Active,
    Begin,
    Effect,
    End,
    Enter,
    Follow,
    Ping,
    Prove,
    Pull,
    Refuse,
    Typing,
    Verify,
    View,
    Watch,
    Write,
)
from rowbox.api.realtime.writing import Writing
from rowbox.api.v1.reading.request import ReadUserId, plain_user_id
from rowbox.mailbox.errors import BadRequest

HELLO_S: Final = 10.0
PING_S: Final = 25.0
"""Silence after which the client is asked whether it is still there."""
PONG_S: Final = 12.0
"""How long it has for the answer. Any byte is one."""
SHUT_S: Final = 60.0
"""How long the window may stay shut."""
EXPIRING_S: Final = 60.0
"""How long before its token's end a client is told."""
FRAMES_PER_S: Final = 100
NOTICE_S: Final = 1.0
"""How long the mailbox may be out of reach before the client is told."""
MAX_PULL_PAUSE_S: Final = 5.0
TYPING_S: Final = 3.0
"""How often it is passed on that the user types, at most."""
PROVE_S: Final = 1.0
"""How often the owner hears what the client has acknowledged, at most."""


class Stage(Enum):
    """How far the session has come."""

    AWAITS_HELLO = "awaits_hello"
    OPENING = "opening"
    OPEN = "open"
    ENDED = "ended"


class SessionTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What the server's settings say of every session."""

    write_s: float = 20.0
    leeway_s: float = 30.0
    """How long after its `exp` a token still counts."""
    max_frame_bytes: int = 512 << 10
    retention_ms: int = 0
    dedupe_life_ms: int = 0
    read_user_id: ReadUserId = plain_user_id
    """The userId of whom a frame names."""


class Holder(msgspec.Struct, frozen=True):
    """Who a verified token says the client is. `ends_s`: when it no longer counts, by the loop's clock, inf: never;
    `expires`: its `exp`, in seconds since the epoch; `device_id`: the device that it is of, None for none.
    """

    user_id: str
    ends_s: float = math.inf
    expires: int | None = None
    device_id: str | None = None


class Session:
    """One socket. `holder` is who an Authorization header says the client is; None: the hello has to say it."""

    __slots__ = (
        "_acked",
        "_calls",
        "_deltas",
        "_device_id",
        "_follow",
        "_frames",
        "_has_warned",
        "_heard_s",
        "_holder",
        "_is_leaving",
        "_noticed",
        "_opened_s",
        "_pinged",
        "_prove_s",
        "_pull_again_s",
        "_second_s",
        "_shut_s",
        "_terms",
        "_trouble",
        "_trouble_s",
        "_typed_s",
        "_writing",
        "due_s",
        "retry_after_ms",
        "stage",
    )

    def __init__(self, terms: SessionTerms, now_s: float, holder: Holder | None = None) -> None:
        self._terms = terms
        self._holder = holder
        self.stage = Stage.AWAITS_HELLO
        self._opened_s = self._heard_s = self._second_s = now_s
        self._frames = 0
        """In the second that began at `_second_s`."""
        self._device_id: str | None = None
        self._follow: str | None = None
        self._deltas: Deltas | None = None
        self._calls = CallQueue()
        self._has_warned = False
        self._pinged = False
        self._writing = Writing(terms.write_s)
        self._shut_s = math.inf
        self._pull_again_s = math.inf
        self._acked = ""
        self._prove_s = math.inf
        """When the owner is to hear of `_acked`."""
        self._trouble = ("", 0)
        self._trouble_s = math.inf
        """Since when the mailbox is out of reach."""
        self._noticed = False
        self._typed_s = -math.inf
        """When it was passed on last that the user types."""
        self._is_leaving = False
        self.retry_after_ms = 0
        self.due_s = self._next_s()
        """When `elapsed` is to be called next, at the latest. What has become later meanwhile is not looked at: calls
        that are too early do no harm, and are rarer than frames.
        """

    @property
    def lies_unwritten(self) -> bool:
        """Whether the system has not taken everything, as it was told last."""
        return self._writing.unwritten_bytes > 0

    # ------------------------------------------------------------------ what the client does

    def heard(self, now_s: float) -> None:
        """Bytes came, of whatever kind."""
        self._heard_s = now_s
        self._pinged = False

    def received(self, frame: str | None, now_s: float) -> list[Effect]:
        """A frame came; None: a binary one."""
        if self.stage is Stage.ENDED:
            return []
        if not self._is_within_rate(now_s):
            return self._end(closing.TOO_MANY, f"more than {FRAMES_PER_S} frames a second")
        if frame is None:
            return self._end(closing.BAD_FRAME, "frames are text")
        try:
            known = frames.parse(frame)
        except frames.BadFrame as error:
            return self._end(closing.BAD_FRAME, str(error))
        if known is None:
            return []
        if isinstance(known, frames.Hello):
            return self._hello(known)
        if self._deltas is None:
            return self._end(closing.BAD_FRAME, "the first frame is hello")
        return self._settled(self._opened(known, self._deltas, now_s), now_s)

    def _is_within_rate(self, now_s: float) -> bool:
        if now_s - self._second_s >= 1.0:
            self._second_s, self._frames = now_s, 0
        self._frames += 1
        return self._frames <= FRAMES_PER_S

    def _hello(self, hello: frames.Hello) -> list[Effect]:
        if self.stage is not Stage.AWAITS_HELLO:
            return self._end(closing.BAD_FRAME, "a second hello")
        self.stage = Stage.OPENING
        self._device_id, self._follow = hello.device_id, hello.follow
        if hello.token is not None:
            return [Verify(hello.token)]
        if self._holder is None:
            return self._end(closing.UNAUTHENTICATED, "hello has no token, and the handshake had none")
        return self._as_holder(self._holder) or [Follow()]

    def _opened(self, frame: frames.AfterHello, deltas: Deltas, now_s: float) -> list[Effect]:
        match frame:
            case frames.Call():
                return self._call(frame)
            case frames.Ack(token=token):
                if deltas.ack(token):
                    self._acked = token
                    if self._prove_s == math.inf:
                        self._prove_s = now_s + PROVE_S
                        self._hurry()
            case frames.Follow(token=token):
                deltas.follow(token)
                self._pull_again_s = math.inf
            case frames.Unfollow():
                deltas.unfollow()
            case frames.Auth(token=token):
                return [Verify(token)]
            case frames.Ping(active=active):
                pong = self._write(frames.encode(frames.Pong(head=deltas.head)))
                return [pong, Active()] if active else [pong]
            case frames.Watch() | frames.View():
                return self._shown(frame)
            case frames.Typing():
                return self._typing(now_s)
        return []

    def _shown(self, frame: frames.Watch | frames.View) -> list[Effect]:
        """Whom the client shows, or which conversation."""
        read = self._terms.read_user_id
        try:
            if isinstance(frame, frames.Watch):
                return [Watch({name: read(name, "each of users") for name in frame.users})]
            if frame.recipient_id is None:
                return [View(None, frame.conversation_id)]
            return [View(read(frame.recipient_id, "recipientId"), None)]
        except BadRequest as error:
            return self._end(closing.BAD_FRAME, str(error)[:100])

    def _typing(self, now_s: float) -> list[Effect]:
        if now_s < self._typed_s + TYPING_S:
            return []
        self._typed_s = now_s
        return [Typing()]

    def _call(self, call: frames.Call) -> list[Effect]:
        if self._is_leaving or self._calls.add(call):
            return []  # while the server leaves nothing begins: the connection ends without a reply
        return [Refuse(call)]

    # ------------------------------------------------------------------ what the server finds out

    def verified(self, holder: Holder, now_s: float) -> list[Effect]:
        """The token of the hello, or of an `auth`, is good."""
        if self.stage is Stage.ENDED:
            return []
        before, self._holder = self._holder, holder
        if before is not None and before.user_id != holder.user_id:
            return self._end(closing.FORBIDDEN, "the token is another user's")
        self._has_warned = False
        self._hurry()
        return self._as_holder(holder) or self._settled([Follow()], now_s)

    @property
    def device_id(self) -> str | None:
        """The device that the client says it is, or its token is of; None: nobody said."""
        return self._device_id

    def _as_holder(self, holder: Holder) -> list[Effect]:
        """The end of the session, where the token is of another device than the client says it is."""
        if holder.device_id is None:
            return []
        if self._device_id is None:
            self._device_id = holder.device_id
        if self._device_id != holder.device_id:
            return self._end(closing.FORBIDDEN, "the token is of another device")
        return []

    def refused(self, code: int, reason: str) -> list[Effect]:
        """The session cannot go on: a token that is none, or no longer; a full server; a token of no feed."""
        return [] if self.stage is Stage.ENDED else self._end(code, reason)

    def displaced(self, reason: str) -> list[Effect]:
        """Another connection of the user takes this one's place."""
        return self.refused(closing.ELSEWHERE, reason)

    def followed(self, head: str, now_s: float) -> list[Effect]:
        """The owner tells of changes from now on; the mailbox is at `head`. Also where it does so anew."""
        if self.stage is Stage.ENDED or self._holder is None:
            return []
        self._trouble_over()
        if self._deltas is not None:
            self._deltas.compare(head)
            return self._settled([], now_s)
        self.stage = Stage.OPEN
        self._deltas = Deltas(head)
        self._hurry()  # it is open: the end of the token counts
        if self._follow is not None:
            self._deltas.follow(self._follow)
        welcome = frames.Welcome(
            user_id=self._holder.user_id,
            device_id=self._device_id,
            head=head,
            expires=self._holder.expires,
            ping_ms=round(PING_S * 1000),
            window=WINDOW,
            max_frame_bytes=self._terms.max_frame_bytes,
            retention_ms=self._terms.retention_ms,
            dedupe_life_ms=self._terms.dedupe_life_ms,
        )
        entered = Enter(self._holder.user_id, self._device_id)  # not before: a revoked token must displace nobody
        welcomed = self._write(frames.encode(welcome), may_wait=True)  # for the answer to a follow behind the hello
        return self._settled([entered, welcomed], now_s)

    def changed(self, head: str, prev: str, body: bytes | None, now_s: float) -> list[Effect]:
        """A commit brought the mailbox from `prev` to `head`; `body` is what fetchChanges says of it, if at hand."""
        if self._deltas is None or self.stage is Stage.ENDED:
            return []
        if self._pull_again_s == math.inf:
            self._trouble_over()
        delta = self._deltas.change(head, prev, body, may_write=self._writing.has_room)
        return self._settled(self._delta(delta, may_wait=len(self._calls) > 0), now_s)  # maybe its own send

    def pulled(self, number: int, page: Pulled, now_s: float) -> list[Effect]:
        """The answer to a Pull."""
        if self._deltas is None or self.stage is Stage.ENDED:
            return []
        self._trouble_over()
        return self._settled(self._delta(self._deltas.pulled(number, page)), now_s)

    def not_pulled(self, number: int, code: str, retry_after_ms: int, now_s: float) -> list[Effect]:
        """A Pull could not be answered, for the moment."""
        if self._deltas is None or self.stage is Stage.ENDED or not self._deltas.failed(number):
            return []
        self._pull_again_s = now_s + min(max(retry_after_ms / 1000, 0.05), MAX_PULL_PAUSE_S)
        self._hurry()
        return self.out_of_reach(code, retry_after_ms, now_s)

    def out_of_reach(self, code: str, retry_after_ms: int, now_s: float) -> list[Effect]:
        """Nobody tells of changes for the moment. Whoever is to tell finds the way back by himself."""
        self._trouble = (code, retry_after_ms)
        if self._trouble_s == math.inf:
            self._trouble_s = now_s
            self._hurry()
        return []

    def called(self, number: int, status: int, body: bytes, now_s: float) -> list[Effect]:
        """The answer to a Begin."""
        call_id = self._calls.ended(number)
        if self.stage is Stage.ENDED:
            return []
        return self._settled([self._write(frames.reply(call_id, status, body))], now_s)

    def refused_call(self, call: frames.Call, status: int, body: bytes) -> list[Effect]:
        """The answer to a Refuse."""
        return [] if self.stage is Stage.ENDED else [self._write(frames.reply(call.id, status, body))]

    def ephemeral(self, frame: bytes) -> list[Effect]:
        """A frame of what is so only for the moment. Nothing: the client can take none now, and it is the caller's to
        drop it or to come again.
        """
        if self.stage is not Stage.OPEN or not self._writing.has_room:
            return []
        return [self._write(frame)]

    def received_control(self, now_s: float) -> list[Effect]:
        """A ping or a pong of the WebSocket's own came. It counts as a frame."""
        if self.stage is Stage.ENDED or self._is_within_rate(now_s):
            return []
        return self._end(closing.TOO_MANY, f"more than {FRAMES_PER_S} frames a second")

    def unwritten(self, size_bytes: int, now_s: float) -> list[Effect]:
        """So many bytes of what was to be written the system has not taken yet. To be told after each Write that leaves
        any, when the system has everything, and before `elapsed` where any lay unwritten.
        """
        self._writing.lies(size_bytes, now_s)
        self._hurry()
        return [] if self.stage is Stage.ENDED else self._settled([], now_s)

    def drain(self, retry_after_ms: int) -> list[Effect]:
        """The server stops. What was begun has its reply first; the client comes back after `retry_after_ms`."""
        self._is_leaving, self.retry_after_ms = True, retry_after_ms
        return self._leave()

    # ------------------------------------------------------------------ time

    def elapsed(self, now_s: float) -> list[Effect]:
        """Time has passed."""
        if self.stage is Stage.ENDED:
            return []
        effects = self._elapsed(now_s)
        self.due_s = self._next_s()
        return effects

    def _elapsed(self, now_s: float) -> list[Effect]:
        if self.stage is Stage.AWAITS_HELLO and now_s >= self._opened_s + HELLO_S:
            return self._end(closing.NO_HELLO, f"no hello within {HELLO_S:.0f} s")
        if now_s >= self._heard_s + PING_S + PONG_S and self._pinged:
            return self._end(closing.UNHEARD, "nothing was heard", is_gone=True)
        if now_s >= self._writing.due_s:
            return self._end(closing.TOO_SLOW, "nothing is taken", is_gone=True)
        if now_s >= self._shut_s + SHUT_S:
            return self._end(closing.TOO_SLOW, f"no delta was acknowledged for {SHUT_S:.0f} s")
        if self._holder is not None and now_s >= self._holder.ends_s:
            return self._end(closing.UNAUTHENTICATED, "the token has expired")
        return self._settled(self._reminders(now_s), now_s)

    def _reminders(self, now_s: float) -> list[Effect]:
        effects: list[Effect] = []
        if now_s >= self._heard_s + PING_S and not self._pinged:
            self._pinged = True
            effects.append(Ping())
        if self.stage is not Stage.OPEN:
            return effects
        holder = self._holder
        if holder is not None and not self._has_warned and now_s >= self._warn_s(holder):
            self._has_warned = True
            in_ms = max(0, round((holder.ends_s - self._terms.leeway_s - now_s) * 1000))
            effects.append(self._write(frames.encode(frames.Expiring(in_ms=in_ms))))
        if not self._noticed and now_s >= self._trouble_s + NOTICE_S:
            self._noticed = True
            code, retry_after_ms = self._trouble
            effects.append(self._write(frames.encode(frames.Notice(code=code, retry_after_ms=retry_after_ms))))
        if now_s >= self._pull_again_s:
            self._pull_again_s = math.inf
        if now_s >= self._prove_s:
            self._prove_s = math.inf
            effects.append(Prove(self._acked))
        return effects

    def _hurry(self) -> None:
        """Something has a time now, or another one, that may be earlier than all others. What only moves later needs no
        call.
        """
        self.due_s = self._next_s()

    def _next_s(self) -> float:
        silence_s = PING_S + PONG_S if self._pinged else PING_S
        first = min(self._heard_s + silence_s, self._writing.due_s, self._shut_s + SHUT_S)
        if self.stage is Stage.AWAITS_HELLO:
            return min(first, self._opened_s + HELLO_S)
        if self.stage is not Stage.OPEN:
            return first
        trouble_s = math.inf if self._noticed else self._trouble_s + NOTICE_S
        holder = self._holder
        ends_s = math.inf if holder is None else holder.ends_s if self._has_warned else self._warn_s(holder)
        return min(first, trouble_s, self._pull_again_s, self._prove_s, ends_s)

    def _warn_s(self, holder: Holder) -> float:
        return holder.ends_s - self._terms.leeway_s - EXPIRING_S

    # ------------------------------------------------------------------ what follows

    def _settled(self, effects: list[Effect], now_s: float) -> list[Effect]:
        """`effects`, and what is possible beside them: calls that begin, a pull, the end where the server leaves."""
        deltas = self._deltas
        if deltas is None or (effects and isinstance(effects[-1], End)):
            return effects
        if self._calls.wait:
            effects += [Begin(*begun) for begun in self._calls.begin(self._writing.unwritten_bytes)]
        if deltas.has_changed and self._writing.has_room and self._pull_again_s == math.inf and not self._is_leaving:
            pull = deltas.next_pull()
            if pull is not None:
                effects.append(Pull(*pull))
        if not deltas.is_shut:
            self._shut_s = math.inf
        elif self._shut_s == math.inf:
            self._shut_s = now_s
            self._hurry()
        return effects + self._leave() if self._is_leaving else effects

    def _leave(self) -> list[Effect]:
        if self.stage is Stage.ENDED or len(self._calls):
            return []
        return self._end(closing.GOING, f"retryAfterMs={self.retry_after_ms}")

    def _trouble_over(self) -> None:
        self._trouble_s, self._noticed = math.inf, False

    def _delta(self, delta: Delta | None, *, may_wait: bool = False) -> list[Effect]:
        return (
            [] if delta is None else [self._write(frames.delta(delta.prev, delta.token, delta.body), may_wait=may_wait)]
        )

    def _write(self, frame: bytes, *, may_wait: bool = False) -> Write:
        self._writing.writes(len(frame))
        return Write(frame, may_wait)

    def _end(self, code: int, reason: str, *, is_gone: bool = False) -> list[Effect]:
        self.stage = Stage.ENDED
        return [End(code, reason, is_gone)]
