"""Seeded clusters in virtual time: whatever dies, stalls or is cut off, the promises hold, and all are served again.

`python -m tests.simulation.cluster` plays more of them, and says by which seed each missing rule is noticed.
"""

import os

import pytest

from tests.simulation.cluster.mutants import NOTICED, Mutant
from tests.simulation.cluster.playing import broken_by, noticed
from tests.simulation.cluster.world import ClusterWorld, quiet_logs

SEEDS = int(os.environ.get("ROWBOX_SIMULATION_SEEDS", "300"))
AT_ONCE = 50


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_promises_hold_in_a_cluster(first: int) -> None:
    with quiet_logs():
        broken = [text for seed in range(first, min(first + AT_ONCE, SEEDS)) if (text := broken_by(seed))]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(("mutant", "first"), NOTICED, ids=lambda part: getattr(part, "__name__", str(part)))
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_the_simulation_notices_that_the_rule_is_missing(mutant: Mutant, first: int) -> None:
    """From a seed on that noticed it once: the next ones do as well when a story has changed."""
    assert noticed(mutant, range(first, first + 60)), "60 seeds without a violation"


def test_a_seed_replays() -> None:
    with quiet_logs():
        assert ClusterWorld(7).run() == ClusterWorld(7).run()
