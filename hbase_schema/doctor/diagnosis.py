"""What the doctor says of one thing, and the bound on late writes that the protocol relies on."""

from enum import StrEnum
from typing import Final, NamedTuple

LATE_WRITES_MS: Final = 600_000
"""By then a gateway must have given a write up. docs/consistency.md, rule 8, waits for 24 hours, far longer."""


class State(StrEnum):
    """What a check came to. UNKNOWN: nobody could be asked, which is no proof of anything."""

    OK = "ok"
    WRONG = "WRONG"
    UNKNOWN = "unknown"


class Diagnosis(NamedTuple):
    """One line: what was looked at, what was found, and unless it is well what to do."""

    state: State
    subject: str
    finding: str


def judged(*, well: bool, subject: str, finding: str, advice: str) -> Diagnosis:
    """OK with the finding, or WRONG with the finding and the advice."""
    return Diagnosis(State.OK, subject, finding) if well else Diagnosis(State.WRONG, subject, f"{finding}: {advice}")
