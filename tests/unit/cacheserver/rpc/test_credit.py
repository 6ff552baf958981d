"""Credit: a lane holds what its window says, and no lane takes of another."""

from hypothesis import given
from hypothesis import strategies as st

from rowbox.cacheserver.rpc.calls import Lane
from rowbox.cacheserver.rpc.credit import OTHER_LANES, Credit, Window

WINDOW = Window(4, 1_000)


@given(st.lists(st.integers(0, 1_500), max_size=30))
def test_a_lane_never_holds_more_than_its_window_and_one_call_always_finds_room(sizes: list[int]) -> None:
    credit, held = Credit(dict.fromkeys(Lane, WINDOW)), []
    for size in sizes:
        if credit.take(Lane.REQUESTS, size):
            held.append(size)
            assert len(held) <= WINDOW.calls
            assert sum(held) <= WINDOW.size_bytes or len(held) == 1
        else:
            assert len(held) == WINDOW.calls or sum(held) + size > WINDOW.size_bytes
            credit.give_back(Lane.REQUESTS, held.pop())
    for size in held:
        credit.give_back(Lane.REQUESTS, size)
    assert credit.calls == 0


def test_a_full_lane_leaves_the_others_alone() -> None:
    """Deliveries that wait for room behind sends that wait for deliveries would wait for ever."""
    credit = Credit(dict.fromkeys(Lane, WINDOW))
    while credit.take(Lane.REQUESTS, 1):
        pass
    assert all(credit.take(lane, 1) for lane in Lane if lane is not Lane.REQUESTS)


def test_a_lane_of_which_the_other_side_says_nothing_has_a_small_window() -> None:
    credit = Credit({})
    taken = 0
    while credit.take(Lane.MOVES, 1):
        taken += 1
    assert taken == OTHER_LANES.calls
