"""One client's connection: aiohttp's RequestHandler, with its error pages replaced and the bytes that it holds bounded.

Broken HTTP and a header that is too long get a problem+json too. They are counted, so that a port scan does not fill
the log with tracebacks. The rules about bytes and time stand in connections.py, to which this module reports these
events:

    bytes come -> a part of a head, or a request, whose handler aiohttp runs -> its answer is sent -> idle again

A client may close its half of the connection when it has sent its requests, and still gets its answers (RFC 9112, 9.6).
A client that left looks the same until something is sent to it; `probe` tells the two apart (ADR 25).

A connection that was upgraded (`upgrade`) carries frames from then on and has no more requests. What its client sent
and nobody took, and what it does not read, still counts against the budget of all connections; how long it may take is
the business of whoever carries the frames.

Requests are answered one at a time. Of what a client sends behind the one that is being answered, at most
MAX_HEAD_BYTES and one read are taken in.
"""

import asyncio
import logging
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final, Protocol, cast

from aiohttp import EMPTY_PAYLOAD, HttpVersion11, StreamReader, hdrs, web
from aiohttp.http_exceptions import LineTooLong

from rowbox.api.http.connections import FREE_BYTES, Connections
from rowbox.api.http.problems import MEDIA_TYPE, encode_problem, headers_of, internal, problem_of
from rowbox.api.http.response import Response, header_lines
from rowbox.api.http.wire import last_words, wire_response
from rowbox.mailbox.errors import BadRequest, RowboxError

MAX_LINE_BYTES: Final = 8190
"""The most bytes of the request line, and of each header."""
MAX_HEADERS: Final = 100
MAX_HEAD_BYTES: Final = 32 << 10
"""The most bytes of a whole head. Without it 128 headers of MAX_LINE_BYTES, which aiohttp keeps twice, would be 2
MB."""
READ_BYTES: Final = FREE_BYTES
"""Bytes that one read takes from the kernel, and so the most that comes in after a connection was paused. uvloop's own
reads take 256 KB."""
LINE_COST_BYTES: Final = 256
"""Memory of the Python objects of one header, however short it is."""
REQUEST_COST_BYTES: Final = 4 << 10
"""Memory of the Python objects of one request that waits behind another, however short it is."""
PROBE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""An interim response, which every client of HTTP/1.1 has to pass over (RFC 9110, 15.2)."""
PROBE_CYCLE: Final = 10
"""Of so many calls of `probe` only the first two send something. Where the client is gone, its system refuses what the
first one sent, and the second one fails."""
_log = logging.getLogger(__name__)


class Carried(Protocol):
    """What an upgraded connection carries, as far as the connection knows it."""

    @property
    def reads(self) -> bool:
        """Whether it takes what the client sends. Else that are requests behind the one that is being answered."""
        ...

    def heard(self) -> None:
        """Bytes of the client came."""
        ...

    def flows(self) -> None:
        """The system has everything that was sent, after it had not (`write_frame`)."""
        ...


class Connection(web.RequestHandler):
    """aiohttp's handler of one connection, bounded. `ids` gives fresh request ids."""

    __slots__ = (
        "_answered",
        "_awaits_head",
        "_body",
        "_carried",
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
        """Bytes of a head that has begun: those received after the last whole request."""
        self._answered = 0
        """How many of the `_request_count` requests that came, broken HTTP included, have their answer."""
        self._awaits_head = True
        self._body: StreamReader | None = None
        """The body of the newest request, while it is not whole."""
        self._takes_body = False
        self._is_paused = False
        self._is_counted = False
        self._has_ended = False
        """Whether the client closed its half of the connection: it sends nothing more."""
        self._chances = 0
        """Calls of `probe` since the client closed its half."""
        self._carried: Carried | None = None

    # ------------------------------------------------------------------ what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).set_write_buffer_limits(0)  # so "paused" means that the kernel lacks bytes
        super().connection_made(transport)
        self._connections.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.lost(self)
        super().connection_lost(exc)

    def ends(self) -> bool:
        """The client closed its half.

        Returns whether it is to get answers: where a request of it is whole and unanswered.
        """
        if self._carried is not None:
            return False
        is_whole = self._body is None or self._body.is_eof()
        self._has_ended = self._answered < self._request_count and is_whole and not self._force_close
        if self._has_ended:
            self._connections.half_closed(self)
        return self._has_ended

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._carried is None:
            self._connections.stalls(self)
        else:
            self._connections.lies_unsent(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._connections.flows(self)
        if self._carried is not None:
            self._carried.flows()

    def data_received(self, data: bytes) -> None:
        """Takes at most READ_BYTES. `data` is empty where aiohttp goes on with bytes that it had set aside."""
        if self._close or self._force_close:
            return
        if self._carried is not None and self._carried.reads:
            self._carried_received(data)
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
            return  # these bytes are counted by the body's reader, or thrown away
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
        """Reports what the connection holds, and stops reading from the client where that is too much."""
        self._is_counted = True
        self._connections.holds(self)
        if self.held_bytes() <= MAX_HEAD_BYTES or self.transport is None:
            return
        if self._answered < self._request_count:
            self._is_paused = True
            self.transport.pause_reading()
        elif self._body is None:
            self._refuse(BadRequest(f"the request's head is longer than {MAX_HEAD_BYTES} bytes"))

    def _carried_received(self, data: bytes) -> None:
        self._received_bytes += len(data)
        super().data_received(data)  # frames are taken meanwhile
        if self._received_bytes > FREE_BYTES:
            self._is_counted = True
            self._connections.holds(self)
        if self._carried is not None:
            self._carried.heard()

    # ------------------------------------------------------------------ what a request tells

    def upgrade(self, carried: Carried) -> None:
        """From now on the connection carries `carried`, until it is closed; aiohttp has a parser for the frames."""
        self._carried = carried
        self._received_bytes = 0

    def frame_taken(self, size_bytes: int) -> None:
        """Of an upgraded connection: a frame with so many bytes in it was taken. What came behind it is held on.

        What is left within one read is not counted: it may be the heads of the frame's pieces.
        """
        left_bytes = self._received_bytes - size_bytes
        self._received_bytes = left_bytes if left_bytes > FREE_BYTES else 0
        if self._is_counted:
            self._is_counted = self._received_bytes > 0
            self._connections.holds(self)

    def control_taken(self, size_bytes: int) -> None:
        """Of an upgraded connection: a frame of so many bytes was taken that may have come amid another one, of which
        all that came is held on.
        """
        self._received_bytes = max(0, self._received_bytes - size_bytes)

    def write_frame(self, frame: bytes) -> int:
        """Of an upgraded connection: sends a frame. Returns how many bytes the system has not taken yet, this frame's
        and earlier ones'; the caller sees to it that these stay few. One that goes to a client who left is lost.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            return 0
        transport.write(frame)
        if not self._paused:
            return 0
        self._connections.lies_unsent(self)
        return transport.get_write_buffer_size()

    def send(self, answer: bytes) -> bool:
        """Sends a whole answer, with the contract of wire.Sender."""
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        transport.write(answer)
        if self._paused:
            return False
        self.answered()
        return True

    def answered(self) -> None:
        """The client has an answer. The next request may begin."""
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
        """A reader takes a request's body, and counts its bytes from now on."""
        self._body, self._takes_body = body, True
        self._resume()

    def body_ends(self, size_bytes: int) -> None:
        """The body's reader has all of it, or gave up."""
        self._takes_body = False
        self._received_bytes = max(0, self._received_bytes - size_bytes)
        self._connections.holds(self)

    def _resume(self) -> None:
        is_paused, self._is_paused = self._is_paused, False
        if is_paused and self.transport is not None and not (self._reading_paused or self._buffer_paused):
            self.transport.resume_reading()  # otherwise aiohttp does, which has paused it for its own reasons

    # ------------------------------------------------------------------ what connections.py asks and does

    def held_bytes(self) -> int:
        """Bytes that the client sent and nobody took yet, beyond FREE_BYTES."""
        behind = max(0, self._request_count - self._answered - 1)
        received = self._received_bytes if self._received_bytes > FREE_BYTES or self._awaits_head else 0
        return received + behind * REQUEST_COST_BYTES

    def unsent_bytes(self) -> int:
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def probe(self) -> None:
        """Sends an interim response, to tell a client that left from one that closed its half and waits.

        The system of a client that left refuses it (a reset), and the next write fails. Clients of HTTP/1.0 do not know
        interim responses, so their connections are aborted after one cycle of probes.
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
        """The answer where a request could not be parsed (400), or where a handler raised, which is a defect (500)."""
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
        """Answers with `error` before there is a whole request, and closes the connection."""
        assert self.transport is not None
        self._connections.sent_no_http(self.peername, error)
        self.transport.write(last_words(*problem_response(error, self._ids)))
        self.force_close()


class Reads(asyncio.BufferedProtocol):
    """Between a transport and its connection: hands the connection at most as many bytes at a time as `buffer` holds.

    All connections of a port share one `buffer`.
    """

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
    """An answer for a client that sent no valid request, and the request id in it."""
    problem = problem_of(error, next(ids))
    headers = headers_of(problem, error, had_token=False) | {hdrs.CONTENT_TYPE: MEDIA_TYPE}
    return Response(problem.status, encode_problem(problem), header_lines(headers)), problem.request_id


def _broken(error: BaseException | None) -> BadRequest:
    if isinstance(error, LineTooLong):
        return BadRequest(f"the request line or a header is longer than {MAX_LINE_BYTES} bytes")
    return BadRequest("this is not a valid HTTP request")
