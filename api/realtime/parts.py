"""What all sockets and streams of a process share."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from rowbox.api.auth.authenticator import Authenticator
from rowbox.api.edge.named_calls import NamedCalls
from rowbox.api.http.drain import Drain
from rowbox.api.realtime.releases import Releases
from rowbox.api.realtime.session import SessionTerms
from rowbox.api.realtime.sockets import Sockets
from rowbox.cacheserver.ephemeral.port import PresencePort
from rowbox.cacheserver.port import MailboxPort
from rowbox.mailbox.timing.timer_queue import TimerQueue

PULL_ITEMS: Final = 100
PULL_BYTES: Final = 64 << 10
"""What one delta may hold: a client that reads slowly has the next one soon."""
CLOSE_S: Final = 2.0
"""How long a client has to answer a close frame, or to take the last bytes of a stream."""
RETRY_MS: Final = 1_000
"""When a pull is made again whose error does not say when."""
_STEP_S: Final = 0.25


class Timed(Protocol):
    """A socket or a stream."""

    def elapse(self) -> None:
        """The time has come for which it was put into the queue."""
        ...


class Parts(NamedTuple):
    """The port, the rules of the edge, and what is counted and timed together."""

    port: MailboxPort
    authenticator: Authenticator
    drain: Drain
    calls: NamedCalls
    sockets: Sockets
    timers: TimerQueue[Timed]
    terms: SessionTerms
    releases: Releases
    presence: PresencePort
    wall_clock: Callable[[], float] = time.time


def shared_timers() -> TimerQueue[Timed]:
    """One queue for all, on the running loop: ten thousand wait in it for their next ping."""
    return TimerQueue(asyncio.get_running_loop(), _elapse, step_s=_STEP_S)


def _elapse(one: Timed) -> None:
    one.elapse()
