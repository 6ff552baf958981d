"""When a call is made again, and how long after: at once, then with growing pauses, full jitter in each.

Full jitter (a pause is anything between nothing and the bound) because clients that lost the same server at the same
moment must not come back at the same moment. What the server asks for comes first: a pause is never shorter.
"""

from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeAlias, TypeVar

from msgspec import Struct

from rowbox.client.errors import CallFailed, OutcomeUnknown

Sleep: TypeAlias = Callable[[float], Awaitable[None]]
_T = TypeVar("_T")
_MOST_DOUBLINGS = 32
"""Beyond any `cap_s`; a client that is away for a week must not compute 2 ** 60000."""


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """How patient a client is. `retries` and `patience_s` are for single calls: following never gives up."""

    retries: int = 3
    base_s: float = 0.25
    """The bound of the first pause; each further one's is twice as long."""
    cap_s: float = 10.0
    """Where the bound stops growing."""
    patience_s: float = 30.0
    """A server that asks for a longer pause than this is not waited for: the call fails, with `retry_after_ms`."""

    def pause_s(self, number: int, asked_ms: int | None, random: Random) -> float:
        """The pause number 1, 2, ...; `asked_ms` is what the server asked for."""
        bound = min(self.cap_s, self.base_s * 2 ** min(number - 1, _MOST_DOUBLINGS))
        return (asked_ms or 0) / 1000 + random.uniform(0, bound)


async def retried(call: Callable[[], Awaitable[_T]], policy: RetryPolicy, random: Random, sleep: Sleep) -> _T:
    """The call's answer, from the first try or a later one. `call` must be the same request each time.

    The last try's error where none succeeds; OutcomeUnknown as well where that was a refusal but an earlier try had no
    answer, which may have been carried out.
    """
    failures, was_unknown = 0, False
    while True:
        try:
            return await call()
        except CallFailed as error:
            failures += 1
            was_unknown = was_unknown or isinstance(error, OutcomeUnknown)
            asked_ms = error.retry_after_ms
            if not error.retryable or failures > policy.retries or (asked_ms or 0) > policy.patience_s * 1000:
                if was_unknown and not isinstance(error, OutcomeUnknown):
                    raise _unknown_in_spite_of(error) from error
                raise
        if failures > 1 or asked_ms:
            await sleep(policy.pause_s(max(1, failures - 1), asked_ms, random))


def _unknown_in_spite_of(refusal: CallFailed) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"refused in the end ({refusal}), but a try before had no answer",
        code=refusal.code,
        status=refusal.status,
        request_id=refusal.request_id,
        retry_after_ms=refusal.retry_after_ms,
    )
