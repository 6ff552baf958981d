"""What is searched: the full rules within several bounds, and each weakened variant within bounds that show it.

Each kind of event multiplies the states, so no case has all kinds at once: each combines a few that act on one another.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.model.rows.in_parts import InParts
from tests.model.rows.one_row import OneRow
from tests.model.rows.rules import Bounds, Rules
from tests.model.rows.two_rows import TwoRows
from tests.model.search import Model


class Case(NamedTuple):
    """One search: a model, its rules and its bounds."""

    name: str
    rows: Callable[[Rules, Bounds], Model[Any]]
    bounds: Bounds
    rules: Rules = Rules()

    def model(self) -> Model[Any]:
        return self.rows(self.rules, self.bounds)


WARM = Bounds(warm=True)
FOLDING = Bounds(puts=3, grants=0, unknowns=3, days=1, warm=True)
"""Four epochs: two to be folded, the one after them, and the one that claims."""
IN_PARTS = Bounds((0, 1))
"""Two conversations, each a part."""

FULL = (
    Case("unknown puts and claims", OneRow, Bounds(puts=3)),
    Case("restarts", OneRow, Bounds(restarts=1)),
    Case("one map version given twice", OneRow, Bounds(unknowns=0, restarts=1, twins=True)),
    Case("planned moves", OneRow, Bounds(grants=2, unknowns=0, restarts=1, moves=True)),
    Case("expiry", OneRow, WARM._replace(puts=3, restarts=1, expiries=1)),
    Case("leases that come back", OneRow, Bounds(returns=1)),
    Case("sweeps", OneRow, WARM._replace(puts=3, sweeps=1)),
    Case("calls that execute twice", OneRow, WARM._replace(puts=3, repeats=1)),
    Case("all three", OneRow, Bounds(unknowns=0, restarts=1, expiries=1, sweeps=1, repeats=1)),
    Case("folding", OneRow, FOLDING._replace(grants=1, unknowns=1, sweeps=1)),
    Case("folding, two conversations", OneRow, FOLDING._replace(conversations=(0, 0, 1), sweeps=1)),
    Case("in parts, unknown puts and claims", InParts, IN_PARTS._replace(puts=3, grants=0, unknowns=2)),
    Case("in parts, three messages", InParts, IN_PARTS._replace(conversations=(0, 1, 0), grants=0, puts=3)),
    Case("in parts, three messages the other way", InParts, IN_PARTS._replace(conversations=(0, 1, 1), grants=0)),
    Case("in parts, takeovers", InParts, IN_PARTS._replace(puts=1)),
    Case("in parts, restarts", InParts, IN_PARTS._replace(unknowns=0, restarts=1)),
    Case("in parts, sweeps", InParts, IN_PARTS._replace(grants=0, sweeps=1)),
    Case("outbox, takeovers", TwoRows, Bounds((0,))),
    Case("outbox, restarts", TwoRows, Bounds((0,), grants=2, unknowns=0, restarts=1)),
)
"""The full rules, as the tests search them."""

_TAKEOVERS = FOLDING._replace(grants=1, unknowns=1, restarts=1, sweeps=1)

LARGE = (
    Case("unknown puts and claims, restarts, expiry", OneRow, Bounds(puts=3, restarts=1, expiries=1)),
    Case("planned moves, takeovers, restarts", OneRow, Bounds(grants=2, restarts=1, moves=True)),
    Case("calls that execute twice, restarts", OneRow, Bounds(restarts=1, repeats=1)),
    Case("calls that execute twice, expiry, sweeps", OneRow, WARM._replace(puts=3, expiries=1, sweeps=1, repeats=1)),
    Case("a clock ahead, expiry, sweeps", OneRow, Bounds(sweeps=1, expiries=1, ahead=1)),
    Case("folding, four writes, restarts", OneRow, _TAKEOVERS._replace(puts=4)),
    Case("folding, expiry, restarts", OneRow, _TAKEOVERS._replace(expiries=1)),
    Case("folding, more unknowns, a takeover", OneRow, FOLDING._replace(grants=1, unknowns=2, sweeps=1)),
    Case("folding, two conversations, restarts", OneRow, _TAKEOVERS._replace(conversations=(0, 0, 1))),
    Case("in parts, unknown puts and claims, takeovers", InParts, IN_PARTS),
    Case("in parts, three messages, takeovers", InParts, IN_PARTS._replace(conversations=(0, 1, 0), puts=1)),
    Case("in parts, four messages", InParts, IN_PARTS._replace(conversations=(0, 1, 0, 1), grants=0, unknowns=2)),
    Case("in parts, calls that execute twice, sweeps", InParts, IN_PARTS._replace(grants=0, sweeps=1, repeats=1)),
    Case("leases that come back, sweeps, restarts", OneRow, Bounds(returns=2, sweeps=1, restarts=1)),
    Case("outbox, two messages", TwoRows, WARM._replace(puts=3)),
    Case("outbox, two messages, restarts", TwoRows, WARM._replace(restarts=1)),
    Case("outbox, calls that execute twice", TwoRows, Bounds((0,), repeats=1)),
    Case("outbox, three writes, two takeovers, restarts", TwoRows, Bounds((0,), puts=3, grants=2, restarts=1)),
)
"""The full rules, as `make model` searches them."""

_BOUNDS = {
    "claim_on_load": Bounds(),
    "await_claim": Bounds(),
    "head_from_index": Bounds(expiries=1),
    "new_list": Bounds(),
    "same_head": IN_PARTS._replace(conversations=(0, 1, 0), grants=0, puts=3),
    "raise_n": Bounds(),
    "incarnation": Bounds(grants=0, restarts=1),
    "named_claims": Bounds(grants=0, unknowns=0, restarts=1, twins=True),
    "dead_before_grant": Bounds(),
    "fence_filter": Bounds(),
    "epoch_in_list": Bounds(),
    "second_state": Bounds(),
    "whole_mutation": Bounds((0, 0, 0)),
    "rising_t": Bounds(repeats=1),
    "one_in_flight": Bounds(),
    "check_after_claim": Bounds(puts=1, sweeps=1),
    "check_after_write": Bounds(),
    "check_before_answer": Bounds(),
    "check_before_write": FOLDING._replace(grants=1, unknowns=2),
    "only_lower": Bounds(sweeps=1),
    "sweep_after_claim": Bounds(puts=1, sweeps=1),
    "garbage_after_write": Bounds(sweeps=1),
    "fold_old_only": FOLDING,
    "fold_swept": FOLDING,
    "fold_both_states": FOLDING._replace(sweeps=1),
    "claimed_load": Bounds(),
    "deliver_after_check": Bounds(),
    "remove_after_delivery": Bounds(),
}
_OF_TWO_ROWS = {"claimed_load", "deliver_after_check", "remove_after_delivery"}

_MODELS: dict[str, Callable[[Rules, Bounds], Model[Any]]] = {
    **dict.fromkeys(_OF_TWO_ROWS, TwoRows),
    "same_head": InParts,
}

WEAKENED = tuple(
    Case(f"without {rule}", _MODELS.get(rule, OneRow), bounds, Rules()._replace(**{rule: False}))
    for rule, bounds in _BOUNDS.items()
)
"""Each rule left out: a violation must be found."""
