"""When a client connects again after a socket that ended, and when it does not: the codes of closing, and pauses.

A pause has full jitter, because clients that lost one server at one moment must not come back at one moment. Its bound
doubles with each connection that did not hold, and is short again only after one that did.
"""

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec import Struct

Chance: TypeAlias = Callable[[], float]
"""A number from 0 to 1."""

FIRST_MS: Final = 500.0
LONGEST_MS: Final = 30_000.0
LONGEST_BESIDE_POLLS_MS: Final = 300_000.0
"""The longest bound where long polls are answered and sockets are not: something between does not let them through."""
HELD_MS: Final = 30_000.0
"""A connection that was open for so long has held."""
LONGEST_ASKED_MS: Final = 3_600_000.0
TOO_MANY_MS: Final = 30_000.0

LOST: Final = 1006
"""No frame was closing it: RFC 6455 keeps this number for that."""
GOING: Final = 1012
UNAUTHENTICATED: Final = 4401
NO_HELLO: Final = 4408
TOO_MANY: Final = 4429
_COME_BACK: Final = frozenset({UNAUTHENTICATED, NO_HELLO, TOO_MANY})
"""Of the codes from 4400 to 4499: all others, unknown ones too, say stop."""
_RETRY: Final = re.compile(r"retryAfterMs=(\d{1,9})")
_MOST_DOUBLINGS: Final = 32


class Again(Struct, frozen=True):
    """Connect again after this pause. `is_asked`: the server wants it, so nothing shortens it."""

    pause_ms: float
    is_asked: bool


def stops(code: int) -> bool:
    """Whether nothing but the program, or a person, can make another connection useful."""
    return 4400 <= code < 4500 and code not in _COME_BACK


class Comeback:
    """The pauses of one client."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._failures = 0

    def after(
        self, code: int, reason: str, *, held_ms: float, asked_ms: float = 0.0, beside_polls: bool = False
    ) -> Again:
        """The pause after a connection that was open for `held_ms` and ended with `code`, which does not stop it.

        `asked_ms` is what a refused handshake asked for. `beside_polls`: long polls are answered meanwhile.
        """
        if held_ms >= HELD_MS:
            self._failures = 0
        if code == GOING and (found := _RETRY.search(reason)):
            return Again(min(float(found[1]), LONGEST_ASKED_MS), is_asked=True)
        longest_ms = LONGEST_BESIDE_POLLS_MS if beside_polls else LONGEST_MS
        bound_ms = min(longest_ms, FIRST_MS * 2.0 ** min(self._failures, _MOST_DOUBLINGS))
        self._failures += 1
        least_ms = TOO_MANY_MS if code == TOO_MANY else min(max(asked_ms, 0.0), LONGEST_ASKED_MS)
        return Again(least_ms + self._chance() * bound_ms, is_asked=least_ms > 0)
