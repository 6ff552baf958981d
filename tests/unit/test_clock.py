from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox.clock import tick

timestamps = st.integers(0, 1 << 52)


@given(timestamps, timestamps, timestamps)
def test_a_tick_is_greater_than_all_it_follows_and_no_further_than_it_must(now: int, last: int, remote: int) -> None:
    ticked = tick(now, last, remote)
    assert ticked > last
    assert ticked > remote
    assert ticked >= now
    assert ticked in {now, last + 1, remote + 1}


@given(st.lists(timestamps, min_size=1))
def test_whatever_the_clock_says_ticks_rise(readings: list[int]) -> None:
    last, seen = 0, []
    for now in readings:
        last = tick(now, last)
        seen.append(last)
    assert seen == sorted(set(seen))


@given(timestamps, timestamps)
def test_an_effect_sorts_after_its_cause_whatever_the_other_machine_s_clock_says(ours: int, theirs: int) -> None:
    sent = tick(theirs, 0)
    delivered = tick(ours, 0, sent)
    reply = tick(ours, delivered)
    assert sent < delivered < reply
