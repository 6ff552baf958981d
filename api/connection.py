"""One client's connection, with aiohttp's own error pages replaced: what is not even a request (broken HTTP, a header
that is too long) gets a problem+json too, and one log line instead of a traceback per port scan.
"""

import logging
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final, cast

from aiohttp import hdrs, web
from aiohttp.http_exceptions import LineTooLong

from rowbox.api.answer import Answer, header_lines
from rowbox.api.problems import MEDIA_TYPE, encode_problem, internal, problem_of
from rowbox.api.wire import response
from rowbox.mailbox.errors import BadRequest, RowboxError

MAX_HEADER_BYTES: Final = 8190
"""Of the request line, and of each header."""
_log = logging.getLogger(__name__)


class Connection(web.RequestHandler):
    """aiohttp's connection, answering in our words. `ids` gives fresh request ids."""

    __slots__ = ("_ids",)

    def __init__(self, manager: web.Server, ids: Iterator[str], **options: object) -> None:
        super().__init__(manager, **options)  # type: ignore[arg-type]
        self._ids = ids

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be parsed (400), and to what a handler let through, which is a defect (500)."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")  # as aiohttp does: the connection is closed
        if status == HTTPStatus.BAD_REQUEST:
            _log.info("not HTTP from %s: %s", request.remote, type(exc).__name__)
            return self._problem(request, _broken(exc))
        _log.error("a request failed outside its handler", exc_info=exc)
        return self._problem(request, internal())

    def _problem(self, request: web.BaseRequest, error: RowboxError) -> web.StreamResponse:
        problem = problem_of(error, next(self._ids))
        answer = Answer(problem.status, encode_problem(problem), header_lines({hdrs.CONTENT_TYPE: MEDIA_TYPE}))
        # All of a StreamResponse that aiohttp uses: wire.py.
        return cast("web.StreamResponse", response(answer, request, problem.request_id, closes=True))


def _broken(error: BaseException | None) -> BadRequest:
    if isinstance(error, LineTooLong):
        return BadRequest(f"the request line or a header is longer than {MAX_HEADER_BYTES} bytes")
    return BadRequest("this is not a valid HTTP request")
