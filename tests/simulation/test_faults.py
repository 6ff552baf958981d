"""Seeded faults over both kinds of store: whatever dies, is paused, fails or executes late, the promises hold.

A failure names its seed; the same seed plays the same story. ROWBOX_SIMULATION_SEEDS asks for more of them.
"""

import os

import pytest

from tests.simulation.world import World

SEEDS = int(os.environ.get("ROWBOX_SIMULATION_SEEDS", "60"))


@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_promises_hold(seed: int, late: bool) -> None:
    World(seed, late=late).run()


@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
def test_a_seed_replays(late: bool) -> None:
    assert World(7, late=late).run() == World(7, late=late).run()
