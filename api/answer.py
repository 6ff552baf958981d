"""What the functions behind the endpoints return: an HTTP answer, before the headers that all answers share."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
from aiohttp import web


class Answer(msgspec.Struct, gc=False):
    """What a wrapped function returns. `headers` is a dict of its own, to which the wrapper adds."""

    status: int
    body: bytes
    headers: dict[str, str]
    is_poll: bool = False


Answering = Callable[[web.BaseRequest], Awaitable[Answer]]


class Page(NamedTuple):
    """Something to GET at a path, outside the calls of the API."""

    path: str
    answer: Answering
