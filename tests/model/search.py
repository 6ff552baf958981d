"""Explicit-state search, breadth first: every state that can be reached, each looked at once.

A model gives an initial state, the steps out of a state (a label for people and the state it leads to), and a verdict
on a state: None, or what is wrong with it. States are hashable values that are compared whole, so none is lost to a
hash collision. Nearer states are looked at first, so the trace of a violation is a shortest one. A search covers
everything within the model's bounds or raises; it never stops quietly.
"""

from array import array
from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple, Protocol, TypeVar

PROGRESS_EVERY = 100_000

S = TypeVar("S", bound=Hashable)


class TooManyStates(Exception):
    """The model has more states than the caller allowed: nothing was proved."""


class Model(Protocol[S]):
    """A model to search. Its three methods are pure."""

    def initial(self) -> S: ...

    def successors(self, state: S) -> Iterable[tuple[str, S]]: ...

    def violation(self, state: S) -> str | None: ...


class Result(NamedTuple):
    """What a search found: `violation` is None when every one of `states` is in order."""

    states: int
    steps: int
    violation: str | None
    trace: tuple[str, ...]

    def story(self) -> str:
        """The trace as numbered lines, the violation last."""
        lines = [f"{number:3}. {label}" for number, label in enumerate(self.trace, start=1)]
        return "\n".join([*lines, f"     => {self.violation}"])


def search(model: Model[S], limit: int, progress: Callable[[int], None] = lambda _: None) -> Result:
    """Looks at every state of `model` until one is in violation; TooManyStates when there are more than `limit`."""
    start = model.initial()
    seen = {start: 0}
    order = [start]
    parents, labels, steps = array("q", [-1]), [""], 0
    for position, state in enumerate(order):  # the list grows while it is walked: it is the queue, too
        for label, following in model.successors(state):
            steps += 1
            if seen.setdefault(following, len(order)) != len(order):
                continue
            order.append(following)
            parents.append(position)
            labels.append(label)
            wrong = model.violation(following)
            if wrong is not None:
                return Result(len(order), steps, wrong, _trace(parents, labels))
            if len(order) > limit:
                raise TooManyStates(f"more than {limit:,} states")
            if len(order) % PROGRESS_EVERY == 0:
                progress(len(order))
    return Result(len(order), steps, None, ())


def _trace(parents: "array[int]", labels: list[str]) -> tuple[str, ...]:
    """The labels from the initial state to the one reached last."""
    trace, position = [], len(labels) - 1
    while position > 0:
        trace.append(labels[position])
        position = parents[position]
    return tuple(reversed(trace))
