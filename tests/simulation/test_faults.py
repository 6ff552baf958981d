"""Seeded faults over both kinds of store: whatever dies, is paused, fails or executes late, the promises hold.

A failure names its seed; the same seed plays the same story. ROWBOX_SIMULATION_SEEDS asks for more of them.
"""

import os

import pytest

from tests.simulation.world import World
from tests.support.parts import in_small_parts

SEEDS = int(os.environ.get("ROWBOX_SIMULATION_SEEDS", "60"))


@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_promises_hold(seed: int, late: bool) -> None:
    World(seed, late=late).run()


@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
@pytest.mark.parametrize("seed", range(0, SEEDS, 3))
def test_promises_hold_where_every_row_is_read_in_parts(seed: int, late: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    in_small_parts(monkeypatch)
    World(seed, late=late).run()


@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
def test_a_seed_replays(late: bool) -> None:
    assert World(7, late=late).run() == World(7, late=late).run()
