"""The gap test: what a delta is to a client that has everything up to a token.

Tokens are opaque, but for one thing: those of one history of one mailbox are numbered in front of the dot, so that an
old delta can be told from a gap. Where the rest differs, nothing is compared.
"""

from enum import Enum
from typing import Final, TypeAlias

_Place: TypeAlias = tuple[int, str]
_NONE: Final[_Place] = (0, "")


class Verdict(Enum):
    """What is to be done with a delta."""

    NEXT = "next"
    """It brings the client further."""
    SAME = "same"
    """It answers a `follow`: nothing has changed."""
    OLD = "old"
    """The client has had it."""
    GAP = "gap"
    """Something is missing before it, or it is of another history."""


def is_behind(mine: str | None, token: str) -> bool:
    """Whether a client at `mine` misses something that a mailbox at `token` has, as far as one can tell."""
    if mine is None:
        return True
    own, other = _split(mine), _split(token)
    return mine != token if own[1] != other[1] else own[0] < other[0]


def judged(mine: str | None, prev: str | None, token: str) -> Verdict:
    """What the delta from `prev` to `token` is to a client at `mine`. None: it has nothing yet."""
    if mine is None or prev is None:
        return Verdict.GAP
    own, before, after = _split(mine), _split(prev), _split(token)
    if not own[1] == before[1] == after[1]:
        return Verdict.GAP
    if after[0] < own[0]:
        return Verdict.OLD
    if after[0] == own[0]:
        return Verdict.SAME
    return Verdict.GAP if own[0] < before[0] else Verdict.NEXT


def _split(token: str) -> tuple[_Place, str]:
    """The number, so that it compares as one however long it is; and to what it is bound."""
    number, _, bound_to = token.partition(".")
    is_number = number.isascii() and number.isdecimal()
    return ((len(number), number), bound_to) if is_number else (_NONE, token)
