"""The timestamps of store calls."""

from hypothesis import given
from hypothesis import strategies as st

from rowbox.cacheserver.clocks import StoreClock
from rowbox.mailbox.clocks.clock import MAX_AHEAD_US

NOW_US = 1_800_000_000_000_000
NOW_MS = NOW_US // 1000
YEAR_US = 365 * 86_400_000_000


class Reading:
    """A clock that a test sets."""

    def __init__(self, now_us: int = NOW_US) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


def test_a_call_is_never_stamped_behind_the_versions_that_it_writes() -> None:
    """A server whose clock was years behind wrote cells that had expired as soon as the clock was right."""
    reading = Reading(NOW_US - 10 * YEAR_US)
    clock = StoreClock(reading)
    assert clock.next_ms(NOW_US) == NOW_MS
    assert clock.next_ms(NOW_US + 1) == NOW_MS + 1, "rounded up"
    assert StoreClock(Reading()).next_ms(NOW_US - YEAR_US) == NOW_MS


steps = st.lists(st.tuples(st.integers(-5_000, 5_000), st.integers(-5_000, 5_000)), min_size=1)


@given(steps)
def test_timestamps_rise_however_the_clock_is_set(moves: list[tuple[int, int]]) -> None:
    reading = Reading()
    clock = StoreClock(reading)
    given_ms = []
    for step_ms, version_ms in moves:
        reading.now_us += step_ms * 1000
        given_ms.append(clock.next_ms(NOW_US + version_ms * 1000))
    assert given_ms == sorted(set(given_ms))


def test_one_mailbox_in_2100_does_not_take_everybody_s_write_times_along() -> None:
    clock = StoreClock(Reading())
    far_us = NOW_US + 70 * YEAR_US
    assert clock.is_ahead(far_us)
    assert clock.next_ms(far_us) == far_us // 1000
    assert clock.next_ms(far_us + 1000) == far_us // 1000 + 1
    assert clock.next_ms(NOW_US) == NOW_MS


def test_what_is_a_little_ahead_is_followed() -> None:
    clock = StoreClock(Reading())
    ahead_us = NOW_US + MAX_AHEAD_US
    assert not clock.is_ahead(ahead_us)
    assert clock.next_ms(ahead_us) == ahead_us // 1000
    assert clock.next_ms() == ahead_us // 1000 + 1
