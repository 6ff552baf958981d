"""Seeded moves of shards between owners: wherever a shard is at the moment, the promises hold."""

import os
from collections.abc import Callable

import pytest

from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.node.tenure import EpochGrant
from tests.simulation.sharing_world import SharingWorld

SEEDS = int(os.environ.get("ROWBOX_SIMULATION_SEEDS", "60"))
MOST_SEEDS = 100


@pytest.mark.parametrize("seed", range(SEEDS))
def test_promises_hold_while_shards_move(seed: int) -> None:
    SharingWorld(seed).run()


def _rows_outlive_their_grants(patch: pytest.MonkeyPatch) -> None:
    """Whoever owns a user now answers with what is in memory, of whatever time that is."""

    def owned_now(self: EpochGrant) -> None:
        self._tenure.grant_of(self.shard)

    patch.setattr(Table, "let_go", lambda *_: None)
    for check in ("check", "admit"):
        patch.setattr(EpochGrant, check, owned_now)


def _grants_are_not_asked(patch: pytest.MonkeyPatch) -> None:
    """Who has a mailbox in memory answers, whoever owns the user by now."""
    patch.setattr(Table, "let_go", lambda *_: None)
    for check in ("check", "admit"):
        patch.setattr(EpochGrant, check, lambda _: None)


@pytest.mark.parametrize("mutant", [_rows_outlive_their_grants, _grants_are_not_asked], ids=lambda one: one.__name__)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_the_simulation_notices_that_the_rule_is_missing(
    mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    for seed in range(MOST_SEEDS):
        try:
            SharingWorld(seed).run()
        except AssertionError:
            return
    pytest.fail(f"{MOST_SEEDS} seeds without a violation")


def test_a_seed_replays() -> None:
    assert SharingWorld(7).run() == SharingWorld(7).run()
