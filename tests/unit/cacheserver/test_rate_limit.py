import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.cacheserver.rate_limit import RateLimits, TokenBuckets
from rowbox.mailbox.errors import RateLimited
from rowbox.mailbox.settings.config import RateLimitSettings


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def limit(clock: Clock, *, burst: int = 3, per_second: float = 2.0, most: int = 100) -> TokenBuckets:
    return TokenBuckets(burst=burst, per_second=per_second, most=most, now_s=clock)


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    bucket = limit(clock)
    assert [bucket.take("ann").remaining for _ in range(3)] == [2, 1, 0]
    with pytest.raises(RateLimited) as refused:
        bucket.take("ann")
    assert refused.value.retry_after_ms == 500
    assert bucket.take("bob").remaining == 2, "users do not share"
    clock.now = 0.499
    with pytest.raises(RateLimited):
        bucket.take("ann")
    clock.now = 0.5
    assert bucket.take("ann").remaining == 0
    clock.now = 1000
    assert bucket.take("ann").remaining == 2, "no more than the burst"


def test_the_quota_says_when_the_bucket_is_full_again() -> None:
    bucket = limit(Clock(), burst=10, per_second=2.0)
    assert [bucket.take("ann").reset_s for _ in range(3)] == [1, 1, 2]


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60), st.integers(1, 5), st.floats(0.1, 5))
def test_over_any_time_no_more_than_burst_and_rate_are_let_through(
    pauses: list[float], burst: int, per_second: float
) -> None:
    clock = Clock()
    bucket = limit(clock, burst=burst, per_second=per_second)
    passed, waits_ms = 0, []
    for pause in pauses:
        clock.now += pause
        try:
            bucket.take("ann")
            passed += 1
        except RateLimited as error:
            waits_ms.append(error.retry_after_ms or 0)
    assert passed <= burst + clock.now * per_second + 1e-6
    assert all(0 < wait_ms <= 1000 / per_second + 1 for wait_ms in waits_ms)


@given(st.floats(0.1, 1000))
def test_who_waits_as_told_is_let_through(per_second: float) -> None:
    clock = Clock()
    bucket = limit(clock, burst=1, per_second=per_second)
    bucket.take("ann")
    with pytest.raises(RateLimited) as refused:
        bucket.take("ann")
    assert refused.value.retry_after_ms is not None
    clock.now += refused.value.retry_after_ms / 1000 + 1e-9
    bucket.take("ann")


def test_what_a_request_turned_out_to_cost_is_owed_and_the_headers_stay_true() -> None:
    clock = Clock()
    bucket = limit(clock, burst=10, per_second=2.0)
    bucket.take("ann")
    assert bucket.charge("ann", 5) == (left := bucket.charge("ann", 0))
    assert (left.remaining, left.reset_s) == (4, 3)
    left = bucket.charge("ann", 10)
    assert (left.remaining, left.reset_s) == (0, 8)
    with pytest.raises(RateLimited) as refused:
        bucket.take("ann")
    assert refused.value.retry_after_ms == 3500
    clock.now = 3.5
    assert bucket.take("ann").remaining == 0


def test_a_cost_that_is_known_is_taken_at_once_and_none_is_more_than_a_burst() -> None:
    clock = Clock()
    bucket = limit(clock, burst=10, per_second=2.0)
    assert bucket.take("ann", 8).remaining == 2
    with pytest.raises(RateLimited) as refused:
        bucket.take("ann", 3)
    assert refused.value.retry_after_ms == 500
    assert bucket.take("ann", 2).remaining == 0
    with pytest.raises(RateLimited) as refused:
        bucket.take("ann", 1000)
    assert refused.value.retry_after_ms == 5000
    clock.now = 5
    assert bucket.take("ann", 1000).remaining == 0


def test_who_keeps_asking_is_remembered_and_the_memory_is_bounded() -> None:
    bucket = limit(Clock(), burst=1, per_second=0.001, most=10)
    bucket.take("greedy")
    for n in range(100):
        with pytest.raises(RateLimited):
            bucket.take("greedy")
        bucket.take(f"u{n}")
        assert len(bucket._buckets) <= 10


def test_a_look_at_the_bucket_takes_nothing() -> None:
    bucket = limit(Clock(), burst=1)
    for _ in range(3):
        bucket.check("ann")
    bucket.take("ann")
    with pytest.raises(RateLimited) as refused:
        bucket.check("ann")
    assert refused.value.retry_after_ms == 500
    bucket.check("bob")


def test_each_class_of_requests_has_buckets_of_its_own() -> None:
    limits = RateLimits(RateLimitSettings(send_burst=1, send_per_second=1, fetch_burst=2, fetch_per_second=1), Clock())
    sent, fetched = limits.take("send", "ann"), limits.take("fetch", "ann")
    assert sent is not None
    assert fetched is not None
    assert (sent.remaining, fetched.remaining) == (0, 1)
    for refused in (limits.take, limits.check):
        with pytest.raises(RateLimited):
            refused("send", "ann")
    limits.check("fetch", "ann")
    left = limits.charge("fetch", "bob", 2, fetched)
    assert left is not None
    assert left.remaining == 0
    assert limits.charge("fetch", "bob", 0, fetched) is fetched, "nothing more was cost"


def test_a_class_without_a_limit_lets_everything_through() -> None:
    limits = RateLimits(RateLimitSettings(send_burst=0), Clock())
    assert [limits.take("send", "ann", 1000) for _ in range(3)] == [None] * 3
    limits.check("send", "ann")
    assert limits.charge("send", "ann", 1000, None) is None
    assert limits.take("fetch", "ann") is not None
