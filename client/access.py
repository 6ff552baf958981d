"""The access token that goes with each request, and its renewal."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeAlias

from rowbox.client.errors import NO_TOKEN, AccessDenied, OutcomeUnknown
from rowbox.client.faults import checked_token, is_mistake, said

TokenSource: TypeAlias = str | Callable[[], Awaitable[str] | str]
"""An access token, or what gives one: asked before the first request, and again when the server refuses the last.

Whatever it raises is an outage, and it is asked again, except for a mistake (faults.MISTAKES) and for AccessDenied, by
which it says that there will be no token any more: these reach whoever called.
"""


class AccessToken:
    """The token of one client. Requests that are refused together renew it once."""

    def __init__(self, source: TokenSource, timeout_s: float) -> None:
        """TypeError, ValueError for what can be no token. A source has `timeout_s` for one."""
        if not callable(source):
            checked_token(source)
        self._source = source
        self._timeout_s = timeout_s
        self._token = source if isinstance(source, str) else None
        self._renewal = asyncio.Lock()

    async def get(self) -> str:
        """The token as it is known now. OutcomeUnknown (`no_token`) where the source fails; its faults as they are."""
        return self._token if self._token is not None else await self._other_than(None)

    async def renewed(self, refused: str) -> str | None:
        """Another token than the one that was refused; None where there is none. Errors as `get`."""
        if isinstance(self._source, str):
            return None
        token = await self._other_than(refused)
        return None if token == refused else token

    async def _other_than(self, refused: str | None) -> str:
        try:
            async with asyncio.timeout(self._timeout_s), self._renewal:
                if self._token is None or self._token == refused:
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
