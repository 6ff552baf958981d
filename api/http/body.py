"""Reading a request's body: bounded before it is parsed, in bytes and in time, and only if it is plain JSON.

A body that came with its head, as small ones do, is there at once. For another the order is: is its user's bucket empty
(then nothing of it is read), is there room among all bodies (bodies.py), and then it has a time in which to arrive. A
server that stops waits for none: nothing was written, its sender tries again elsewhere.

Compressed bodies are refused: a few kilobytes can hold gigabytes (the server's connections do not decompress by
themselves either, server.py).
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
"""By which a body without a length asks for room: more than lies unread of it (twice _CHUNK_BYTES and a read)."""
_STOPPING_MS: Final = 1_000


class Taker(Protocol):
    """What a body needs of its connection (connection.py)."""

    def body_begins(self, body: StreamReader) -> None:
        """From now on what comes of it is counted by us."""
        ...

    def body_ends(self, size_bytes: int) -> None:
        """We have so much of it, and take no more."""
        ...


class BodyTerms(NamedTuple):
    """How bodies are received. `admit` raises where nothing is to be read of a user now."""

    bodies: Bodies
    drain: Drain
    admit: Callable[[str, Bearer | None], None]
    max_bytes: int
    room_s: float
    deadline_s: float


async def read_body(request: web.BaseRequest, claims: Claims, terms: BodyTerms) -> bytes:
    """The whole body of a known user. It is counted until this returns: whoever asks parses it at once and lets it go.

    UnsupportedMediaType, BadRequest, MessageTooLarge (before reading, where the length is announced), RateLimited,
    Overloaded, TokenRevoked, HandoverInProgress where this server stops.
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
    """Tells a client that asks first to send its body: only here, when nothing speaks against reading it."""
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
    """JSON is UTF-8 (RFC 8259), so a charset may say that and nothing else."""
    media_type, *parameters = content_type.lower().replace(" ", "").replace('"', "").split(";")
    return media_type == _JSON and all(parameter in {"", "charset=utf-8"} for parameter in parameters)


def _bounded(body: bytes, max_bytes: int) -> bytes:
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return body


def _too_large(max_bytes: int) -> MessageTooLarge:
    return MessageTooLarge(f"the body is more than {max_bytes} bytes")
