"""Lines of the log about requests that are refused: for a reason of the server's own (5xx), and those by which an
operator sees that somebody tries keys, is throttled, or sends too much (401, 403, 413, 429).

A client is told what it can do (problems.py); files, hosts, sizes and the system's errors are the operator's, and stand
here. Whoever may call can cause thousands a second, so each kind has a bound: of the server's own one line in EVERY_S,
of callers' MOST_OF_CALLERS, and a line says how many were left out.

A caller is named by the address of his connection and by his userId, where he has shown a token; never by the token,
and nothing is said of what he sent.
"""

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context
from typing import Final

from aiohttp import web

from rowbox.api.http.problems import KINDS, is_of_ours
from rowbox.mailbox.errors import HandoverInProgress, Overloaded, RowboxError
from rowbox.mailbox.timing.rarely import EVERY_S, Rarely

MOST_OF_CALLERS: Final = 10
LOGGED: Final = frozenset({401, 403, 413, 429})
"""Of what callers are at fault for. The others are what a program does that is not finished."""
_EXPECTED: Final = (HandoverInProgress, Overloaded)
"""What a standby and a server at its limits answer: nothing is broken."""
_log = logging.getLogger(__name__)


class _Window:
    """The lines of one kind in EVERY_S."""

    __slots__ = ("began_s", "left_out", "lines")

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.lines = 0
        self.left_out = 0


class RefusalLog:
    """Of the codes of RowboxErrors, and so bounded. `clock` gives seconds. Used inside the running loop."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ours = Rarely(clock)
        self._windows: dict[str, _Window] = {}

    def note(self, error: RowboxError, request: web.BaseRequest, route: str) -> None:
        """`error` ends `request`."""
        if is_of_ours(error):
            self._note_ours(error, request)
        elif KINDS[error.code].status in LOGGED:
            self._note_callers(error, request, route)

    def _note_ours(self, error: RowboxError, request: web.BaseRequest) -> None:
        if not (number := self._ours.count(error.code)):
            return
        level = logging.INFO if isinstance(error, _EXPECTED) else logging.WARNING
        text = "%s %s refused: %s: %s (%d such since the last line)"
        _log.log(level, text, request.method, request.path, error.code, error, number)

    def _note_callers(self, error: RowboxError, request: web.BaseRequest, route: str) -> None:
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
        """The one that is open for this kind. A new one has its end told, if there is anything to tell."""
        now_s, window = self._clock(), self._windows.get(code)
        if window is None or now_s - window.began_s >= EVERY_S:
            if window is not None:
                self._end(code, window)
            window = self._windows[code] = _Window(now_s)
            loop = asyncio.get_running_loop()
            loop.call_later(EVERY_S, self._end, code, window, context=Context())  # it is no request's line
        return window

    def _end(self, code: str, window: _Window) -> None:
        left_out, window.left_out = window.left_out, 0
        if left_out:
            status = KINDS[code].status
            text = "%d more requests were refused with %d %s in %.0f s"
            fields = {"status": status, "code": code, "leftOut": left_out}
            _log.info(text, left_out, status, code, EVERY_S, extra={"fields": fields})
