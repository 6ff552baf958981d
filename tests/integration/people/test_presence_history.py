"""The verdict over presence finds each kind of breach, planted in a sound history."""

import pytest

from tests.integration.people.presence_history import JUDGED_S, Shown, presence_breaches, right_after

BACK_S = 10.0
HERE, NEVER = "here", "never"


def sound() -> list[Shown]:
    """Online, unknown while Redis is away, not seen, and online again 4 s after it is back."""
    told = ((1.0, True), (5.0, None), (10.5, None), (12.0, False), (14.0, True), (15.0, True), (30.0, True))
    never = ((1.0, False), (5.0, None), (12.0, False), (30.0, False))
    return [Shown(HERE, *one) for one in told] + [Shown(NEVER, *one) for one in never]


def found(shown: list[Shown]) -> list[str]:
    return [one.partition(":")[0] for one in presence_breaches(shown, HERE, NEVER, BACK_S)]


def test_a_sound_history_has_no_breach() -> None:
    assert found(sound()) == []
    assert right_after(sound(), HERE, BACK_S) == 4.0


@pytest.mark.parametrize("online", [False, None])
def test_what_is_wrong_long_after_redis_is_back_is_found(online: bool | None) -> None:
    late = Shown(HERE, BACK_S + JUDGED_S + 0.1, online)
    assert found([*sound()[:6], late]) == [f"not right within {JUDGED_S:g} s"]


def test_what_is_right_too_late_is_found() -> None:
    late = [Shown(HERE, BACK_S + JUDGED_S - 0.1, False), Shown(HERE, BACK_S + JUDGED_S + 0.1, True)]
    assert found([*sound()[:6], *late]) == [f"not right within {JUDGED_S:g} s"]


def test_nothing_that_was_shown_is_found() -> None:
    assert found(sound()[:2]) == [f"not right within {JUDGED_S:g} s"]


@pytest.mark.parametrize("at_s", [0.5, 5.0, 30.0])
def test_somebody_online_who_never_was_is_found(at_s: float) -> None:
    assert found([*sound(), Shown(NEVER, at_s, True)]) == ["online, and never was"]
