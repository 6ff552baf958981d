"""Patience, for any failures and any time that they take: what is tried again, when, and how it ends."""

import asyncio
from collections.abc import Coroutine, Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from rowbox.client import CallFailed, OutcomeUnknown, Refused
from rowbox.client.retry import Pauses, Timing, retried
from tests.client.scripted_server import Time

Failure = tuple[bool, int, float]
"""Whether it is a 429, what it asks for in milliseconds, and how long it took."""


async def outcome(call: Coroutine[None, None, str]) -> str | BaseException:
    (answer,) = await asyncio.gather(call, return_exceptions=True)
    return answer


@given(
    failures=st.lists(
        st.tuples(st.booleans(), st.integers(0, 40_000), st.floats(0, 15, allow_nan=False)), min_size=1, max_size=60
    ),
    patience_s=st.one_of(st.just(0.0), st.floats(0.1, 60)),
    seed=st.integers(0, 1000),
)
def test_a_call_ends_with_its_patience_and_not_before(
    failures: Sequence[Failure], patience_s: float, seed: int
) -> None:
    time = Time()
    begun: list[float] = []
    ended: list[tuple[float, float]] = []
    """When each try failed, and for how long it asked."""

    async def call() -> str:
        begun.append(time.now_s)
        if len(begun) > len(failures):
            return "an answer"
        is_refusal, asked_ms, took_s = failures[len(begun) - 1]
        time.now_s += took_s
        ended.append((time.now_s, asked_ms / 1000))
        kind, status = (Refused, 429) if is_refusal else (OutcomeUnknown, 503)
        raise kind("no", code="no", status=status, retry_after_ms=asked_ms)

    timing = Timing(pauses=Pauses(), random=Random(seed), sleep=time.sleep, clock=time.clock)
    answer = asyncio.run(outcome(retried(call, patience_s, timing)))
    if isinstance(answer, CallFailed):
        at_s, asked_s = ended[-1]
        assert at_s >= patience_s or at_s + asked_s > patience_s, "it had time left"
        has_unknown = any(not is_refusal for is_refusal, _, _ in failures[: len(begun)])
        assert isinstance(answer, OutcomeUnknown) == has_unknown
    assert begun[-1] <= patience_s + 1e-6
    for (at_s, asked_s), next_s in zip(ended, begun[1:], strict=False):
        assert next_s >= at_s + asked_s - 1e-6, "sooner than the server asked"
