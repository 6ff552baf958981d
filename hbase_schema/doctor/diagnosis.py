"""A diagnosis: the doctor's line about one thing. And the bound on late writes that the protocol relies on."""

from enum import StrEnum
from typing import Final, NamedTuple

LATE_WRITES_MS: Final = 600_000
"""The time within which a gateway must have given a write up. Rule 8 of docs/consistency.md waits far longer: 24
hours."""


class State(StrEnum):
    """The result of a check. UNKNOWN means that nobody could be asked, so nothing is proved."""

    OK = "ok"
    WRONG = "WRONG"
    UNKNOWN = "unknown"


class Diagnosis(NamedTuple):
    """One line: what was looked at, what was found and, unless it is well, what to do."""

    state: State
    subject: str
    finding: str


def judged(*, well: bool, subject: str, finding: str, advice: str) -> Diagnosis:
    """OK with the finding, or WRONG with the finding and the advice."""
    return Diagnosis(State.OK, subject, finding) if well else Diagnosis(State.WRONG, subject, f"{finding}: {advice}")
