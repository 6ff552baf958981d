"""A Response as the bytes of an HTTP response, written to its connection in one piece.

aiohttp's own Response can also stream, compress and set cookies. For that it builds a multidict, adds headers by a
dozen rules and serialises it: with its routing, more than half of what a small answer costs a server. Ours are whole
when they begin; what such an answer needs of all that is here.
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
"""aiohttp would tell the versions of Python and of itself."""
_CLOSE: Final = "Connection: close\r\n"
_BODILESS: Final = frozenset({204, 304})
"""Their length is nobody's: that of a 304 would be of the file that the client has (RFC 9110, 8.6)."""


class Sender(Protocol):
    """What an answer needs of its connection (connection.py)."""

    def send(self, answer: bytes) -> bool:
        """Sends a whole answer. False: the kernel did not take all of it yet, and `answered` is for the caller to say.

        ConnectionError where the client is gone.
        """
        ...

    def answered(self) -> None:
        """The client has its answer."""
        ...


class WireResponse:
    """What aiohttp's connection asks of a web.StreamResponse: `prepare`, `write_eof`, `keep_alive`."""

    __slots__ = ("_data", "keep_alive")

    def __init__(self, data: bytes, *, keep_alive: bool) -> None:
        self._data = data
        self.keep_alive = keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        """Sends all of it: returns when the kernel has it, before which the client's next request is not looked at.

        ConnectionError where the client is gone, or was cut off because it does not read (connections.py).
        """
        connection = cast("Sender", request.protocol)
        if not connection.send(self._data):
            self._data = b""  # what is left of it lies in the transport
            await request.writer.drain()
            connection.answered()

    async def write_eof(self) -> None:
        """All was sent."""


def wire_response(response: Response, request: web.BaseRequest, current_id: str, *, closes: bool) -> WireResponse:
    """The response to `request`; `closes` ends its connection, which may end for the client's own reasons too.

    `current_id` holds no line break (request_id.is_sane).
    """
    keep_alive = request.keep_alive and not closes
    stays = "" if request.version >= HttpVersion11 else "Connection: keep-alive\r\n"
    head = _head(response, current_id, stays if keep_alive else _CLOSE)
    return WireResponse(head if request.method == hdrs.METH_HEAD else head + response.body, keep_alive=keep_alive)


def last_words(response: Response, current_id: str) -> bytes:
    """The bytes that answer a client whose request was not read, and after which its connection ends."""
    return _head(response, current_id, _CLOSE) + response.body


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
