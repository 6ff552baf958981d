"""When a call is made again: at once after the first failure, then after growing pauses, with full jitter in each.

A pause has full jitter (it is drawn between nothing and its bound), because clients that lost the same server at the
same moment must not come back at the same moment. A pause is never shorter than the server asks for.

Patience is a time and not a count: how long a server is away (a restart, another server that takes over) does not
depend on how fast it refuses meanwhile.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, TypeAlias, TypeVar

from msgspec import Struct, field

from rowbox.client.calls.awake import GAP_S, MachineSlept
from rowbox.client.calls.errors import NO_TOKEN, CallFailed, OutcomeUnknown

PATIENCE_S: Final = 30.0
"""The default patience: longer than a takeover, which takes the lease's life and a few seconds."""
Sleep: TypeAlias = Callable[[float], Awaitable[None]]
_T = TypeVar("_T")
_MOST_ASKED_MS: Final = 3600_000
"""The longest pause, whatever a server or a proxy in front of it asks for."""
_MOST_DOUBLINGS: Final = 32
"""So many doublings exceed any `cap_s`. Without this bound a client that fails for a week would compute 2 ** 60000."""


class Pauses(Struct, frozen=True, kw_only=True):
    """The bounds of the pauses between tries."""

    base_s: float = 0.25
    """The bound of the first pause, in seconds. The bound of each further pause is twice that of the one before."""
    cap_s: float = 3.0
    """The bound at which pauses stop growing, in seconds. A client may notice so late that the server is back."""

    def of(self, number: int, asked_ms: int | None, random: Random) -> float:
        """The length in seconds of the pause with this number, from 1 on. `asked_ms` is what the server asked for."""
        bound = min(self.cap_s, self.base_s * 2 ** min(number - 1, _MOST_DOUBLINGS))
        return asked_s(asked_ms) + random.uniform(0, bound)


def asked_s(asked_ms: int | None) -> float:
    """The pause that a server asked for, in seconds. At most the longest pause; 0 where it asked for none."""
    return min(max(asked_ms or 0, 0), _MOST_ASKED_MS) / 1000


class Timing(Struct, frozen=True, kw_only=True):
    """A client's clocks, its way to sleep, its pauses and its random numbers; tests give others."""

    pauses: Pauses = Pauses()
    random: Random = field(default_factory=Random)
    sleep: Sleep = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    """Seconds since the epoch. It may jump, and it goes on while the machine sleeps."""


async def retried(
    call: Callable[[], Awaitable[_T]], patience_s: float, timing: Timing, *, since_s: float | None = None
) -> _T:
    """The call's answer, from the first try or a later one. `call` must make the same request each time.

    The patience begins now, or began at `since_s` of the clock. It begins anew when the machine wakes from a sleep. The
    last try is made when the patience ends, unless the server asks to come back later than that.

    Where no try succeeds, the error of the last one is raised. If that is a refusal but an earlier try had no answer,
    OutcomeUnknown is raised instead, because the earlier try may have been carried out.
    """
    until_s = patience_s + (timing.clock() if since_s is None else since_s)
    failures, was_unknown = 0, False
    while True:
        try:
            return await call()
        except CallFailed as error:
            was_unknown = was_unknown or (isinstance(error, OutcomeUnknown) and error.code != NO_TOKEN)
            if patience_s and isinstance(error.__cause__, MachineSlept):
                until_s = timing.clock() + patience_s
                continue
            failures += 1
            asked_ms, left_s = error.retry_after_ms or 0, until_s - timing.clock()
            if not error.retryable or left_s <= 0 or asked_ms > left_s * 1000:
                if was_unknown and not isinstance(error, OutcomeUnknown):
                    raise _unknown_in_spite_of(error) from error
                raise
        if failures > 1 or asked_ms:
            pause_s = min(left_s, timing.pauses.of(max(1, failures - 1), asked_ms, timing.random))
            back_at_s = timing.clock() + pause_s
            await timing.sleep(pause_s)
            if (woke_at_s := timing.clock()) > back_at_s + GAP_S:
                until_s = woke_at_s + patience_s


def _unknown_in_spite_of(refusal: CallFailed) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"refused in the end ({refusal}), but a try before had no answer",
        code=refusal.code,
        status=refusal.status,
        request_id=refusal.request_id,
        retry_after_ms=refusal.retry_after_ms,
    )
