"""What the functions behind the endpoints return: an HTTP response, before the headers that all responses share."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

import msgspec
from aiohttp import hdrs, web


class Response(msgspec.Struct, gc=False):
    """What a wrapped function returns. `headers` is the lines of `header_lines`, which may be put together.

    `user_id`: who asked, where he is known; for the log.
    """

    status: int
    body: bytes
    headers: str
    is_poll: bool = False
    user_id: str | None = None


Respond = Callable[[web.BaseRequest], Awaitable[Response]]


class Resource(NamedTuple):
    """Something to GET at a path, outside the calls of the API."""

    path: str
    respond: Respond


def header_lines(headers: Mapping[str, str]) -> str:
    """`headers` as they are sent, a line each. ValueError where a line break in one would begin another."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if lines.count("\r") + lines.count("\n") != 2 * len(headers):
        raise ValueError("a header holds a line break")
    return lines


JSON_LINES: Final = header_lines({hdrs.CONTENT_TYPE: "application/json", hdrs.CACHE_CONTROL: "no-store"})
"""Of an answer that is made for one caller."""
