from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox.clocks.clock import (
    MAX_AHEAD_US,
    date_of_send,
    first_of_mutation,
    is_far_ahead,
    is_others_date,
    is_own_date,
    tick,
)

timestamps = st.integers(0, 1 << 52)
nearby = st.integers(0, 5 * MAX_AHEAD_US)
"""Times between which the bounds lie."""
YEAR_2100 = 4_102_444_800_000_000
YEAR_2027 = 1_800_000_000_000_000


@given(timestamps, timestamps, timestamps)
def test_a_tick_is_greater_than_all_it_follows_and_no_further_than_it_must(now: int, last: int, remote: int) -> None:
    ticked = tick(now, last, remote)
    assert ticked > last
    assert ticked >= now
    if remote <= now + MAX_AHEAD_US:
        assert ticked > remote
    assert ticked in {now, last + 1, remote + 1}


@given(nearby, nearby, nearby)
def test_what_is_dated_far_ahead_takes_no_clock_along(now: int, last: int, remote: int) -> None:
    assert tick(now, last, remote) <= max(now, last) + MAX_AHEAD_US + 1
    assert is_others_date(remote, tick(now, last, remote))


@given(st.lists(timestamps, min_size=1))
def test_whatever_the_clock_says_ticks_rise(readings: list[int]) -> None:
    last, seen = 0, []
    for now in readings:
        last = tick(now, last)
        seen.append(last)
    assert seen == sorted(set(seen))


@given(timestamps, st.integers(-MAX_AHEAD_US, MAX_AHEAD_US))
def test_an_effect_sorts_after_its_cause_where_clocks_differ_by_less_than_the_bound(ours: int, differ: int) -> None:
    theirs = max(0, ours + differ)
    sent = tick(theirs, 0)
    delivered = tick(ours, 0, sent)
    reply = tick(ours, delivered)
    assert sent < delivered < reply
    assert date_of_send(ours, reply, newest_us=sent, read_us=0) == reply


@given(nearby, nearby, nearby, nearby)
def test_a_send_is_dated_after_all_that_its_user_sent_there_and_the_checker_knows_the_date(
    now: int, head: int, newest: int, read: int
) -> None:
    read = min(read, head)  # a mark is at what came into this mailbox, or behind it
    version = tick(now, first_of_mutation(now, head))
    sent = date_of_send(now, version, newest, read)
    assert max(now, read + 1) <= sent <= version
    assert is_own_date(sent, version)
    if newest <= min(head, now + MAX_AHEAD_US):
        assert sent > newest, "a reply sorts after what it answers"


def test_a_mailbox_whose_head_is_in_2100_dates_what_is_sent_by_the_time() -> None:
    version = tick(YEAR_2027, YEAR_2100)
    assert version > YEAR_2100
    assert date_of_send(YEAR_2027, version, newest_us=0, read_us=0) == YEAR_2027
    assert date_of_send(YEAR_2027, version, newest_us=YEAR_2027 + 5, read_us=YEAR_2027) == YEAR_2027 + 6
    assert date_of_send(YEAR_2027, version, newest_us=YEAR_2100, read_us=0) == YEAR_2027
    assert date_of_send(YEAR_2027, version, newest_us=YEAR_2100, read_us=YEAR_2100) == version


@given(nearby, nearby)
def test_far_ahead_each_mutation_is_a_millisecond_later(now: int, head: int) -> None:
    version = tick(now, first_of_mutation(now, head))
    if is_far_ahead(now, head):
        assert -(-version // 1000) > -(-head // 1000)
    else:
        assert version == tick(now, head)
