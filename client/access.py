"""The access token that goes with each request, and its renewal."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

TokenSource: TypeAlias = str | Callable[[], Awaitable[str]]
"""An access token, or what gives one: asked before the first request, and again when the server refuses the last.

What it raises reaches whoever called; only failures of a connection (OSError, TimeoutError, aiohttp.ClientError) count
as a server that is away, and are tried again.
"""


class AccessToken:
    """The token of one client. Requests that are refused together renew it once."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self._token = source if isinstance(source, str) else None
        self._renewal = asyncio.Lock()

    async def get(self) -> str:
        """The token as it is known now."""
        return self._token if self._token is not None else await self._other_than(None)

    async def renewed(self, refused: str) -> str | None:
        """Another token than the one that was refused; None where there is none."""
        if isinstance(self._source, str):
            return None
        token = await self._other_than(refused)
        return None if token == refused else token

    async def _other_than(self, refused: str | None) -> str:
        async with self._renewal:
            token = self._token
            if token is None or token == refused:
                assert not isinstance(self._source, str)
                token = self._token = await self._source()
            return token
