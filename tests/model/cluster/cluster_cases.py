"""What is searched of the cluster's row: the full rules within several bounds, and each weakened variant."""

from typing import NamedTuple

from tests.model.cluster.cluster_rules import ClusterBounds, ClusterRules
from tests.model.cluster.healing import Healed


class ClusterCase(NamedTuple):
    """One search: bounds of the cluster's model, and its rules."""

    name: str
    bounds: ClusterBounds
    rules: ClusterRules = ClusterRules()

    def model(self) -> Healed:
        return Healed(self.rules, self.bounds)


THREE = ClusterBounds(beats=0, versions=3)
TWO = ClusterBounds(nodes=2, beats=0, versions=3)
COLD = ClusterBounds(joined=0, beats=0)
ONE_OWNER = TWO._replace(shards=1, owners=1)
MOVING = ONE_OWNER._replace(versions=4, moves=1)
FULL = (
    ClusterCase("cluster: takeovers, plans that differ", THREE._replace(shards=3, plans=2)),
    ClusterCase("cluster: takeovers, plans that are carried over", THREE._replace(shards=3, plans=2, carries=True)),
    ClusterCase("cluster: takeovers, renewals", ClusterBounds()),
    ClusterCase("cluster: three nodes, answers that come late", THREE._replace(versions=2, late_answers=True)),
    ClusterCase("cluster: three nodes, resignations", THREE._replace(stops=1)),
    ClusterCase("cluster: three nodes, rows that need a higher version", THREE._replace(versions=4, raises=1)),
    ClusterCase("cluster: three nodes, one joins", THREE._replace(versions=2, joined=2)),
    ClusterCase("cluster: three nodes, a move", THREE._replace(shards=1, owners=1, versions=2, moves=1)),
    ClusterCase("cluster: one steward", THREE._replace(stewards=1)),
    ClusterCase("cluster: the plan that ships, one joins", TWO._replace(joined=1, owners=1, plans=0, versions=4)),
    ClusterCase("cluster: the plan that ships, three nodes", THREE._replace(plans=0)),
    ClusterCase("cluster: four nodes", ClusterBounds(nodes=4, joined=4, beats=0)),
    ClusterCase("cluster: a first start", COLD._replace(nodes=2, beats=1)),
    ClusterCase("cluster: restarts", TWO._replace(crashes=1)),
    ClusterCase("cluster: resignations", TWO._replace(beats=1, stops=2)),
    ClusterCase("cluster: rows that need a higher version", TWO._replace(beats=1, raises=1, versions=4)),
    ClusterCase("cluster: writes, leases that come back", TWO._replace(beats=2, writes=True)),
    ClusterCase("cluster: moves there and back", MOVING._replace(versions=5, moves=2)),
    ClusterCase("cluster: moves, rows that need a higher version", MOVING._replace(raises=1)),
    ClusterCase("cluster: moves, writes", MOVING._replace(writes=True)),
    ClusterCase("cluster: moves, answers that come late", TWO._replace(moves=1, late_answers=True)),
    ClusterCase("cluster: a restore", ONE_OWNER._replace(beats=1, joined=1, restores=1)),
)
"""The full rules, as the tests search them."""

LARGE = (
    ClusterCase("cluster: three nodes, renewals", ClusterBounds(versions=3)),
    ClusterCase("cluster: three nodes, restarts", THREE._replace(crashes=1)),
    ClusterCase("cluster: three nodes, a first start", COLD._replace(versions=1)),
    ClusterCase("cluster: three nodes, moves", THREE._replace(moves=1)),
    ClusterCase("cluster: three nodes, a move, more versions", THREE._replace(shards=1, owners=1, versions=4, moves=1)),
    ClusterCase("cluster: plans that are carried over", ClusterBounds(versions=3, plans=2, carries=True)),
    ClusterCase("cluster: four nodes, more versions", ClusterBounds(nodes=4, joined=4, beats=0, versions=3)),
    ClusterCase("cluster: one steward, restarts", THREE._replace(stewards=1, crashes=1)),
    ClusterCase("cluster: everybody restarts", ONE_OWNER._replace(crashes=2, versions=4)),
    ClusterCase("cluster: restarts and resignations", TWO._replace(crashes=1, stops=1)),
    ClusterCase("cluster: the plan that ships, one of three joins", THREE._replace(joined=2, plans=0, versions=4)),
    ClusterCase("cluster: moves, restarts", MOVING._replace(crashes=1)),
    ClusterCase(
        "cluster: a restore, answers that come late",
        ONE_OWNER._replace(beats=1, joined=1, restores=1, late_answers=True),
    ),
    ClusterCase("cluster: three nodes, a restore", THREE._replace(joined=1, owners=1, restores=1)),
)
"""The full rules, as `make model` searches them."""

_BOUNDS = {
    "judged_anew": THREE,
    "swapped_over_what_was_judged": THREE._replace(plans=2),
    "rebuilt": THREE._replace(plans=2),
    "map_read_back": THREE._replace(plans=2),
    "rising_maps": ONE_OWNER._replace(moves=2, late_answers=True),
    "applied_before_renewal": ONE_OWNER._replace(beats=1, joined=1, restores=1, late_answers=True),
    "death_read_back": ClusterBounds(),
    "renewal_read_back": ClusterBounds(),
    "standing_beat": TWO._replace(beats=2),
    "patience": TWO,
    "unchanged_cell": TWO._replace(beats=1),
    "only_from_the_ended": TWO._replace(beats=1),
    "absent_has_ended_in_whole_looks": THREE._replace(stewards=1),
    "since_is_raised": TWO,
    "own_cell": TWO._replace(beats=1),
    "end_before_stop": TWO._replace(stops=1),
    "cells_stay": COLD._replace(nodes=2, beats=1, versions=1, stops=1),
    "one_first_place": COLD._replace(nodes=2, beats=1, stops=1),
    "new_incarnation": TWO._replace(crashes=1),
    "closed_until_decided": ONE_OWNER._replace(moves=1),
    "grants_stand": THREE._replace(shards=1, owners=1, versions=4, moves=1),
    "restore_waits": ONE_OWNER._replace(beats=1, joined=1, restores=1),
}

WEAKENED = tuple(
    ClusterCase(f"cluster: without {rule}", bounds, ClusterRules()._replace(**{rule: False}))
    for rule, bounds in _BOUNDS.items()
)
"""Each rule left out: a violation must be found. `judged_anew` is what once gave two owners one epoch."""
