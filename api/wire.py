"""An Answer as the bytes of an HTTP response, written to its connection in one piece.

aiohttp's own Response can also stream, compress and set cookies. For that it builds a multidict, adds headers by a
dozen rules and serialises it: with its routing, more than half of what a small answer costs a server. Ours are whole
when they begin; what such an answer needs of all that is here.
"""

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from aiohttp import HttpVersion10, hdrs, web

from rowbox.api import request_id
from rowbox.api.answer import Answer

_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_ALWAYS: Final = "X-Content-Type-Options: nosniff\r\nServer: rowbox\r\n"
"""aiohttp would tell the versions of Python and of itself."""
_NO_CONTENT: Final = 204


class WireResponse:
    """What aiohttp's connection asks of a web.StreamResponse: `prepare`, `write_eof`, `keep_alive`."""

    __slots__ = ("_data", "keep_alive")

    def __init__(self, data: bytes, *, keep_alive: bool) -> None:
        self._data = data
        self.keep_alive = keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        """Sends all of it. ConnectionError where the client is gone."""
        await request.writer.write(self._data)

    async def write_eof(self) -> None:
        """All was sent."""


def response(answer: Answer, request: web.BaseRequest, current_id: str, *, closes: bool) -> WireResponse:
    """The response to `request`; `closes` ends its connection, which may end for the client's own reasons too.

    `answer.headers` are names and values without line breaks; ValueError otherwise, before anything is sent.
    """
    keep_alive = request.keep_alive and not closes
    return WireResponse(_encode(answer, request, current_id, keep_alive=keep_alive), keep_alive=keep_alive)


def _encode(answer: Answer, request: web.BaseRequest, current_id: str, *, keep_alive: bool) -> bytes:
    given = "".join([f"{name}: {value}\r\n" for name, value in answer.headers.items()])
    if given.count("\n") != len(answer.headers):
        raise ValueError("a header holds a line break")
    connection, body = "", answer.body
    if not keep_alive:
        connection = "Connection: close\r\n"
    elif request.version == HttpVersion10:
        connection = "Connection: keep-alive\r\n"
    length = "" if answer.status == _NO_CONTENT else f"Content-Length: {len(body)}\r\n"
    head = (
        f"{_STATUS_LINES[answer.status]}{given}{request_id.HEADER}: {current_id}\r\n{_ALWAYS}{length}{_date.line()}"
        f"{connection}\r\n"
    )
    return head.encode() if request.method == hdrs.METH_HEAD else head.encode() + body


class _Date:
    """The Date header, written once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = ""

    def line(self) -> str:
        now = int(time.time())
        if now != self._second:
            self._second, self._line = now, f"Date: {formatdate(now, usegmt=True)}\r\n"
        return self._line


_date = _Date()
