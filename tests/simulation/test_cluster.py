"""Seeded clusters in virtual time: whatever dies, stalls or is cut off, the promises hold, and all are served again.

`python -m tests.simulation.cluster` plays more of them. test_cluster_rules.py leaves rules out.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.cluster.playing import broken_by
from tests.simulation.cluster.world import ClusterWorld, quiet_logs

SEEDS = int(os.environ.get("ROWBOX_SIMULATION_SEEDS", "1000"))
AT_ONCE = 50
REPLAYED = 33
ROOT = Path(__file__).parents[2]


def _alone(first: int) -> object:
    """Some seeds as a test that shares nothing with its file: the processes of a run share the work."""
    return pytest.param(first, marks=pytest.mark.xdist_group(f"clusters from seed {first}"))


@pytest.mark.parametrize("first", [_alone(first) for first in range(0, SEEDS, AT_ONCE)])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_promises_hold_in_a_cluster(first: int) -> None:
    with quiet_logs():
        broken = [text for seed in range(first, min(first + AT_ONCE, SEEDS)) if (text := broken_by(seed))]
    assert not broken, "\n".join(broken)


def test_a_seed_replays() -> None:
    with quiet_logs():
        assert ClusterWorld(7).run() == ClusterWorld(7).run()


def test_a_seed_replays_in_another_process() -> None:
    """Sets of text have another order there: nothing that happens may go by one."""
    told = [
        subprocess.run(
            [sys.executable, "-m", "tests.simulation.cluster", "--first", str(REPLAYED), "--seeds", "1"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert told[0] == told[1]
    assert len(told[0].splitlines()) > 20
