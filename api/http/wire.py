"""A Response as the bytes of an HTTP response, written to its connection in one piece.

aiohttp's own Response can also stream, compress and set cookies. For that it builds a multidict, adds headers by a
dozen rules and serialises it, which together with its routing is more than half of what a small answer costs a server.
Rowbox's answers are whole before they are sent, so this module does only what such an answer needs.
"""

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, Protocol, cast

from aiohttp import HttpVersion11, hdrs, web

from rowbox.api.http import request_id
from rowbox.api.http.response import Response

_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_ALWAYS: Final = "X-Content-Type-Options: nosniff\r\nServer: rowbox\r\n"
"""The Server header. aiohttp's default would tell the versions of Python and of aiohttp."""
_CLOSE: Final = "Connection: close\r\n"
_BODILESS: Final = frozenset({204, 304})
"""Statuses that are sent without Content-Length. In a 304 it would be that of the client's file (RFC 9110, 8.6)."""


class Sender(Protocol):
    """What an answer needs of its connection (connection.py)."""

    def send(self, answer: bytes) -> bool:
        """Sends a whole answer. Returns whether the kernel took all of it; where it did not, the caller has to call
        `answered` when it has.

        ConnectionError where the client is gone.
        """
        ...

    def answered(self) -> None:
        """The kernel has all of the answer."""
        ...


class WireResponse:
    """What aiohttp's connection asks of a web.StreamResponse: `prepare`, `write_eof`, `keep_alive`."""

    __slots__ = ("_data", "keep_alive")

    def __init__(self, data: bytes, *, keep_alive: bool) -> None:
        self._data = data
        self.keep_alive = keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        """Sends the whole answer, and returns when the kernel has it. The client's next request is looked at only then.

        ConnectionError where the client is gone, or was cut off because it does not read (connections.py).
        """
        connection = cast("Sender", request.protocol)
        if not connection.send(self._data):
            self._data = b""  # what is left of it lies in the transport
            await request.writer.drain()
            connection.answered()

    async def write_eof(self) -> None:
        """Does nothing: `prepare` sent everything."""


def wire_response(response: Response, request: web.BaseRequest, current_id: str, *, closes: bool) -> WireResponse:
    """The response to `request`. With `closes` its connection is closed behind it, as it is where the client asks so,
    and behind one that is sent already.

    `current_id` is the request's id and holds no line break (request_id.is_sane).
    """
    if response.is_sent:
        return WireResponse(b"", keep_alive=False)
    keep_alive = request.keep_alive and not closes
    stays = "" if request.version >= HttpVersion11 else "Connection: keep-alive\r\n"
    head = _head(response, current_id, stays if keep_alive else _CLOSE)
    return WireResponse(head if request.method == hdrs.METH_HEAD else head + response.body, keep_alive=keep_alive)


def last_words(response: Response, current_id: str) -> bytes:
    """The bytes that answer a client whose request was not read, and after which its connection ends."""
    return _head(response, current_id, _CLOSE) + response.body


def stream_head(response: Response, current_id: str) -> bytes:
    """The head of an answer without a length: it ends with its connection."""
    head = f"{_STATUS_LINES[response.status]}{response.headers}{request_id.HEADER}: {current_id}\r\n"
    return f"{head}{_ALWAYS}{_date.line()}{_CLOSE}\r\n".encode()


def _head(response: Response, current_id: str, connection: str) -> bytes:
    status = response.status
    length = "" if status in _BODILESS else f"Content-Length: {len(response.body)}\r\n"
    return (
        f"{_STATUS_LINES[status]}{response.headers}{request_id.HEADER}: {current_id}\r\n{_ALWAYS}{length}{_date.line()}"
        f"{connection}\r\n"
    ).encode()


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
