"""Keeps the keys of a running server fresh, by rounds in the background and at SIGHUP.

SIGHUP ends no connection, no wait and no request. It does not read the settings again.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Self

from rowbox.api.auth.kept_keys import KeptKeys
from rowbox.cacheserver.background import BackgroundLoop, background_samples
from rowbox.cacheserver.samples import Sample
from rowbox.mailbox.errors import RowboxError

log = logging.getLogger(__name__)


class KeysUpkeep:
    """Reads keys again when they are due, within `async with`, and each time `hangup` is set."""

    def __init__(self, keys: KeptKeys | None, hangup: asyncio.Event) -> None:
        """`keys` is None for a server that needs none; SIGHUP then only writes a line that says so."""
        self._keys = keys
        self._hangup = hangup
        self._rounds = [] if keys is None else [BackgroundLoop("keys", keys.round)]
        self._reloads: asyncio.Task[None] | None = None

    def samples(self) -> Iterable[Sample]:
        """The metrics of its background rounds."""
        return background_samples(self._rounds)

    async def __aenter__(self) -> Self:
        self._reloads = asyncio.create_task(self._reload_at_hangup(), name="reload")
        for loop in self._rounds:
            loop.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reloads is not None:
            self._reloads.cancel()
            await asyncio.wait([self._reloads])
        for loop in self._rounds:
            await loop.close()

    async def _reload_at_hangup(self) -> None:
        while True:
            await self._hangup.wait()
            self._hangup.clear()
            if self._keys is None:
                log.info("SIGHUP: this server has no keys to read again")
            else:
                await _reload(self._keys)


async def _reload(keys: KeptKeys) -> None:
    try:
        await keys.reload()
    except Exception as error:
        unexpected = None if isinstance(error, RowboxError) else error
        log.error("SIGHUP: %s were not read again, those at hand stay: %s", keys.what, error, exc_info=unexpected)
    else:
        log.info("SIGHUP: %s were read again: %d in use", keys.what, keys.count)
