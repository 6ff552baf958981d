"""Lines of the log about requests that are refused for a reason of the server's own.

A client is told what it can do (problems.py); files, hosts, sizes and the system's errors are the operator's, and stand
here. Whoever may call can cause thousands a second, so of each kind there is one line in EVERY_S at most, which says
how many there were since the last one.
"""

import logging
from collections.abc import Callable
from typing import Final

from aiohttp import web

from rowbox.mailbox.errors import HandoverInProgress, Overloaded, RowboxError

EVERY_S: Final = 10.0
_EXPECTED: Final = (HandoverInProgress, Overloaded)
"""What a standby and a server at its limits answer: nothing is broken."""
_log = logging.getLogger(__name__)


class RefusalLog:
    """Of the kinds of RowboxError, and so bounded. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._said_at_s: dict[type[RowboxError], float] = {}
        self._unsaid: dict[type[RowboxError], int] = {}

    def note(self, error: RowboxError, request: web.BaseRequest) -> None:
        """`error` ends `request`."""
        kind, now_s = type(error), self._clock()
        number = self._unsaid.get(kind, 0) + 1
        if now_s - self._said_at_s.get(kind, -EVERY_S) < EVERY_S:
            self._unsaid[kind] = number
            return
        self._said_at_s[kind], self._unsaid[kind] = now_s, 0
        level = logging.INFO if isinstance(error, _EXPECTED) else logging.WARNING
        text = "%s %s refused: %s: %s (%d such since the last line)"
        _log.log(level, text, request.method, request.path, error.code, error, number)
