"""The id under which a request appears in its answer, in problem bodies and in every log line written for it.

A client's own X-Request-Id is taken over where it is safe to print; else a fresh one is made. aiohttp runs each request
in a task of its own, so setting the context variable there reaches everything the request awaits and nothing else.
"""

import re
from collections.abc import Iterator
from contextvars import ContextVar
from itertools import count

from multidict import istr

REQUEST_ID: ContextVar[str | None] = ContextVar("rowbox_request_id", default=None)
"""The id of the request that is being answered, for log formatters. None outside a request."""

HEADER = istr("X-Request-Id")
"""An istr, as aiohttp's own header names are, so that a lookup need not lower it each time."""
_SANE = re.compile(r"[\x20-\x7e]{1,128}")


def is_sane(text: str) -> bool:
    """Whether a client's id may be echoed and logged: 1 to 128 printable ASCII characters, so no line breaks."""
    return _SANE.fullmatch(text) is not None


def request_ids(prefix: str) -> Iterator[str]:
    """Fresh ids without end. `prefix` is random and tells processes and restarts apart.

    Ids are counted and not drawn at random, because urandom would cost 1 us for each.
    """
    return (f"{prefix}-{number:x}" for number in count(1))
