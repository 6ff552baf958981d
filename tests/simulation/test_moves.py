"""Seeded faults over servers that move shards to one another: whatever dies, stalls or comes twice, the promises hold.

A failure names its seed; the same seed plays the same story. ROWBOX_SIMULATION_SEEDS asks for more of them.
"""

import os

import pytest

from tests.simulation.moving_world import MovingWorld

SEEDS = int(os.environ.get("ROWBOX_SIMULATION_SEEDS", "60"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_promises_hold_while_shards_move(seed: int) -> None:
    MovingWorld(seed).run()
