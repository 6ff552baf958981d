"""One client's connection: aiohttp's, with its own error pages replaced and what it holds bounded.

What is not even a request (broken HTTP, a header that is too long) gets a problem+json too, and is counted instead of
a traceback per port scan. The rules about bytes and time stand in connections.py, which is told here what happens:

    bytes come -> a part of a head, or a request, whose handler aiohttp runs -> its answer is sent -> idle again

A client may close its half of the connection when it has sent its requests, and gets its answers (RFC 9112, 9.6). One
that left looks the same until something is sent to it: see `probe`, and ADR 25.

One request at a time is answered. Of what a client sends behind it, at most MAX_HEAD_BYTES and one read are taken in.
"""

import asyncio
import logging
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final, cast

from aiohttp import EMPTY_PAYLOAD, HttpVersion11, StreamReader, hdrs, web
from aiohttp.http_exceptions import LineTooLong

from rowbox.api.http.connections import FREE_BYTES, Connections
from rowbox.api.http.problems import MEDIA_TYPE, encode_problem, headers_of, internal, problem_of
from rowbox.api.http.response import Response, header_lines
from rowbox.api.http.wire import last_words, wire_response
from rowbox.mailbox.errors import BadRequest, RowboxError

MAX_LINE_BYTES: Final = 8190
"""Of the request line, and of each header."""
MAX_HEADERS: Final = 100
MAX_HEAD_BYTES: Final = 32 << 10
"""Of all of them together. MAX_LINE_BYTES for each of aiohttp's 128 headers, which it keeps twice, would be 2 MB."""
READ_BYTES: Final = FREE_BYTES
"""Taken from the kernel at a time, and so the most that comes in after a connection was paused. uvloop takes 256 KB."""
LINE_COST_BYTES: Final = 256
"""What a header takes as objects, however short it is."""
REQUEST_COST_BYTES: Final = 4 << 10
"""What a request that waits behind another takes as objects, however short it is."""
PROBE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""An answer that is none: each client of HTTP/1.1 has to pass over it (RFC 9110, 15.2)."""
PROBE_CYCLE: Final = 10
"""Of so many chances the first two are taken: where nobody is, the first probe is refused, and the second fails."""
_log = logging.getLogger(__name__)


class Connection(web.RequestHandler):
    """aiohttp's handler of one connection, bounded. `ids` gives fresh request ids."""

    __slots__ = (
        "_answered",
        "_awaits_head",
        "_body",
        "_chances",
        "_connections",
        "_has_ended",
        "_ids",
        "_is_counted",
        "_is_paused",
        "_received_bytes",
        "_tail_bytes",
        "_takes_body",
        "is_known",
    )

    def __init__(self, manager: web.Server, connections: Connections, ids: Iterator[str], **options: object) -> None:
        super().__init__(
            manager,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_HEADERS,
            read_bufsize=READ_BYTES,
            **options,  # type: ignore[arg-type]
        )
        self._connections = connections
        self._ids = ids
        self.is_known = False
        self._received_bytes = 0
        self._tail_bytes = 0
        """Of them, what came after the last whole request: a head that has begun."""
        self._answered = 0
        """Of the `_request_count` requests that came, broken HTTP included."""
        self._awaits_head = True
        self._body: StreamReader | None = None
        """Of the newest request, while it is not whole."""
        self._takes_body = False
        self._is_paused = False
        self._is_counted = False
        self._has_ended = False
        """Its client sends nothing more."""
        self._chances = 0
        """To probe it, since then."""

    # ------------------------------------------------------------------ what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).set_write_buffer_limits(0)  # paused means: the kernel has not all of it
        super().connection_made(transport)
        self._connections.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.lost(self)
        super().connection_lost(exc)

    def ends(self) -> bool:
        """The client sends nothing more. Whether it is to get answers: where it asked for something, all of it."""
        is_whole = self._body is None or self._body.is_eof()
        self._has_ended = self._answered < self._request_count and is_whole and not self._force_close
        if self._has_ended:
            self._connections.half_closed(self)
        return self._has_ended

    def pause_writing(self) -> None:
        super().pause_writing()
        self._connections.stalls(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._connections.flows(self)

    def data_received(self, data: bytes) -> None:
        """At most READ_BYTES, or nothing: aiohttp calls it so, when it goes on with what it set aside."""
        if self._close or self._force_close:
            return
        begun, body = self._request_count, self._body
        super().data_received(data)
        if self._request_count != begun:
            self._requests_came(begun)
        elif body is None:
            self._head_grew(data)
        elif body.is_eof():
            self._body = None
            self._tail_bytes = 0
        elif self._takes_body or self._answered == begun:
            return  # somebody takes these bytes, or throws them away
        self._received_bytes += len(data)
        if self._received_bytes > FREE_BYTES or self._awaits_head or self._request_count - self._answered > 1:
            self._bound()

    def _requests_came(self, begun: int) -> None:
        if self._answered == begun:
            self._connections.asks(self)
        if self._awaits_head:
            self._awaits_head = False
            self._connections.head_ended(self)
            self._connections.holds(self)
        body = self._messages[-1][1]
        self._body = None if body is EMPTY_PAYLOAD or body.is_eof() else body
        self._takes_body = False
        self._tail_bytes = 0

    def _head_grew(self, data: bytes) -> None:
        cost = LINE_COST_BYTES * data.count(b"\n")
        self._received_bytes += cost
        self._tail_bytes += len(data) + cost
        if self._answered == self._request_count:
            self._await_head()

    def _await_head(self) -> None:
        if not self._awaits_head:
            self._awaits_head = True
            self._connections.head_begun(self)

    def _bound(self) -> None:
        """Looks at what is held: it counts from here on, and too much of it is not taken in."""
        self._is_counted = True
        self._connections.holds(self)
        if self.held_bytes() <= MAX_HEAD_BYTES or self.transport is None:
            return
        if self._answered < self._request_count:
            self._is_paused = True
            self.transport.pause_reading()
        elif self._body is None:
            self._refuse(BadRequest(f"the request's head is longer than {MAX_HEAD_BYTES} bytes"))

    # ------------------------------------------------------------------ what a request tells

    def send(self, answer: bytes) -> bool:
        """See wire.Sender."""
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        transport.write(answer)
        if self._paused:
            return False
        self.answered()
        return True

    def answered(self) -> None:
        """An answer was sent."""
        self._answered += 1
        if self._answered < self._request_count:
            return
        if self._has_ended and self.transport is not None:
            self.transport.close()
            return
        self._connections.answered(self)
        self._received_bytes = self._tail_bytes
        if self._is_counted or self._tail_bytes:
            if self._tail_bytes:
                self._await_head()
            self._is_counted = bool(self._tail_bytes)
            self._connections.holds(self)
            self._resume()

    def body_begins(self, body: StreamReader) -> None:
        """Somebody takes a request's body, and has counted it."""
        self._body, self._takes_body = body, True
        self._resume()

    def body_ends(self, size_bytes: int) -> None:
        """He has all of it, or gave up."""
        self._takes_body = False
        self._received_bytes = max(0, self._received_bytes - size_bytes)
        self._connections.holds(self)

    def _resume(self) -> None:
        is_paused, self._is_paused = self._is_paused, False
        if is_paused and self.transport is not None and not (self._reading_paused or self._buffer_paused):
            self.transport.resume_reading()  # otherwise aiohttp does, which has paused it for its own reasons

    # ------------------------------------------------------------------ what connections.py asks and does

    def held_bytes(self) -> int:
        """What it sent and nobody took yet, beyond what costs nothing."""
        behind = max(0, self._request_count - self._answered - 1)
        received = self._received_bytes if self._received_bytes > FREE_BYTES or self._awaits_head else 0
        return received + behind * REQUEST_COST_BYTES

    def unsent_bytes(self) -> int:
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def probe(self) -> None:
        """Tells a client that left from one that closed its half and waits: only the one that left refuses what comes.

        Its system does so on its behalf (a reset), which is noticed at the next write. Clients of HTTP/1.0 know no such
        answer: they are waited for as long as one cycle takes.
        """
        self._chances += 1
        request, transport = self._current_request, self.transport
        if request is None or transport is None or self._paused:
            return
        if request.version < HttpVersion11:
            if self._chances >= PROBE_CYCLE:
                self.abort()
        elif (self._chances - 1) % PROBE_CYCLE < 2:
            transport.write(PROBE)

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    # ------------------------------------------------------------------ what is no request

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
            self._connections.sent_no_http(request.remote, type(exc).__name__)
            error: RowboxError = _broken(exc)
        else:
            _log.error("a request failed outside its handler", exc_info=exc)
            error = internal()
        refusal, current_id = problem_response(error, self._ids)
        # All of a StreamResponse that aiohttp uses: wire.py.
        return cast("web.StreamResponse", wire_response(refusal, request, current_id, closes=True))

    def _refuse(self, error: RowboxError) -> None:
        """Answers what is no request yet, and closes."""
        assert self.transport is not None
        self._connections.sent_no_http(self.peername, error)
        self.transport.write(last_words(*problem_response(error, self._ids)))
        self.force_close()


class Reads(asyncio.BufferedProtocol):
    """Between a transport and its connection: hands it at most as much at a time as fits `buffer`, which all share."""

    __slots__ = ("_buffer", "_connection")

    def __init__(self, connection: Connection, buffer: memoryview) -> None:
        self._connection = connection
        self._buffer = buffer

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._connection.data_received(bytes(self._buffer[:nbytes]))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connection.connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connection.connection_lost(exc)

    def eof_received(self) -> bool:
        return self._connection.ends()

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()


def problem_response(error: RowboxError, ids: Iterator[str]) -> tuple[Response, str]:
    """An answer to what is no request, and the id that it carries."""
    problem = problem_of(error, next(ids))
    headers = headers_of(problem, error, had_token=False) | {hdrs.CONTENT_TYPE: MEDIA_TYPE}
    return Response(problem.status, encode_problem(problem), header_lines(headers)), problem.request_id


def _broken(error: BaseException | None) -> BadRequest:
    if isinstance(error, LineTooLong):
        return BadRequest(f"the request line or a header is longer than {MAX_LINE_BYTES} bytes")
    return BadRequest("this is not a valid HTTP request")
