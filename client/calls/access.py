"""The access token that goes with each request, and its renewal."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeAlias

from rowbox.client.calls.errors import NO_TOKEN, AccessDenied, OutcomeUnknown
from rowbox.client.calls.faults import checked_token, is_mistake, said

TokenSource: TypeAlias = str | Callable[[], Awaitable[str] | str]
"""An access token, or a token function that gives one. The function is called before the first request, and again when
the server refuses the token that it gave last.

What it raises counts as an outage, and it is called again. Two kinds reach the caller instead: a mistake
(faults.MISTAKES), and AccessDenied, by which the function says that it will give no token any more."""


class AccessToken:
    """The token of one client. Several requests whose token is refused at the same time renew it once."""

    def __init__(self, source: TokenSource, timeout_s: float) -> None:
        """TypeError or ValueError where `source` is a text that can be no token. A token function has `timeout_s`
        seconds.
        """
        if not callable(source):
            checked_token(source)
        self._source = source
        self._timeout_s = timeout_s
        self._token = source if isinstance(source, str) else None
        self._renewal = asyncio.Lock()

    async def get(self) -> str:
        """The current token. OutcomeUnknown (`no_token`) where the token function fails; its faults are raised as they
        are.
        """
        return self._token if self._token is not None else await self._other_than(None)

    async def renewed(self, refused: str) -> str | None:
        """Another token than `refused`, which no call uses any more; None where there is none. Errors as of `get`."""
        if isinstance(self._source, str):
            return None
        token = await self._other_than(refused)
        return None if token == refused else token

    async def _other_than(self, refused: str | None) -> str:
        try:
            async with asyncio.timeout(self._timeout_s), self._renewal:
                if self._token is None or self._token == refused:
                    self._token = None
                    given = await self._ask()
                    self._token = checked_token(given)
                return self._token
        except TimeoutError as error:
            raise OutcomeUnknown(f"no access token within {self._timeout_s:g} s", code=NO_TOKEN) from error

    async def _ask(self) -> object:
        assert not isinstance(self._source, str)
        try:
            given = self._source()
            return await given if isawaitable(given) else given
        except AccessDenied:
            raise
        except Exception as error:
            if is_mistake(error):
                raise
            raise OutcomeUnknown(f"no access token: {said(error)}", code=NO_TOKEN) from error
