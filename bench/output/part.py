"""A part of a run: what it prints, what it claims, and its pictures."""

from collections.abc import Sequence
from typing import NamedTuple

from bench.output.report import table


class Claim(NamedTuple):
    """A number that was promised, and the one that was measured. With `is_most` the bound is an upper one, else a
    lower.
    """

    what: str
    measured: float
    bound: float
    is_most: bool

    @property
    def is_met(self) -> bool:
        return self.measured <= self.bound if self.is_most else self.measured >= self.bound


class Part(NamedTuple):
    """A part of a run. `pictures` has the text of each SVG by its name."""

    text: str
    claims: Sequence[Claim] = ()
    pictures: dict[str, str] = {}  # noqa: RUF012 - nobody writes to it


def verdicts(claims: Sequence[Claim]) -> str:
    """A table with a line for each claim: met, or missed."""
    head = ("to be done", "promised", "measured", "")
    return table(
        [
            head,
            *(
                (
                    claim.what,
                    f"{'<=' if claim.is_most else '>='} {claim.bound:g}",
                    f"{claim.measured:.2f}",
                    "met" if claim.is_met else "MISSED",
                )
                for claim in claims
            ),
        ]
    )
