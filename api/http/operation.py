"""The request and the result of an API call, between `api/edge` and the call's handler: HTTP is taken off already, and
the values of the port (cacheserver/port.py) are not made yet.
"""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol

import msgspec

from rowbox.api.auth.claims import Claims
from rowbox.cacheserver.port import Quota
from rowbox.mailbox.pages.page_cut import PAGE_BYTES
from rowbox.mailbox.settings.config import LimitClass

SOCKET_PAGE_BYTES: Final = 256 << 10
"""The most bytes of a page of messages over a socket, which has all else that the client is told beside it."""


class Asked(Protocol):
    """What the logs say of a request: an HTTP request, or a call over a socket."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def remote(self) -> str | None:
        """The address of the connection."""
        ...


class Call(msgspec.Struct, gc=False):
    """One request: who asks, the raw query string, the whole body (empty for a GET).

    `page_bytes`: the most bytes of a page of messages that answers it. `address`: where the client has reached this
    server, as a URL without a path; only for a call that `asks_where`.
    """

    claims: Claims
    query: str
    body: bytes
    page_bytes: int = PAGE_BYTES
    address: str = ""

    def take_body(self) -> bytes:
        """Returns the body and lets go of it, so that half a megabyte of JSON is not kept while the owner works."""
        body, self.body = self.body, b""
        return body


class CallResult(msgspec.Struct, gc=False):
    """What a call returns: a JSON body, and for a long poll how long its client should listen."""

    status: int
    body: bytes
    quota: Quota | None
    poll_timeout_s: int | None = None


Handle = Callable[[Call], Awaitable[CallResult]]


class Operation(NamedTuple):
    """A call of the API, with its path and method."""

    name: str
    method: str
    path: str
    limit_class: LimitClass
    handle: Handle
    names_a_send: bool = False
    """Whether the call's answers have X-Dedupe-Life, which says for how long a clientMessageId is known."""
    asks_where: bool = False
    """Whether its handler needs the address of the server."""
