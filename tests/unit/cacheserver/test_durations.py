"""How long writing store calls take, by classes of durations."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.cacheserver.commit.durations import BOUNDS_S, Durations, quantile_s

NOTHING = Durations().counts


def counted(*seconds: float) -> list[int]:
    durations = Durations()
    for one in seconds:
        durations.add(one)
    return durations.counts


@given(st.lists(st.floats(0.0, BOUNDS_S[-1]), min_size=1), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_so_many_stay_below_the_bound_and_not_as_many_below_the_one_before(took_s: list[float], share: float) -> None:
    bound_s = quantile_s(share, NOTHING, counted(*took_s))
    assert sum(one <= bound_s for one in took_s) >= share * len(took_s) - 1e-9
    shorter_s = max([bound for bound in BOUNDS_S if bound < bound_s], default=-1.0)
    assert sum(one <= shorter_s for one in took_s) < share * len(took_s)


def test_only_what_was_counted_between_the_two_moments_counts() -> None:
    before = counted(*[5.0] * 100)
    after = [was + now for was, now in zip(before, counted(0.001, 0.002), strict=True)]
    assert quantile_s(0.99, before, after) == pytest.approx(0.002)
    assert quantile_s(0.99, after, after) == 0.0


def test_what_is_longer_than_all_classes_is_of_the_last() -> None:
    assert quantile_s(0.99, NOTHING, counted(1e9)) == BOUNDS_S[-1]


def test_an_estimate_is_at_most_a_class_too_high() -> None:
    random = Random(3)
    took_s = sorted(random.lognormvariate(-5, 1) for _ in range(10_000))
    assert took_s[9_900] <= quantile_s(0.99, NOTHING, counted(*took_s)) <= took_s[9_900] * 1.45
