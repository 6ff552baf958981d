"""The calling side of one established link: what is in flight on it, and what becomes of that.

- A call is a future (Waiting). In flight it costs that, an entry in one dict, and its place among the deadlines.
- A call leaves in the turn in which it was made, in the order of the calls (Wire.put).
- Each call that has left is answered once, also where nobody waits any more; only then its credit is free.
- When the link is lost: what had not left, and what only reads, was not done (LinkLost). What writes and had left may
  have been done, and may still be (StoreOutcomeUnknown).
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from rowbox.cacheserver.rpc import frames
from rowbox.cacheserver.rpc.calls import CallSpec
from rowbox.cacheserver.rpc.credit import Credit
from rowbox.cacheserver.rpc.failures import error_of
from rowbox.cacheserver.rpc.handshake import Session
from rowbox.cacheserver.rpc.wire import Said, Wire
from rowbox.mailbox.errors import LinkLost, Overloaded, RowboxError, StoreOutcomeUnknown
from rowbox.mailbox.timing.timer_queue import TimerQueue

RETRY_AFTER_MS = 1_000
_T = TypeVar("_T")
Published = Callable[[str, bytes], None]
"""Called with the kind and the value (msgpack) of what the serving side says unasked."""


class Waiting(asyncio.Future[_T]):
    """A call and its answer to come. Cancelling it calls the call off, which ends the waiting and nothing else."""

    __slots__ = ("frame", "id", "link", "size_bytes", "spec")

    def __init__(self, spec: CallSpec[Any, Any], call_id: int, frame: bytes, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.spec = spec
        self.id = call_id
        self.frame = frame
        """The call as bytes, until it has left or is not to leave any more; then b""."""
        self.size_bytes = len(frame)
        self.link: CallingLink | None = None

    def leave(self) -> bytes:
        """See Leaving."""
        frame, self.frame = self.frame, b""
        return frame

    def cancel(self, msg: Any | None = None) -> bool:
        """See asyncio.Future."""
        if not super().cancel(msg):
            return False
        if self.link is not None:
            self.link.call_off(self)
        return True

    def call_off(self, why: RowboxError) -> None:
        """Ends the waiting with an error. Does nothing where it has ended."""
        if not self.done():
            self.set_exception(why)
            if self.link is not None:
                self.link.call_off(self)

    def fail(self, why: str) -> None:
        """Ends the waiting: nothing more is known than `why`, and whether the call has left."""
        if not self.done():
            self.set_exception(_of_unknown(self.spec, why, has_left=not self.frame))


def _of_unknown(spec: CallSpec[Any, Any], why: str, *, has_left: bool) -> RowboxError:
    if spec.writes and has_left:
        return StoreOutcomeUnknown(f"{why}: whether {spec.name} was done is not known", retry_after_ms=RETRY_AFTER_MS)
    return LinkLost(f"{why}: {spec.name} was not done", retry_after_ms=RETRY_AFTER_MS)


class CallingLink:
    """One established link, from its caller. `ends` are the deadlines of the calls of its peer."""

    def __init__(self, wire: Wire, session: Session, ends: TimerQueue[Waiting[Any]], published: Published) -> None:
        self._wire = wire
        self.session = session
        self._ends = ends
        self._published = published
        self._credit = Credit(session.windows)
        self._calls: dict[int, Waiting[Any]] = {}
        self.takes_calls = True
        """Until the other side says that it begins no more, or the link is lost."""
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Why the link was lost, once it is."""
        self.round_trip_s = 0.0
        """See CountedLink."""
        wire.receive, wire.lost = self._received, self._lost

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def wire(self) -> Wire:
        return self._wire

    @property
    def sent_bytes(self) -> int:
        """See CountedLink."""
        return self._wire.sent_bytes

    @property
    def received_bytes(self) -> int:
        """See CountedLink."""
        return self._wire.received_bytes

    @property
    def in_flight(self) -> Mapping[str, int]:
        """See CountedLink."""
        return self._credit.by_lane()

    def submit(self, waiting: Waiting[Any]) -> None:
        """Sends a call. Overloaded, and nothing is sent, where its lane has no room."""
        if not self._credit.take(waiting.spec.lane, waiting.size_bytes):
            raise Overloaded(f"the link has no room for another {waiting.spec.name}", retry_after_ms=RETRY_AFTER_MS)
        waiting.link = self
        self._calls[waiting.id] = waiting
        self._wire.put(waiting)

    def call_off(self, waiting: Waiting[Any]) -> None:
        """Nobody waits for this call any more. What has not left stays here; else the other side is told."""
        self._ends.remove(waiting)
        if self._calls.get(waiting.id) is not waiting:
            return
        if waiting.frame:
            waiting.frame = b""
            self._forget(waiting)
        else:
            self._wire.put(Said(frames.cancel(waiting.id)))

    def _forget(self, waiting: Waiting[Any]) -> None:
        del self._calls[waiting.id]
        self._credit.give_back(waiting.spec.lane, waiting.size_bytes)

    def _received(self, message: bytes) -> None:
        for frame in frames.frames_of(message):
            match frame:
                case frames.Answer():
                    self._answered(frame)
                case frames.Failed():
                    waiting = self._end(frame.id)
                    if not waiting.done():
                        waiting.set_exception(error_of(frame.kinds, frame.message, frame.fields))
                case frames.Push():
                    self._published(frame.kind, bytes(frame.body))
                case frames.Goodbye():
                    self._stop()
                case frames.Beat():
                    pass
                case frames.Call() | frames.Cancel():
                    raise frames.Garbage("a call against the direction of the link")

    def _answered(self, frame: frames.Answer) -> None:
        waiting = self._end(frame.id)
        if waiting.done():
            return
        try:
            value = waiting.spec.answer_of.decode(frame.body)
        except frames.UNREADABLE as error:
            waiting.fail(f"an answer that cannot be read ({error})")
        else:
            waiting.set_result(value)

    def _end(self, call_id: int) -> Waiting[Any]:
        """The call that has been answered, of which nothing is left here. Garbage: there is none."""
        waiting = self._calls.get(call_id)
        if waiting is None or waiting.frame:
            raise frames.Garbage("an answer to no call")
        del self._calls[call_id]
        self._credit.give_back(waiting.spec.lane, waiting.size_bytes)
        self._ends.remove(waiting)
        return waiting

    def _stop(self) -> None:
        """The other side begins no more calls: what has not left is not sent."""
        self.takes_calls = False
        for waiting in [waiting for waiting in self._calls.values() if waiting.frame]:
            waiting.fail("the other process is about to end")
            self.call_off(waiting)

    def _lost(self, reason: str) -> None:
        self.takes_calls = False
        calls, self._calls = self._calls, {}
        for waiting in calls.values():
            waiting.fail(f"the link was lost ({reason})")
            waiting.frame = b""
            self._ends.remove(waiting)
        if not self.ended.done():
            self.ended.set_result(reason)
