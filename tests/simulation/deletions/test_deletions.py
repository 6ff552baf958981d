"""Seeded faults under users who delete conversations: nothing comes back, and nothing else is lost.

A failure names its seed; the same seed plays the same story. ROWBOX_SIMULATION_SEEDS asks for more of them.

That a message that was on its way over a deletion is shown, and that one that comes again is not, no seed needs here:
tests/owner/people/test_deleted_conversations.py tells of both.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence

import pytest

from rowbox.cacheserver.rows.view import View
from rowbox.mailbox.aggregate.index import ConversationIndex
from rowbox.mailbox.aggregate.plan import Plan
from tests.simulation import mutants as without
from tests.simulation.deletions.world import DeletingWorld

SEEDS = int(os.environ.get("ROWBOX_SIMULATION_SEEDS", "25"))
NOTICING = range(30, 90)
"""Seeds that are played without a rule: most notice it soon."""


@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_promises_hold(seed: int, late: bool) -> None:
    DeletingWorld(seed, late=late).run()


def test_a_seed_replays() -> None:
    assert DeletingWorld(7, late=True).run() == DeletingWorld(7, late=True).run()


@pytest.fixture
def no_log() -> Iterator[None]:
    """A broken server complains at length."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def a_load_lists_what_is_deleted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ConversationIndex, "leave_out", lambda _: None)


def pages_show_what_is_deleted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(View, "floor_id", lambda *_: None)
    patch.setattr(ConversationIndex, "take_floors", lambda *_: None)


def a_part_is_done_once_it_was_written(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks whether what was put in the place of a text counts."""
    sweep = Plan.sweep

    def done(
        self: Plan,
        conversation_id: bytes,
        floor: int,
        cells: Sequence[tuple[bytes, int, int, int, int]],
        following: bytes,
    ) -> int | None:
        return sweep(self, conversation_id, floor, cells, b"" if cells else following)

    patch.setattr(Plan, "sweep", done)


@pytest.mark.parametrize(
    "mutant",
    [
        a_load_lists_what_is_deleted,
        pages_show_what_is_deleted,
        a_part_is_done_once_it_was_written,
        without.no_fence_filter_on_load,
        without.the_mailbox_stays_after_an_unknown_outcome,
    ],
    ids=lambda mutant: mutant.__name__,
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.usefixtures("no_log")
def test_the_simulation_notices_that_the_rule_is_missing(
    mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    for seed in NOTICING:
        try:
            DeletingWorld(seed, late=True).run()
        except AssertionError:  # a Violation, or what the invariant checker found in the end
            return
    pytest.fail(f"{len(NOTICING)} seeds without a violation")
