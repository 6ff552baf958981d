"""Seeded groups: over both kinds of store, and in clusters. See group_world.py."""

import os

import pytest

from tests.simulation.cluster.world import quiet_logs
from tests.simulation.groups.group_world import GroupClusterWorld, GroupWorld

SEEDS = int(os.environ.get("ROWBOX_SIMULATION_SEEDS", "24"))


@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_groups_hold(seed: int, late: bool) -> None:
    GroupWorld(seed, late=late).run()


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_groups_hold_in_a_cluster(seed: int) -> None:
    with quiet_logs():
        GroupClusterWorld(seed).run()
