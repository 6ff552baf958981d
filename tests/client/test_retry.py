"""Patience, for any failures and any time that they take: what is tried again, when, and how it ends."""

import asyncio
from collections.abc import Coroutine, Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from rowbox.client import NO_ANSWER, CallFailed, OutcomeUnknown, Refused
from rowbox.client.calls.awake import MachineSlept
from rowbox.client.calls.retry import Pauses, Timing, retried
from tests.client.scripted_server import Time

Failure = tuple[bool, int, float]
"""Whether it is a 429, what it asks for in milliseconds, and how long it took."""


async def outcome(call: Coroutine[None, None, str]) -> str | BaseException:
    (answer,) = await asyncio.gather(call, return_exceptions=True)
    return answer


@given(
    failures=st.lists(
        st.tuples(st.booleans(), st.integers(-40_000, 40_000), st.floats(0, 15, allow_nan=False)),
        min_size=1,
        max_size=60,
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
        ended.append((time.now_s, max(0, asked_ms) / 1000))
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


def test_asleep_nobody_loses_patience() -> None:
    """On a clock that counts the sleep: of a process that was stopped, of a virtual machine that was paused."""
    time, tries = Time(), 0

    async def call() -> str:
        nonlocal tries
        tries += 1
        if tries == 1:
            time.now_s += 3600
            raise OutcomeUnknown("asleep", code=NO_ANSWER) from MachineSlept()
        if tries <= 3:
            raise OutcomeUnknown("the network is not back yet", code=NO_ANSWER)
        return "an answer"

    timing = Timing(random=Random(0), sleep=time.sleep, clock=time.clock)
    assert asyncio.run(outcome(retried(call, 30.0, timing))) == "an answer"
    tries = 0
    assert isinstance(asyncio.run(outcome(retried(call, 0, timing))), OutcomeUnknown)
    assert tries == 1, "of a patience of 0"


def test_asleep_in_a_pause_nobody_loses_patience_either() -> None:
    time, tries = Time(), 0

    async def sleep(seconds: float) -> None:
        await time.sleep(seconds)
        time.now_s += 3600 if tries == 2 else 0

    async def call() -> str:
        nonlocal tries
        tries += 1
        if tries <= 4:
            raise OutcomeUnknown("the network is not back yet", code=NO_ANSWER)
        return "an answer"

    assert asyncio.run(outcome(retried(call, 30.0, Timing(sleep=sleep, clock=time.clock)))) == "an answer"


def test_what_is_no_pause_shortens_none() -> None:
    """A proxy's -5 s would be a follower's loop without a pause."""
    for asked_ms in (-5000, 10**400):
        pause_s = Pauses().of(1, asked_ms, Random(0))
        assert 0 < pause_s <= 3601
