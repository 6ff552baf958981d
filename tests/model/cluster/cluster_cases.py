"""What is searched of the cluster's row: the full rules within several bounds, and each weakened variant."""

from typing import NamedTuple

from tests.model.cluster.cluster import Cluster
from tests.model.cluster.cluster_rules import ClusterBounds, ClusterRules


class ClusterCase(NamedTuple):
    """One search: bounds of the cluster's model, and its rules."""

    name: str
    bounds: ClusterBounds
    rules: ClusterRules = ClusterRules()

    def model(self) -> Cluster:
        return Cluster(self.rules, self.bounds)


TWO = ClusterBounds(nodes=2, versions=3)
COLD = ClusterBounds(warm=False)

FULL = (
    ClusterCase("cluster: three nodes, takeovers", ClusterBounds(versions=3)),
    ClusterCase("cluster: three nodes, a first start", COLD),
    ClusterCase("cluster: three nodes, restarts", ClusterBounds(beats=0, crashes=1)),
    ClusterCase("cluster: three nodes, resignations", ClusterBounds(beats=0, stops=1, versions=3)),
    ClusterCase("cluster: three nodes, answers that come late", ClusterBounds(beats=0, late_answers=True)),
    ClusterCase("cluster: restarts", TWO._replace(versions=2, crashes=1)),
    ClusterCase("cluster: resignations", TWO._replace(stops=2)),
    ClusterCase("cluster: answers that come late", TWO._replace(late_answers=True)),
    ClusterCase("cluster: rows that need a higher version", TWO._replace(raises=1, versions=4)),
    ClusterCase("cluster: writes, leases that come back", TWO._replace(beats=2, writes=True)),
)
"""The full rules, as the tests search them."""

LARGE = (
    ClusterCase("cluster: three nodes, writes", ClusterBounds(writes=True)),
    ClusterCase("cluster: three nodes, resignations, beats", ClusterBounds(stops=1, versions=3)),
    ClusterCase("cluster: restarts and resignations", TWO._replace(crashes=1, stops=1)),
)
"""The full rules, as `make model` searches them."""

_BOUNDS = {
    "judged_anew": ClusterBounds(beats=0, versions=3),
    "map_read_back": ClusterBounds(beats=0),
    "death_read_back": ClusterBounds(),
    "renewal_read_back": ClusterBounds(),
    "standing_beat": TWO._replace(beats=2),
    "patience": TWO._replace(beats=0),
    "unchanged_cell": TWO,
    "only_from_the_ended": TWO,
    "own_cell": TWO,
    "end_before_stop": TWO._replace(beats=0, stops=1),
    "cells_stay": COLD._replace(nodes=2, beats=2, versions=1, stops=1),
    "one_first_place": COLD._replace(nodes=2, beats=2, stops=1),
    "new_incarnation": TWO._replace(crashes=1),
}

WEAKENED = tuple(
    ClusterCase(f"cluster: without {rule}", bounds, ClusterRules()._replace(**{rule: False}))
    for rule, bounds in _BOUNDS.items()
)
"""Each rule left out: a violation must be found. `judged_anew` is what once gave two owners one epoch."""
