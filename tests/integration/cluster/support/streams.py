"""Clients of a fleet that follow their mailboxes by event streams (GET /v1/events) and keep a copy."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from random import Random
from typing import Final, NamedTuple

import aiohttp

from tests.integration.cluster.support.copies import Copy
from tests.integration.cluster.support.fleet import Fleet

_SILENT_S: Final = 30.0
"""A server says something each 25 s."""


class Event(NamedTuple):
    """One event of a stream; "" where it has no such field."""

    name: str
    id: str
    data: str


class StreamFollower(Copy):
    """One user's client. It goes on behind the event that it had last, at whichever server answers."""

    def __init__(self, fleet: Fleet, user: str, dice: Random) -> None:
        super().__init__(user)
        self._fleet = fleet
        self._dice = dice
        self._headers = fleet.client(user).headers

    async def run(self) -> None:
        """Until it is cancelled."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=2.0, sock_read=_SILENT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                with suppress(aiohttp.ClientError, OSError, TimeoutError):
                    await self._follow(session)
                await asyncio.sleep(self._dice.uniform(0, 0.2))

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        url = f"{self._dice.choice(self._fleet.in_rotation).server.url}/v1/events"
        behind = {} if self.token is None else {"Last-Event-ID": self.token}
        async with session.get(url, headers={**self._headers, **behind}) as response:
            if response.status != 200:
                return
            async for event in events(response.content.iter_any()):
                if event.name == "delta":
                    await self.take(json.loads(event.data), event.id)


async def events(chunks: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    """The events of a stream: fields in lines, an empty line behind each. What begins with a colon is a comment."""
    fields: dict[str, str] = {}
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            name, _, value = line.decode().partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
            elif not line:
                if "data" in fields:
                    yield Event(fields.get("event", ""), fields.get("id", ""), fields["data"])
                fields = {}
