"""Reads a request's body, bounded in bytes and in time before it is parsed. Only plain JSON is accepted.

A small body comes together with its head and is there at once. Any other body is read in three steps: nothing is read
where its user is over the rate limit; room is reserved for it among all bodies (bodies.py); then it has to arrive
within a time. A server that stops waits for no body: nothing was written, and the client tries again on another server.

Compressed bodies are refused, because a few kilobytes can hold gigabytes. For the same reason the server's connections
do not decompress (api/edge/server.py).
"""

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, cast

from aiohttp import HttpVersion11, StreamReader, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from rowbox.api.auth.claims import Claims
from rowbox.api.http.bodies import Bodies
from rowbox.api.http.drain import Drain
from rowbox.api.http.problems import UnsupportedMediaType
from rowbox.mailbox.errors import BadRequest, HandoverInProgress, MessageTooLarge
from rowbox.mailbox.revocation import Bearer

_JSON: Final = "application/json"
_CHUNK_BYTES: Final = 16 << 10
_STEP_BYTES: Final = 64 << 10
"""The step by which a body without a length reserves room: more than can lie unread (twice _CHUNK_BYTES and a read)."""
_STOPPING_MS: Final = 1_000


class Taker(Protocol):
    """What a body needs of its connection (connection.py)."""

    def body_begins(self, body: StreamReader) -> None:
        """From now on the reader of `body`, and not the connection, counts the bytes that come of it."""
        ...

    def body_ends(self, size_bytes: int) -> None:
        """The reader took `size_bytes` of the body and takes no more."""
        ...


class BodyTerms(NamedTuple):
    """How bodies are received. `admit` raises for a user of whom nothing is to be read now."""

    bodies: Bodies
    drain: Drain
    admit: Callable[[str, Bearer | None], None]
    max_bytes: int
    room_s: float
    deadline_s: float


async def read_body(request: web.BaseRequest, claims: Claims, terms: BodyTerms) -> bytes:
    """The whole body of a request whose token was verified. Its room is reserved until this returns, so the caller
    parses it at once and lets it go.

    UnsupportedMediaType, BadRequest, MessageTooLarge (before reading, where the length is announced), RateLimited,
    Overloaded, TokenRevoked; HandoverInProgress where this server stops.
    """
    _check_header(request, terms.max_bytes)
    stream = request.content
    if stream.is_eof():  # it came with the head, as small bodies do: nothing to wait for
        return _bounded(stream.read_nowait(), terms.max_bytes)
    terms.admit(claims.user_id, claims.bearer)
    try:
        async with terms.drain.patience(terms.deadline_s):
            return await _receive(request, claims.user_id, terms)
    except TimeoutError as error:
        if terms.drain.has_begun:
            raise HandoverInProgress("this server is stopping", retry_after_ms=_STOPPING_MS) from error
        raise BadRequest(f"the body did not arrive within {terms.deadline_s:.0f} s") from error
    except (web.RequestPayloadError, HttpProcessingError) as error:
        raise BadRequest("the body is not encoded as its header says") from error


async def _receive(request: web.BaseRequest, user_id: str, terms: BodyTerms) -> bytes:
    stream, connection = request.content, cast("Taker", request.protocol)
    length = request.content_length
    reserved = _STEP_BYTES if length is None else length
    await terms.bodies.reserve(user_id, reserved, terms.room_s)
    parts: list[bytes] = []
    size = 0
    try:
        connection.body_begins(stream)
        stream.set_read_chunk_size(_CHUNK_BYTES)
        await _continue(request)
        while part := await stream.readany():
            parts.append(part)
            size += len(part)
            if size > terms.max_bytes:
                raise _too_large(terms.max_bytes)
            if length is None and size + _STEP_BYTES > reserved:
                await terms.bodies.reserve(user_id, _STEP_BYTES, terms.room_s)
                reserved += _STEP_BYTES
        return b"".join(parts)
    finally:
        terms.bodies.release(user_id, reserved)
        connection.body_ends(size)


async def _continue(request: web.BaseRequest) -> None:
    """Sends 100 Continue to a client that expects it. Called only when nothing speaks against reading the body."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.version == HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun


def _check_header(request: web.BaseRequest, max_bytes: int) -> None:
    headers = request.headers
    content_type = headers.get(hdrs.CONTENT_TYPE)
    if content_type != _JSON and not _is_json(content_type or ""):
        raise UnsupportedMediaType(f"Content-Type has to be {_JSON}")
    if headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
        raise UnsupportedMediaType("compressed bodies are not accepted")
    length = request.content_length
    if length is not None and length > max_bytes:
        raise _too_large(max_bytes)


def _is_json(content_type: str) -> bool:
    """Whether this is JSON's media type. JSON is UTF-8 (RFC 8259), so the charset may be utf-8 or missing."""
    media_type, *parameters = content_type.lower().replace(" ", "").replace('"', "").split(";")
    return media_type == _JSON and all(parameter in {"", "charset=utf-8"} for parameter in parameters)


def _bounded(body: bytes, max_bytes: int) -> bytes:
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return body


def _too_large(max_bytes: int) -> MessageTooLarge:
    return MessageTooLarge(f"the body is more than {max_bytes} bytes")
