"""The serving side of one established link: calls are begun in the order in which they came, and answered once each.

What a handler returned waits as an object until the peer reads (Wire), so a peer that asks for much and reads nothing
costs what is in flight, and the windows bound that. A call counts from its coming until its answer leaves.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import CoroutineType
from typing import Any

from rowbox.cacheserver.first_step import Ended, begin
from rowbox.cacheserver.rpc import frames
from rowbox.cacheserver.rpc.calls import CallSpec, Handlers, Inbound, Lane
from rowbox.cacheserver.rpc.credit import Credit
from rowbox.cacheserver.rpc.failures import failure_of
from rowbox.cacheserver.rpc.handshake import Session
from rowbox.cacheserver.rpc.wire import Said, Wire
from rowbox.mailbox.errors import BadRequest, LinkLost, RowboxError, UnknownCall
from rowbox.mailbox.timing.rarely import Rarely
from rowbox.mailbox.timing.timer_queue import TimerQueue

log = logging.getLogger(__name__)


class ServedCall:
    """A call that is being served, and then its answer until that has left."""

    __slots__ = ("_error", "_link", "_result", "id", "lane", "running", "size_bytes")

    def __init__(self, link: "ServingLink", call_id: int, lane: Lane, size_bytes: int) -> None:
        self._link = link
        self.id = call_id
        self.lane = lane
        self.size_bytes = size_bytes
        self.running: asyncio.Future[Any] | None = None
        """What its handler is at; None once it has ended."""
        self._result: object = None
        self._error: BaseException | None = None

    def ended(self, running: "asyncio.Future[Any]") -> None:
        """The handler's future or task has ended."""
        self.running = None
        if running.cancelled():
            self.fail(LinkLost("the call was called off"))
        elif error := running.exception():
            self.fail(error)
        else:
            self.answer(running.result())

    def answer(self, result: object) -> None:
        self._result = result
        self._link.is_answered(self)

    def fail(self, error: BaseException) -> None:
        self._error = error
        self._link.is_answered(self)

    def leave(self) -> bytes:
        """See Leaving."""
        self._link.has_left(self)
        if self._error is None:
            try:
                frame = frames.answer(self.id, self._result)
            except Exception as error:  # noqa: BLE001 - a handler returned what is no value; its caller is told that
                self._error = error
            else:
                if len(frame) < frames.MOST_MESSAGE_BYTES - frames.HEADER_BYTES:
                    return frame
                self._error = RowboxError(f"an answer of {len(frame)} bytes")
        self._link.report(self._error)
        return frames.failed(self.id, *failure_of(self._error))


class _Pushed:
    """A frame that is made when it leaves."""

    __slots__ = ("leave",)

    def __init__(self, leave: Callable[[], bytes]) -> None:
        self.leave = leave


class ServingLink:
    """One established link, from the process that serves. `ended` is called once when it is lost."""

    def __init__(
        self,
        wire: Wire,
        session: Session,
        handlers: Handlers,
        report: "Reports",
        ended: Callable[["ServingLink", str], None],
    ) -> None:
        self._wire = wire
        self.session = session
        self._handlers = handlers
        self._reports = report
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._credit = Credit(session.windows)
        self._calls: dict[int, ServedCall] = {}
        self._ends = TimerQueue[ServedCall](self._loop, _call_off)
        self._takes_calls = True
        self._idle: asyncio.Future[None] | None = None
        self._at_end: list[Callable[[], None]] = []
        self.round_trip_s = 0.0
        """See CountedLink: its callers measure."""
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

    def say(self, frame: bytes) -> None:
        """Says something unasked."""
        self._wire.put(Said(frame))

    def push(self, leave: Callable[[], bytes]) -> None:
        """See ServedLink."""
        self._wire.put(_Pushed(leave))

    def at_end(self, ended: Callable[[], None]) -> None:
        """See ServedLink."""
        if self._wire.reason:
            ended()
        else:
            self._at_end.append(ended)

    def stop(self) -> "asyncio.Future[None]":
        """Begins no more calls. The future is done when what was begun has been answered, or the link is lost."""
        if self._idle is None:
            self._idle = self._loop.create_future()
            self._takes_calls = False
            self.say(frames.GOODBYE)
            self._look_idle()
        return self._idle

    # ------------------------------------------------------------------ calls

    def _received(self, message: bytes) -> None:
        for frame in frames.frames_of(message):
            match frame:
                case frames.Call():
                    self._begin(frame)
                case frames.Cancel():
                    served = self._calls.get(frame.id)
                    if served is not None:
                        _call_off(served)
                case frames.Beat():
                    pass
                case _:
                    raise frames.Garbage("an answer against the direction of the link")

    def _begin(self, call: frames.Call) -> None:
        found = self._handlers.get(call.name)
        lane = Lane.REQUESTS if found is None else found[0].lane
        if call.id in self._calls:
            raise frames.Garbage("two calls of one id")
        if not self._credit.take(lane, len(call.body)):
            raise frames.Garbage(f"more calls than the window of {lane} holds")
        served = self._calls[call.id] = ServedCall(self, call.id, lane, len(call.body))
        if not self._takes_calls:
            served.fail(LinkLost("this process is about to end: nothing was begun"))
        elif found is None:
            served.fail(UnknownCall(f"this process has no call {call.name!r:.80}"))
        else:
            self._serve(served, call, *found)

    def _serve(self, served: ServedCall, call: frames.Call, spec: CallSpec[Any, Any], handler: Any) -> None:
        try:
            asked = spec.asked_of.decode(call.body)
            timeout_s = call.timeout_ms / 1000
            result = handler(asked, Inbound(self.session.remote.incarnation, call.map_version, timeout_s, self))
            if type(result) is CoroutineType:
                begun = begin(result, spec.name)
                result = begun.result if type(begun) is Ended else begun
        except frames.UNREADABLE as error:
            served.fail(BadRequest(f"{spec.name}: {error}"))
        except Exception as error:  # noqa: BLE001 - it is the caller's now, and logged where it is none of ours
            served.fail(error)
        else:
            if not isinstance(result, asyncio.Future):  # asyncio.isfuture takes three times as long to say so
                served.answer(result)
                return
            served.running = result
            result.add_done_callback(served.ended)
            self._ends.add(served, timeout_s)

    def is_answered(self, served: ServedCall) -> None:
        """The answer of a call is there, and is to leave."""
        self._ends.remove(served)
        if self._calls.get(served.id) is served:  # else the link is lost
            self._wire.put(served)

    def has_left(self, served: ServedCall) -> None:
        """The answer of a call leaves: nothing of it is left here."""
        del self._calls[served.id]
        self._credit.give_back(served.lane, served.size_bytes)
        if not self._takes_calls:
            self._loop.call_soon(self._look_idle)

    def report(self, error: BaseException) -> None:
        """Logs what is a fault in the code: its caller is told no more than that there is one."""
        self._reports.failed(error)

    def _look_idle(self) -> None:
        if not self._calls and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _lost(self, reason: str) -> None:
        calls, self._calls = self._calls, {}
        self._ends.close()
        for served in calls.values():
            _call_off(served)
        self._look_idle()
        at_end, self._at_end = self._at_end, []
        for ended in at_end:
            ended()
        self._ended(self, reason)


class Reports:
    """Lines of the log about calls that failed by a fault in the code: few of a kind, whatever a peer sends."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._lines = Rarely(now_s)

    def failed(self, error: BaseException) -> None:
        if isinstance(error, RowboxError):
            return
        if number := self._lines.count(type(error).__name__):
            log.error("a call failed, %d times since this was last said", number, exc_info=error)


def _call_off(served: ServedCall) -> None:
    """Ends the waiting for a call's handler: it is answered when the handler has ended."""
    if served.running is not None:
        served.running.cancel()
