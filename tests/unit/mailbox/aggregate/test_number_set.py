"""A set of numbers against Python's own, and what it costs."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowbox.mailbox.aggregate import number_set
from rowbox.mailbox.aggregate.number_set import NumberSet

numbers = st.integers(0, (1 << 64) - 1) | st.integers(0, 40)


@given(st.lists(numbers, max_size=200), st.lists(numbers, max_size=20))
def test_it_holds_what_was_added_and_nothing_else(added: list[int], asked: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(number_set, "MOST_IN_RUN", 6)
        found = NumberSet()
        for number in added:
            found.add(number)
        assert found.count == len(set(added))
        for number in [*added, *asked]:
            assert (number in found) == (number in set(added))


@pytest.mark.parametrize("order", ["ascending", "mixed"])
@pytest.mark.parametrize("count", [0, 10, 1000, 50_000])
def test_the_estimate_is_within_a_factor_of_two_of_the_memory(count: int, order: str) -> None:
    wanted = [number * 0x9E3779B97F4A7C15 % (1 << 64) for number in range(count)]
    if order == "ascending":
        wanted.sort()
    tracemalloc.start()
    try:
        found = NumberSet()
        for number in wanted:
            found.add(number)
        measured = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert measured / 2 <= found.size_bytes <= measured * 2
    assert found.size_bytes <= 1000 + 16 * count, "a Python set takes 100 for each"
