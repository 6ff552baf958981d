"""Reading a request's body: bounded before it is parsed, in bytes and in time, and only if it is plain JSON.

Compressed bodies are refused: a few kilobytes can hold gigabytes (the server's connections do not decompress by
themselves either, server.py).
"""

import asyncio
from typing import Final

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from rowbox.api.problems import UnsupportedMediaType
from rowbox.mailbox.errors import BadRequest, MessageTooLarge

BODY_DEADLINE_S: Final = 30.0
_JSON: Final = "application/json"


async def read_body(request: web.BaseRequest, max_bytes: int, deadline_s: float) -> bytes:
    """The whole body. UnsupportedMediaType, MessageTooLarge before reading where the length is announced, BadRequest.

    The request's `client_max_size` has to be `max_bytes`: it bounds a body that comes without a length.
    """
    _check_header(request, max_bytes)
    stream = request.content
    if stream.is_eof():  # it came with the header, as small bodies do: nothing to wait for
        return _bounded(stream.read_nowait(), max_bytes)
    try:
        async with asyncio.timeout(deadline_s):
            await _continue(request)
            return await request.read()
    except TimeoutError as error:
        raise BadRequest(f"the body did not arrive within {deadline_s:.0f} s") from error
    except web.HTTPRequestEntityTooLarge as error:
        raise _too_large(max_bytes) from error
    except (web.RequestPayloadError, HttpProcessingError) as error:
        raise BadRequest("the body is not encoded as its header says") from error


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
