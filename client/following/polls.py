"""The pages of one list, from token to token, over a server that may go away at any time.

A token is a place in the mailbox's history. Each request asks for what came after the last token, and only an answer
moves it, so a request that failed is made again without missing or doubling anything.

The first request, and the first one after a failure, ask for an answer at once, because until then nobody knows whether
the server is there. The server holds the other requests until there is something new, or for `wait_s`.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

from msgspec import Struct

from rowbox.client.calls.errors import CallFailed
from rowbox.client.calls.retry import Timing, asked_s

log = logging.getLogger(__name__)

EARLY_S: Final = 1.0
"""A poll that ends sooner than this without news was ended by the server, for example because its user has more than
eight. Then a pause follows; without one such clients would end one another's polls as fast as the network goes."""


class Connection(Struct, frozen=True, kw_only=True):
    """Whether the server answers. Where it does not, `error` says why, and `retry_in_s` when it is asked again."""

    is_connected: bool
    error: CallFailed | None = None
    retry_in_s: float = 0.0


OnConnection: TypeAlias = Callable[[Connection], None]
"""Called after each failure, at the first answer of all, and at the first answer after a failure. An exception that it
raises ends the following."""


class AnyPage(Protocol):
    """A page of any list."""

    @property
    def items(self) -> Sequence[object]: ...
    @property
    def is_delta_update(self) -> bool: ...
    @property
    def has_more(self) -> bool: ...
    @property
    def last_updated_timestamp(self) -> str: ...
    @property
    def retry_after_ms(self) -> int | None: ...


Page = TypeVar("Page", bound=AnyPage)


class Polls(Generic[Page]):
    """Follows one list. `fetch(token, wait_s)` makes one request for what came after `token`, which the server holds
    for up to `wait_s` seconds.
    """

    def __init__(
        self,
        fetch: Callable[[str | None, int], Awaitable[Page]],
        token: str | None,
        wait_s: int,
        timing: Timing,
        on_connection: OnConnection | None,
    ) -> None:
        self.reached = token
        """The token of the last answer."""
        self._fetch = fetch
        self._wait_s = wait_s
        self._timing = timing
        self._on_connection = on_connection
        self._is_connected = False
        self._failures = 0
        self._pause_s = 0.0

    async def next(self) -> Page:
        """The next answer, however long that takes. Raises refusals and faults, which no patience cures.

        Nothing is lost when it is cancelled: the next call asks for the same answer.
        """
        while True:
            pause_s, self._pause_s = self._pause_s, 0.0
            if pause_s:
                await self._timing.sleep(pause_s)
            wait_s = self._wait_s if self._is_connected and self.reached is not None else 0
            began_s = self._timing.clock()
            try:
                page = await self._fetch(self.reached, wait_s)
            except CallFailed as error:
                if not error.retryable:
                    raise
                self._failed(error)
            else:
                is_early = bool(wait_s) and self._timing.clock() - began_s < EARLY_S
                self._answered(page, is_early=is_early)
                return page

    def _answered(self, page: Page, *, is_early: bool) -> None:
        if not self._is_connected:
            self._is_connected = True
            self._tell(Connection(is_connected=True))
        self.reached = page.last_updated_timestamp
        if is_early and not page.items and not page.has_more and not asked_s(page.retry_after_ms):
            self._back_off(None)
        else:
            self._failures = 0
            self._pause_s = asked_s(page.retry_after_ms)

    def _failed(self, error: CallFailed) -> None:
        self._is_connected = False
        self._back_off(error.retry_after_ms)
        log.warning("%s; again in %.1f s", error, self._pause_s)
        self._tell(Connection(is_connected=False, error=error, retry_in_s=self._pause_s))

    def _back_off(self, asked_ms: int | None) -> None:
        self._failures += 1
        self._pause_s = self._timing.pauses.of(self._failures, asked_ms, self._timing.random)

    def _tell(self, connection: Connection) -> None:
        if self._on_connection is not None:
            self._on_connection(connection)
