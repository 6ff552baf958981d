"""Who is silent and who is lively, by one's own clock and without a gap in the looking."""

import pytest

from rowbox.cacheserver.node.watch import Touch, Watch
from rowbox.cacheserver.shardmap.cluster_row import ClusterRow
from rowbox.cacheserver.shardmap.cluster_state import NodeCell

PATIENCE_S = 4.5
GAP_S = 2.0


class Looking:
    """A watch whose clock a test sets, at one other node."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.watch = Watch(PATIENCE_S, GAP_S, lambda: self.now_s)

    def look(self, at_s: float, beat: int, *, status: str = "alive") -> None:
        self.now_s = 100.0 + at_s
        cell = NodeCell("other", beat, "alive" if status == "alive" else "dead", "there")
        self.watch.saw(ClusterRow(None, {b"n": cell}, {}))

    def hear(self, at_s: float, beat: int) -> None:
        self.now_s = 100.0 + at_s
        self.watch.heard("other", beat)

    @property
    def is_silent(self) -> bool:
        return "other" in self.watch.silent()

    @property
    def is_lively(self) -> bool:
        return "other" in self.watch.lively()


def test_one_that_is_seen_for_the_first_time_is_not_lively() -> None:
    """Its cell may be that of one long dead: nobody leaves the mailboxes to it."""
    looking = Looking()
    looking.look(0, 7)
    assert not looking.is_lively
    looking.look(1, 7)
    assert not looking.is_lively
    looking.look(2, 8)
    assert looking.is_lively


def test_one_that_has_not_changed_of_late_is_not_lively_any_more() -> None:
    looking = Looking()
    for second in range(4):
        looking.look(second, second)
    for second in (4, 5):
        looking.look(second, 3)
        assert looking.is_lively
    looking.look(5.1, 3)
    assert not looking.is_lively


def test_one_is_silent_after_the_whole_patience_and_not_before() -> None:
    looking = Looking()
    for tenths in range(0, 50, 5):
        looking.look(tenths / 10, 7)
        assert looking.is_silent == (tenths / 10 >= PATIENCE_S)
    looking.look(5.0, 8)
    assert not looking.is_silent


def test_a_gap_in_the_looking_starts_all_counts_anew() -> None:
    looking = Looking()
    for second in range(4):
        looking.look(second, 7)
    looking.look(3 + GAP_S + 0.1, 7)
    assert not looking.is_silent
    assert looking.watch.left_s("other") == PATIENCE_S


@pytest.mark.parametrize(
    ("heard", "looks_s", "left_s"),
    [
        ([(0.5, 8)], 1.0, 4.0),
        ([], 1.0, 4.5),
        ([(0.5, 9)], 1.0, 4.5),
        ([(0.5, 7)], 1.0, 4.5),
        ([(0.5, 8), (0.75, 8)], 1.0, 4.0),
        ([(-0.5, 8)], 1.0, 3.5),
        ([(0.5, 8)], 2.5, 4.5),
    ],
    ids=["half a second before", "not at all", "a later beat", "the one before", "twice", "too early", "before a gap"],
)
def test_silence_counts_from_when_the_very_beat_that_is_seen_was_heard_of(
    heard: list[tuple[float, int]], looks_s: float, left_s: float
) -> None:
    """Or from the look before, at which another one was seen: a swap that takes long is no silence."""
    looking = Looking()
    looking.look(-1, 6)
    for at_s, beat in [one for one in heard if one[0] < 0]:
        looking.hear(at_s, beat)
    looking.look(0, 7)
    for at_s, beat in [one for one in heard if one[0] > 0]:
        looking.hear(at_s, beat)
    looking.look(looks_s, 8)
    assert looking.watch.left_s("other") == left_s


def test_one_that_is_heard_of_and_was_never_seen_is_not_counted() -> None:
    looking = Looking()
    looking.hear(0, 7)
    looking.look(1, 7)
    assert looking.watch.left_s("other") == PATIENCE_S


def test_one_that_has_ended_is_neither() -> None:
    looking = Looking()
    for second in range(10):
        looking.look(second, 7, status="dead")
    assert not looking.is_silent
    assert not looking.is_lively


def test_who_is_apart_says_so_in_five_beats_and_may_leave_in_five_more_each_without_a_gap() -> None:
    now_s = 100.0
    touch = Touch(1.0, GAP_S, lambda: now_s)

    def looks(*after_s: float, is_in_touch: bool = False) -> tuple[bool, bool, bool]:
        nonlocal now_s
        for pause_s in after_s:
            now_s += pause_s
            touch.saw(is_in_touch=is_in_touch)
        return touch.is_apart, touch.is_cut_off, touch.may_leave

    assert looks(1, is_in_touch=True) == (False, False, False)
    assert looks(1, *[1] * 4) == (True, False, False)
    assert looks(1) == (True, True, False)
    assert looks(1, 1, 1, 1) == (True, True, False)
    assert looks(1) == (True, True, True)
    assert looks(1, is_in_touch=True) == (False, False, False)
    assert looks(1, *[1] * 4, 4, *[1] * 4) == (True, False, False), "the gap is none of the five beats"
    assert looks(1) == (True, True, False)
    assert looks(*[1] * 4, 4, *[1] * 4) == (True, True, False), "nor of the five that come then; what was said stays"
    assert looks(1) == (True, True, True)
