"""A process that is called: the link to it, made and made again in the background.

- There is one attempt at a time. Between two of them is a pause that grows to `longest_pause_s`. Half of it to the
  whole is waited, by chance, so that a node that comes back is not called by all others in one moment. After a link
  that lasted, the pauses begin with the shortest again.
- While an attempt is under way, calls wait for what comes of it. Between attempts they end at once, with LinkLost:
  whoever routes can do better than to wait for this process.
- A refusal is logged once in a while, by its kind.
"""

import asyncio
import logging
import random
import secrets
from collections.abc import Callable
from typing import Any, Final, TypeVar

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.link_counts import Between, LinkCounts
from rowbox.cacheserver.rpc import frames
from rowbox.cacheserver.rpc.calls import PING, CallSpec, Lane
from rowbox.cacheserver.rpc.endpoint import Endpoint, binding_of_caller, dial, is_sealed
from rowbox.cacheserver.rpc.handshake import NONCE_BYTES, PASSING, REASONS, Calling, HandshakeError, Identity
from rowbox.cacheserver.rpc.link import RETRY_AFTER_MS, CallingLink, Waiting
from rowbox.cacheserver.rpc.wire import LinkTiming, Wire
from rowbox.mailbox.errors import LinkLost, MessageTooLarge, Overloaded, RowboxError, WrongIncarnation
from rowbox.mailbox.timing.rarely import Rarely
from rowbox.mailbox.timing.timer_queue import TimerQueue

log = logging.getLogger(__name__)

MOST_QUEUED: Final = 4_096
"""Calls that wait for an attempt under way."""
MOST_KINDS: Final = 64
"""Of what the other side publishes."""
LASTED_S: Final = 5.0
UNREACHABLE: Final = "unreachable"
"""Why there is no link, where nobody answers."""
PING_PAUSE_S: Final = 5.0
"""Between two measurements of a link, which cost a call each; and how long one of them may take."""
_Asked = TypeVar("_Asked")
_Answered = TypeVar("_Answered")


def calling_counts(between: Between = "servers") -> LinkCounts:
    """For the peers of a process, which have nothing counted yet."""
    return LinkCounts("calls", between, tuple(Lane), (*sorted(REASONS), UNREACHABLE))


class Peer:
    """One process that this one calls. `start` before the first call, `close` after the last."""

    def __init__(
        self,
        endpoint: Endpoint,
        identity: Identity,
        secret: bytes,
        *,
        expects: str = "",
        timing: LinkTiming | None = None,
        on_published: Callable[[str, bytes], None] | None = None,
        counts: LinkCounts | None = None,
    ) -> None:
        """`counts` may be those of other peers as well.

        `expects` is the incarnation that has to answer, "" for any: where another one does, there is no link.

        `on_published` is called with what the process says unasked: the kind, and the value as msgpack.
        """
        self.endpoint = endpoint
        self._identity = identity
        self._secret = secret
        self._expects = expects
        self._timing = timing if timing is not None else LinkTiming()
        self._on_published = on_published
        self.counts = counts if counts is not None else calling_counts()
        self._loop = asyncio.get_running_loop()
        self._link: CallingLink | None = None
        self._queued: dict[int, Waiting[Any]] = {}
        self._is_connecting = True  # until the first attempt has ended
        self._failed_attempts = 0
        self._last_id = 0
        self._ends = TimerQueue[Waiting[Any]](self._loop, self._time_is_over)
        self._changed = asyncio.Event()
        self._lines = Rarely(self._loop.time)
        self._why: RowboxError = LinkLost("no link was made yet", retry_after_ms=RETRY_AFTER_MS)
        self.reason = ""
        """Why the last attempt came to nothing: one of REASONS, or UNREACHABLE; "" where none did."""
        self._background = BackgroundLoop("link", self._round)
        self._hears: dict[str, Callable[[bytes], None]] = {}
        self._when_lost: list[Callable[[], None]] = []
        self.published: dict[str, bytes] = {}
        """The newest of each kind that the process has said unasked, as msgpack. It outlives the link."""
        self.links = 0
        """Links that were made to this process."""

    # ------------------------------------------------------------------ life

    def start(self) -> None:
        """Connects, in the background."""
        self._background.start()

    async def close(self) -> None:
        """Ends the link. What is in flight ends as when a link is lost."""
        await self._background.close()
        if self._link is not None:
            self._link.wire.close("this process ends")
        self._attempt_ended(LinkLost("this process ends", retry_after_ms=RETRY_AFTER_MS))
        self._ends.close()

    @property
    def is_up(self) -> bool:
        """Whether there is a link that takes calls."""
        return self._link is not None and self._link.takes_calls

    @property
    def why_not(self) -> str:
        """Why there is no link, for people."""
        return str(self._why)

    @property
    def remote(self) -> Identity | None:
        """Who answers; None while there is no link."""
        return None if self._link is None else self._link.session.remote

    @property
    def in_flight(self) -> int:
        """Calls that wait for an answer."""
        return (0 if self._link is None else len(self._link)) + len(self._queued)

    async def up(self) -> None:
        """Returns when there is a link."""
        while not self.is_up:
            self._changed.clear()
            await self._changed.wait()

    def hear(self, kind: str, heard: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        """Has `heard` called with all that is said of a kind, which is then no newest value of anything.

        `lost` is called whenever a link is lost: what was said over it, or was to be, is not said again.
        """
        self._hears[kind] = heard
        self._when_lost.append(lost)

    # ------------------------------------------------------------------ calls

    def call(
        self, spec: CallSpec[_Asked, _Answered], asked: _Asked, *, timeout_s: float, map_version: int = 0
    ) -> Waiting[_Answered]:
        """Asks for something. The frames leave in the order of these calls. Cancelling the future calls it off.

        Raises at once, and nothing was sent: Overloaded (its lane is full), LinkLost (there is no link, and none is
        being made), MessageTooLarge. The future's errors are those of the handler, of the same class, and:
        LinkLost        it was not sent, or it only reads: the link was lost, or the time is over
        StoreOutcomeUnknown     it writes, was sent, and the answer did not come
        """
        self._last_id += 1
        frame = frames.call(self._last_id, spec.name, max(0, int(timeout_s * 1000)), map_version, asked)
        if len(frame) >= frames.MOST_MESSAGE_BYTES - frames.HEADER_BYTES:
            raise MessageTooLarge(f"{spec.name} has {len(frame)} bytes, more than a link carries")
        waiting: Waiting[_Answered] = Waiting(spec, self._last_id, frame, self._loop)
        if self._link is not None and self._link.takes_calls:
            self._submit(self._link, waiting)
        elif not self._is_connecting:
            raise self._why.with_traceback(None)
        elif len(self._queued) >= MOST_QUEUED:
            self.counts.without_credit[spec.lane] += 1
            raise Overloaded("too many calls wait for a link", retry_after_ms=RETRY_AFTER_MS)
        else:
            self._queued[waiting.id] = waiting
            waiting.add_done_callback(self._leave_queue)
        self._ends.add(waiting, timeout_s)
        return waiting

    def _submit(self, link: CallingLink, waiting: Waiting[Any]) -> None:
        """Sends a call. Overloaded, and nothing is sent."""
        try:
            link.submit(waiting)
        except Overloaded:
            self.counts.without_credit[waiting.spec.lane] += 1
            raise

    def _leave_queue(self, waiting: "asyncio.Future[Any]") -> None:
        assert isinstance(waiting, Waiting)
        if self._queued.pop(waiting.id, None) is not None:
            self._ends.remove(waiting)

    def _time_is_over(self, waiting: Waiting[Any]) -> None:
        waiting.fail("no answer came in time")
        if waiting.link is not None:
            waiting.link.call_off(waiting)

    # ------------------------------------------------------------------ the link

    async def _round(self) -> float:
        """One attempt, and the life of the link that comes of it; the pause before the next one."""
        self._is_connecting = True
        try:
            link = await self._connect()
        except (OSError, TimeoutError, HandshakeError) as error:
            self._attempt_ended(self._refused(error))
            self._failed_attempts += 1
            return self._pause_s()
        began_s = self._loop.time()
        reason = await self._life_of(link)
        self._link = None
        for lost in self._when_lost:
            lost()
        self._why = LinkLost(f"the link was lost ({reason})", retry_after_ms=RETRY_AFTER_MS)
        has_lasted = self._loop.time() - began_s >= LASTED_S
        self._failed_attempts = 0 if has_lasted else self._failed_attempts + 1
        if number := self._lines.count("lost"):
            text = "the link to %s was lost: %s (%d times since this was last said)"
            log.warning(text, self.endpoint, reason, number)
        return self._pause_s()

    async def _life_of(self, link: CallingLink) -> str:
        """Why the link was lost, once it is. Meanwhile it is measured, now and then."""
        while not link.ended.done():
            asked_s = self._loop.time()
            try:
                await self.call(PING, None, timeout_s=PING_PAUSE_S)
                link.round_trip_s = self._loop.time() - asked_s
            except RowboxError:
                link.round_trip_s = self._loop.time() - asked_s if link.takes_calls else link.round_trip_s
            await asyncio.wait([link.ended], timeout=PING_PAUSE_S)
        return link.ended.result()

    async def _connect(self) -> CallingLink:
        attempt = _Attempt(self)
        try:
            attempt.begin(await dial(self.endpoint, attempt.make_wire, self._timing.connect_s))
            return await attempt.made
        except BaseException:
            attempt.give_up()
            raise

    def established(self, link: CallingLink) -> None:
        """A link was made. What waited for it leaves, in its order."""
        self._link = link
        self.links += 1
        self.counts.began(link)
        link.ended.add_done_callback(lambda _: self.counts.ended(link))
        self._is_connecting = False
        queued, self._queued = self._queued, {}
        for waiting in queued.values():
            if not waiting.done():
                try:
                    self._submit(link, waiting)
                except Overloaded as error:
                    waiting.set_exception(error)
                    self._ends.remove(waiting)
        self._changed.set()

    def _attempt_ended(self, why: RowboxError) -> None:
        """Nothing came of an attempt, or there will be none any more: neither does of what waits for it."""
        self._is_connecting = False
        self._why = why
        queued, self._queued = self._queued, {}
        for waiting in queued.values():
            if not waiting.done():
                waiting.fail(str(why))
            self._ends.remove(waiting)

    def _refused(self, error: Exception) -> RowboxError:
        reason = error.reason if isinstance(error, HandshakeError) else type(error).__name__
        self.reason = reason if isinstance(error, HandshakeError) else UNREACHABLE
        self.counts.refused[self.reason] += 1
        why = str(error) or reason
        if number := self._lines.count(reason):
            text = "no link to %s: %s (%d times since this was last said); it is tried again"
            log.log(logging.INFO if reason in PASSING else logging.WARNING, text, self.endpoint, why, number)
        kind = WrongIncarnation if reason == "incarnation" else LinkLost
        return kind(f"no link to {self.endpoint}: {why}", retry_after_ms=RETRY_AFTER_MS)

    def _pause_s(self) -> float:
        grown = self._timing.first_pause_s * (1 << min(self._failed_attempts, 16))
        return min(self._timing.longest_pause_s, grown) * random.uniform(0.5, 1.0)

    # ------------------------------------------------------------------ what an attempt asks

    def wire(self, receive: Callable[[bytes], None], lost: Callable[[str], None]) -> Wire:
        return Wire(self._timing, receive, lost)

    def handshake(self) -> Calling:
        return Calling(self._identity, self._secret, secrets.token_bytes(NONCE_BYTES), expects=self._expects)

    def link_of(self, wire: Wire, handshake: Calling, message: bytes) -> CallingLink:
        """The link, now that the listener has proven itself; HandshakeError."""
        session = handshake.welcomed(message)
        wire.open(session.seals() if is_sealed(self.endpoint) else None)
        return CallingLink(wire, session, self._ends, self._take_published)

    def _take_published(self, kind: str, value: bytes) -> None:
        hear = self._hears.get(kind)
        if hear is not None:
            hear(value)
        elif kind in self.published or len(self.published) < MOST_KINDS:
            self.published[kind] = value
            if self._on_published is not None:
                self._on_published(kind, value)


def _looked_at(made: "asyncio.Future[CallingLink]") -> None:
    """Why an attempt failed is no warning of the loop's where nobody asks, because the attempt was given up as well."""
    if not made.cancelled():
        made.exception()


class _Attempt:
    """One connection until it is a link, or not."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._handshake = peer.handshake()
        self._has_proven = False
        self._wire: Wire | None = None
        self.made: asyncio.Future[CallingLink] = asyncio.get_running_loop().create_future()
        self.made.add_done_callback(_looked_at)

    def make_wire(self) -> Wire:
        self._wire = self._peer.wire(self._received, self._lost)
        return self._wire

    def begin(self, wire: Wire) -> None:
        wire.say(self._handshake.hello)

    def give_up(self) -> None:
        if self._wire is not None:
            self._wire.give_up("the attempt was given up")

    def _received(self, message: bytes) -> None:
        assert self._wire is not None
        try:
            if not self._has_proven:
                binding = binding_of_caller(self._wire)
                self._wire.say(self._handshake.challenged(message, binding))
                self._has_proven = True
            else:
                link = self._peer.link_of(self._wire, self._handshake, message)
                self._peer.established(link)
                if not self.made.done():
                    self.made.set_result(link)
        except HandshakeError as error:
            if not self.made.done():
                self.made.set_exception(error)
            raise

    def _lost(self, reason: str) -> None:
        if not self.made.done():
            self.made.set_exception(ConnectionError(reason))
