"""Whose clock is off, as the servers judge it from what their beats say."""

from itertools import permutations

import pytest

from rowbox.mailbox.clocks.clock_peers import AGREES_US, PeersTime, Verdict, judge
from rowbox.mailbox.clocks.clock_trust import TOLERANCE_US, Contradiction

SECOND = 1_000_000
HOUR = 3600 * SECOND


def offs(clocks: list[int], owner: int | None) -> list[int]:
    """By how much each of the servers with these clocks is off, as it judges itself. `owner` is a place in `clocks`."""
    found = []
    for me, own in enumerate(clocks):
        others = [clock - own for place, clock in enumerate(clocks) if place != me]
        off = judge(others, None if owner is None else clocks[owner] - own).off_us
        assert off is not None
        found.append(off)
    return found


def test_clocks_within_ten_seconds_agree() -> None:
    assert offs([0, TOLERANCE_US], owner=0) == [0, 0]
    assert offs([0, 5 * SECOND, 9 * SECOND, -1 * SECOND], owner=None) == [0, 0, 0, 0]


@pytest.mark.parametrize("owner", [0, 1, 2, None])
def test_of_three_the_odd_one_out_is_off_owner_or_not(owner: int | None) -> None:
    for clocks in permutations([0, SECOND, HOUR]):
        found = offs(list(clocks), owner)
        assert [bool(off) for off in found] == [clock == HOUR for clock in clocks]


def test_of_two_both_say_that_they_differ_and_the_owner_goes_on() -> None:
    assert offs([0, HOUR], owner=0) == [0, HOUR]
    assert offs([0, -HOUR], owner=0) == [0, -HOUR]
    assert judge([HOUR], 0) == Verdict(-HOUR, 0)
    assert judge([-HOUR], -HOUR) == Verdict(HOUR, HOUR)


def test_of_two_without_an_owner_that_believes_its_clock_both_are_off() -> None:
    assert offs([0, HOUR], owner=None) == [-HOUR, HOUR]


def test_an_even_division_goes_by_the_owner() -> None:
    assert offs([0, SECOND, HOUR, HOUR + SECOND], owner=1) == [0, 0, HOUR - SECOND, HOUR]


def test_who_has_differed_agrees_again_at_half_the_tolerance_only() -> None:
    assert judge([-8 * SECOND], None).off_us == 0
    assert judge([-8 * SECOND], None, AGREES_US).off_us == 8 * SECOND


def test_what_the_others_said_stays_true_until_the_clock_is_set_right() -> None:
    said = PeersTime(peers_us=HOUR, boot_us=5 * SECOND)
    doubt = said.doubt(2 * HOUR + SECOND, 6 * SECOND)
    assert doubt is not None
    assert (doubt.what, doubt.off_us) == (Contradiction.PEERS, HOUR)
    assert str(doubt) == "the clock is 1 h ahead of those of the other servers, which may differ by 10 s"
    assert said.doubt(HOUR + 2 * SECOND, 6 * SECOND) is None
