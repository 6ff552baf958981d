"""The simulation, with a kind of index cells that only the tests know: its writes are unlogged, and not lost either.

What a note says is all that was written to it, so a lost, doubled or revived write shows. The world is the other
simulation's, and goes on as ever beside the notes; its seeds play other stories here. That a note has a state
before is told in tests/owner/rows/test_any_kind.py: no seed here needs one, as none does of a conversation.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator

import pytest

from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.fence import Stamp
from tests.any_kind import ONE, OTHER, notes_are_known, notes_of, write_note
from tests.simulation import mutants as without
from tests.simulation.world import STEPS, USERS, World
from tests.support.cluster import Node

SEEDS = 20
MOST_SEEDS = 60
Place = tuple[str, bytes]


class NotingWorld(World):
    """Clients write notes as well, and look at them."""

    def __init__(self, seed: int, *, late: bool) -> None:
        super().__init__(seed, late=late)
        self.asked: dict[Place, set[str]] = {(user, key): set() for user in USERS for key in (ONE, OTHER)}
        self.stands: dict[Place, set[str]] = {place: set() for place in self.asked}
        """What was confirmed or shown, and so is there for ever."""

    async def _client(self, user: str) -> None:
        steps: list[Callable[[str], Awaitable[None]]] = [self._send, self._note, self._note, self._look, self._follow]
        for _ in range(STEPS):
            await asyncio.sleep(self.dice.uniform(0, 0.1))
            await self.dice.choice(steps)(user)

    async def _note(self, user: str) -> None:
        self.serial += 1
        place, text = (user, self.dice.choice([ONE, OTHER])), f"note {self.serial}"
        self.asked[place].add(text)
        self.history.note(f"{user} notes {text}")
        await self._try(lambda node: write_note(node, user, text, place[1]))
        self.stands[place].add(text)

    async def _look(self, user: str) -> None:
        place = (user, self.dice.choice([ONE, OTHER]))

        async def ask(node: Node) -> tuple[set[str], list[str]]:
            expected = set(self.stands[place])
            return expected, await notes_of(node, *place)

        self._compare(place, *await self._try(ask))

    def _compare(self, place: Place, expected: set[str], said: list[str]) -> None:
        if len(set(said)) != len(said) or not expected <= set(said) <= self.asked[place]:
            raise self.history.violated("P1", f"the notes {place} say {said}, of these stand {sorted(expected)}")
        self.stands[place].update(said)

    async def _check_the_end(self) -> None:
        await super()._check_the_end()
        for place, expected in self.stands.items():
            self._compare(place, expected, await notes_of(self.cluster.node, *place))


@pytest.fixture(autouse=True)
def _kind() -> Iterator[None]:
    with notes_are_known():
        yield


@pytest.fixture
def no_log() -> Iterator[None]:
    """A broken server complains at length."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_promises_hold(seed: int, late: bool) -> None:
    NotingWorld(seed, late=late).run()


def only_what_is_logged_is_written(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Plan, "changes_nothing", property(lambda self: not self.log))


def only_what_is_logged_is_applied(patch: pytest.MonkeyPatch) -> None:
    apply = Mailbox.apply
    patch.setattr(Mailbox, "apply", lambda self, plan: apply(self, plan) if plan.log else None)


def the_version_of_a_change_without_an_entry_is_none(patch: pytest.MonkeyPatch) -> None:
    """The head does not rise by it."""

    def of_the_head(self: Plan) -> Stamp:
        return Stamp(self._mailbox.epoch, self.head)

    patch.setattr(Plan, "stamp", of_the_head)


@pytest.mark.parametrize(
    "mutant",
    [
        only_what_is_logged_is_written,
        only_what_is_logged_is_applied,
        the_version_of_a_change_without_an_entry_is_none,
        without.no_fence_filter_on_load,
        without.the_epoch_stays_after_an_unknown_outcome,
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
    for seed in range(MOST_SEEDS):
        try:
            NotingWorld(seed, late=True).run()
        except AssertionError:  # a Violation, or what the invariant checker found in the end
            return
    pytest.fail(f"{MOST_SEEDS} seeds without a violation")
