"""Lines of the log about requests that are refused: for a reason of the server's own (5xx), and those by which an
operator sees that somebody tries keys, is throttled, or sends too much (401, 403, 413, 429).

A client is told only what it can do (problems.py). Files, hosts, sizes and the system's errors are for the operator and
stand in these lines. Any caller can cause thousands of refusals a second, so each kind is bounded: in EVERY_S one line
for a reason of the server's own, MOST_OF_CALLERS lines for what callers did, and a line that says how many were left
out.

A line names the caller by the address of the connection and, where a token was shown, by the userId. It holds neither
the token nor anything that the caller sent.
"""

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context
from typing import Final

from rowbox.api.http.operation import Asked
from rowbox.api.http.problems import KINDS, is_of_ours
from rowbox.mailbox.errors import HandoverInProgress, Overloaded, RowboxError
from rowbox.mailbox.timing.rarely import EVERY_S, Rarely

MOST_OF_CALLERS: Final = 10
LOGGED: Final = frozenset({401, 403, 413, 429})
"""The statuses of callers' faults that have a line. The other 4xx come from client programs with mistakes in them."""
_EXPECTED: Final = (HandoverInProgress, Overloaded)
"""Errors of a standby and of a server at its limits. Nothing is broken there, so their lines have level info."""
_log = logging.getLogger(__name__)


class _Window:
    """How many lines of one kind were written and left out in one period of EVERY_S."""

    __slots__ = ("began_s", "left_out", "lines")

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.lines = 0
        self.left_out = 0


class RefusalLog:
    """Writes the lines. A kind is the code of a RowboxError, so the number of kinds is bounded.

    `clock` gives seconds. To be used inside the running loop.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ours = Rarely(clock)
        self._windows: dict[str, _Window] = {}

    def note(self, error: RowboxError, request: Asked, route: str) -> None:
        """Writes a line for `request`, which ended with `error`, unless the bound of this kind is reached."""
        if is_of_ours(error):
            self._note_ours(error, request)
        elif KINDS[error.code].status in LOGGED:
            self._note_callers(error, request, route)

    def _note_ours(self, error: RowboxError, request: Asked) -> None:
        if not (number := self._ours.count(error.code)):
            return
        level = logging.INFO if isinstance(error, _EXPECTED) else logging.WARNING
        text = "%s %s refused: %s: %s (%d such since the last line)"
        _log.log(level, text, request.method, request.path, error.code, error, number)

    def _note_callers(self, error: RowboxError, request: Asked, route: str) -> None:
        window = self._window(error.code)
        if window.lines == MOST_OF_CALLERS:
            window.left_out += 1
            return
        window.lines += 1
        status, user = KINDS[error.code].status, error.user_id or "nobody known"
        reason = str(error).partition(":")[0]  # behind it a library may quote the token
        text = "%s %s refused: %d %s, %s from %s: %s"
        fields = {
            "method": request.method,
            "route": route,
            "status": status,
            "code": error.code,
            "userId": error.user_id,
            "peer": request.remote,
        }
        values = (request.method, route, status, error.code, user, request.remote, reason)
        _log.info(text, *values, extra={"fields": fields})

    def _window(self, code: str) -> _Window:
        """The open window of this kind, or a new one, at whose end a line says how many were left out, if any were."""
        now_s, window = self._clock(), self._windows.get(code)
        if window is None or now_s - window.began_s >= EVERY_S:
            if window is not None:
                self._end(code, window)
            window = self._windows[code] = _Window(now_s)
            loop = asyncio.get_running_loop()
            loop.call_later(EVERY_S, self._end, code, window, context=Context())  # the line belongs to no request
        return window

    def _end(self, code: str, window: _Window) -> None:
        left_out, window.left_out = window.left_out, 0
        if left_out:
            status = KINDS[code].status
            text = "%d more requests were refused with %d %s in %.0f s"
            fields = {"status": status, "code": code, "leftOut": left_out}
            _log.info(text, left_out, status, code, EVERY_S, extra={"fields": fields})
