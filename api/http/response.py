"""The HTTP response that a function behind an endpoint returns, still without the headers that all responses share."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

import msgspec
from aiohttp import hdrs, web


class Response(msgspec.Struct, gc=False):
    """An HTTP response. `headers` holds lines that `header_lines` made; several such texts may be joined.

    `user_id` is the user who asked, for the log. None where it is not known. `is_sent`: the client has it already, as
    one of a socket has, and its connection ends.
    """

    status: int
    body: bytes
    headers: str
    is_poll: bool = False
    user_id: str | None = None
    is_sent: bool = False


Respond = Callable[[web.BaseRequest], Awaitable[Response]]


class Resource(NamedTuple):
    """Something to GET at a path, outside the calls of the API."""

    path: str
    respond: Respond


def header_lines(headers: Mapping[str, str]) -> str:
    """`headers` as they are sent, each on a line of its own. ValueError where one holds a line break."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if lines.count("\r") + lines.count("\n") != 2 * len(headers):
        raise ValueError("a header holds a line break")
    return lines


JSON_LINES: Final = header_lines({hdrs.CONTENT_TYPE: "application/json", hdrs.CACHE_CONTROL: "no-store"})
"""The header lines of a JSON answer that is made for one caller."""
