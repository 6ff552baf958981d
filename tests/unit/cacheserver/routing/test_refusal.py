"""When a request is sent again: each row of the table in refusal.py."""

import pytest

from rowbox.cacheserver.routing.refusal import LONGEST_PAUSE_S, LONGEST_WAIT_S, Now, Refusal, Until, refusal_of
from rowbox.mailbox.errors import (
    BadRequest,
    HandoverInProgress,
    LeaseLapsed,
    LinkLost,
    NotTheOwner,
    Overloaded,
    RateLimited,
    RowboxError,
    StoreFull,
    StoreOutcomeUnknown,
    StoreUnavailable,
    TokenRevoked,
    WrongIncarnation,
)

ROUTED = 5


def latest(_: float, to: float) -> float:
    return to


def refused(error: RowboxError, before: Refusal | None = None) -> Refusal:
    refusal = refusal_of(error, "a", ROUTED, 100.0, before, latest)
    assert refusal is not None
    return refusal


def now(*, incarnation: str = "a", version: int = ROUTED, is_up: bool = True, applied: int = 0, s: float = 0) -> Now:
    return Now(incarnation, version, is_up, applied, 100.0 + s)


@pytest.mark.parametrize(
    ("error", "until"),
    [
        (NotTheOwner("n", map_version=ROUTED), Until.NEWER_MAP),
        (NotTheOwner("n", map_version=ROUTED + 1), Until.NEWER_MAP),
        (NotTheOwner("n", map_version=ROUTED - 1), Until.APPLIED),
        (NotTheOwner("n"), Until.APPLIED),
        (LinkLost("l"), Until.LINK),
        (WrongIncarnation("w"), Until.LINK),
        (StoreOutcomeUnknown("u"), Until.LINK),
        (LeaseLapsed("l"), Until.PAUSE),
        (HandoverInProgress("h"), Until.PAUSE),
    ],
)
def test_what_is_waited_for(error: RowboxError, until: Until) -> None:
    assert refused(error).until is until


@pytest.mark.parametrize(
    "error",
    [StoreUnavailable("s"), StoreFull("f"), Overloaded("o"), RateLimited("r"), TokenRevoked("t"), BadRequest("b")],
)
def test_any_other_error_is_the_answer(error: RowboxError) -> None:
    assert refusal_of(error, "a", ROUTED, 100.0, None, latest) is None


@pytest.mark.parametrize(
    "error", [NotTheOwner("n", map_version=9), NotTheOwner("n"), LinkLost("l"), LeaseLapsed("l")], ids=repr
)
def test_a_newer_map_that_names_another_incarnation_ends_every_wait(error: RowboxError) -> None:
    refusal = refused(error)
    assert refusal.admits(now(incarnation="b", version=ROUTED + 1))
    assert not refusal.admits(now(incarnation="b", version=ROUTED))


def test_who_refused_by_a_map_is_asked_by_a_newer_one_only() -> None:
    refusal = refused(NotTheOwner("n", map_version=ROUTED + 1))
    assert not refusal.admits(now(version=ROUTED + 1, s=1000))
    assert refusal.admits(now(version=ROUTED + 2))
    assert refusal.look_again_s(100.0) is None


def test_who_knows_an_older_map_is_asked_when_it_has_applied_the_one_by_which_it_was_asked() -> None:
    refusal = refused(NotTheOwner("n", map_version=ROUTED - 1))
    assert not refusal.admits(now(applied=ROUTED))  # not before the pause
    assert refusal.admits(now(applied=ROUTED, s=0.1))
    assert not refusal.admits(now(applied=ROUTED - 1, s=0.1))
    assert refusal.admits(now(applied=ROUTED - 1, s=LONGEST_WAIT_S))


def test_a_lost_link_is_waited_for() -> None:
    refusal = refused(LinkLost("l"))
    assert not refusal.admits(now(is_up=False, s=0.9))
    assert refusal.admits(now(is_up=True, s=0.1))
    assert not refusal.admits(now(is_up=True))  # a listener that ends takes no calls although there is a link
    assert refusal.admits(now(is_up=False, s=LONGEST_WAIT_S))


def test_pauses_grow_to_the_longest() -> None:
    refusal, pauses = refused(LeaseLapsed("l")), []
    for _ in range(8):
        pauses.append(refusal.not_before_s - 100.0)
        assert not refusal.admits(now(s=pauses[-1] - 0.001))
        assert refusal.admits(now(s=pauses[-1]))
        refusal = refused(LeaseLapsed("l"), refusal)
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.05
    assert pauses[-1] == pytest.approx(LONGEST_PAUSE_S)


def test_one_looks_again_when_the_pause_is_over_and_then_when_the_longest_wait_is() -> None:
    refusal = refused(LinkLost("l"))
    assert refusal.look_again_s(100.0) == refusal.not_before_s
    assert refusal.look_again_s(refusal.not_before_s) == refusal.at_last_s
