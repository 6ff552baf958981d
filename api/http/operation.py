"""A call of the API between the edge and its handler: no HTTP is left in it, and no struct of the port yet."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from rowbox.api.auth.claims import Claims
from rowbox.cacheserver.port import Quota
from rowbox.mailbox.settings.config import LimitClass


class Call(msgspec.Struct, gc=False):
    """One request: who asks, the raw query string, the whole body (empty for a GET)."""

    claims: Claims
    query: str
    body: bytes

    def take_body(self) -> bytes:
        """The body, which is let go with it: while the owner works, half a megabyte of JSON must not wait with him."""
        body, self.body = self.body, b""
        return body


class CallResult(msgspec.Struct, gc=False):
    """One answer: a JSON body, and for a long poll how long its client should listen."""

    status: int
    body: bytes
    quota: Quota | None
    poll_timeout_s: int | None = None


Handle = Callable[[Call], Awaitable[CallResult]]


class Operation(NamedTuple):
    """A call and where it is found."""

    name: str
    method: str
    path: str
    limit_class: LimitClass
    handle: Handle
    names_a_send: bool = False
    """Its answers say for how long a clientMessageId is known."""
