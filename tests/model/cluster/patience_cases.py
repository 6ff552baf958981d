"""What is searched of a lease and of who watches it: the full rules, and each weakened variant."""

from typing import NamedTuple

from tests.model.cluster.patience import Patience, PatienceBounds, PatienceRules


class PatienceCase(NamedTuple):
    """One search: bounds of the model of patience, and its rules."""

    name: str
    bounds: PatienceBounds
    rules: PatienceRules = PatienceRules()

    def model(self) -> Patience:
        return Patience(self.rules, self.bounds)


STALLING = PatienceBounds(ticks=2, beats=1, stalls=1)
TOLD = PatienceBounds(beats=1, hears=1)
FULL = (
    PatienceCase("patience: beats, and clocks that differ", PatienceBounds()),
    PatienceCase("patience: a store that stalls", STALLING),
    PatienceCase("patience: beats that are told", TOLD),
    PatienceCase("patience: beats that are told, and a store that stalls", STALLING._replace(hears=1)),
)
LARGE = (
    PatienceCase("patience: three beats, a stall, more time", PatienceBounds(4, 2, 4, 1)),
    PatienceCase("patience: three beats, of two of which is told", PatienceBounds(3, 2, 3, hears=2)),
)
_BOUNDS = {
    "from_before": PatienceBounds(),
    "margin": PatienceBounds(),
    "each_beat": PatienceBounds(),
    "no_gaps": STALLING,
    "told_when_begun": TOLD,
    "of_that_beat": TOLD,
}
WEAKENED = tuple(
    PatienceCase(f"patience: without {rule}", bounds, PatienceRules()._replace(**{rule: False}))
    for rule, bounds in _BOUNDS.items()
)
"""Each rule left out: a violation must be found."""
