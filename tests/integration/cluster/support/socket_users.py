"""Users of a fleet who have a socket each: they follow their mailboxes by it, and some of their calls go over it. Some
have an event stream beside it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Final, TypeVar

from rowbox.cli.secret import load_or_create
from tests.integration.cluster.support.copies import Copy
from tests.integration.cluster.support.fleet import Fleet
from tests.integration.cluster.support.listeners import Listener
from tests.integration.cluster.support.streams import StreamFollower
from tests.integration.support.client import UNKNOWN_OUTCOME, Client, Refused, decoded
from tests.integration.support.verdict import Followed, unlike

_OVER_SOCKET: Final = 0.5
"""Part of the calls, while there is a socket."""
STREAM_EACH: Final = 3
"""Each third user has an event stream."""
_T = TypeVar("_T")


class SocketUsers:
    """A Served, as the fleet is. `sockets_of` has one."""

    def __init__(self, fleet: Fleet, users: Sequence[str], random: Random) -> None:
        self.listeners = {user_id: Listener(fleet, user_id, Random(random.getrandbits(32))) for user_id in users}
        self.streams = {
            user_id: StreamFollower(fleet, user_id, Random(random.getrandbits(32))) for user_id in users[::STREAM_EACH]
        }
        self._fleet = fleet
        self._random = random

    @property
    def data_dir(self) -> Path:
        return self._fleet.data_dir

    @property
    def settings(self) -> Mapping[str, str]:
        return self._fleet.settings

    def client(self, user_id: str) -> Client:
        """Asks over the user's socket, or one API server after the other."""
        return _SocketClient(self._fleet, self.listeners[user_id], self._random)

    def kill(self) -> None:
        self._fleet.kill()

    async def ended(self) -> None:
        await self._fleet.ended()

    async def start(self) -> None:
        await self._fleet.start()

    async def stop(self) -> None:
        await self._fleet.stop()

    @property
    def calls(self) -> int:
        """How many went over sockets."""
        return sum(listener.calls for listener in self.listeners.values())

    async def come_to_the_head(self, patience_s: float) -> dict[str, dict[str, Followed]]:
        """What users have put together of what they were told, by way and user, once that is what a fetch shows, or
        after that time.
        """
        ends_s = time.monotonic() + patience_s
        behind: list[Copy] = [*self.listeners.values(), *self.streams.values()]
        while behind and time.monotonic() < ends_s:
            are_there = await asyncio.gather(*map(self._is_at_head, behind))
            behind = [copy for copy, is_there in zip(behind, are_there, strict=True) if not is_there]
        return {
            "socket": {user_id: listener.followed for user_id, listener in self.listeners.items()},
            "event stream": {user_id: stream.followed for user_id, stream in self.streams.items()},
        }

    async def _is_at_head(self, copy: Copy) -> bool:
        """False as well where no answer came in time."""
        client, has = self._fleet.client(copy.user), copy.followed
        with suppress(*UNKNOWN_OUTCOME, Refused):
            return not unlike(has, await client.all_messages(), await client.all_conversations())
        return False


class _SocketClient(Client):
    def __init__(self, fleet: Fleet, listener: Listener, random: Random) -> None:
        super().__init__(fleet.session, fleet.next_url, load_or_create(fleet.data_dir), listener.user)
        self._listener = listener
        self._random = random

    async def _post(self, call: str, body: Mapping[str, object], kind: type[_T]) -> tuple[int, _T]:
        if not self._goes_over_it():
            return await super()._post(call, body, kind)
        status, answer = await self._listener.call(call, body)
        return status, decoded(status, answer, kind)

    def _goes_over_it(self) -> bool:
        return self._listener.is_open and self._random.random() < _OVER_SOCKET


@asynccontextmanager
async def sockets_of(fleet: Fleet, users: Sequence[str], random: Random) -> AsyncIterator[SocketUsers]:
    """Everybody has begun to follow."""
    made = SocketUsers(fleet, users, random)
    copies: list[Listener | StreamFollower] = [*made.listeners.values(), *made.streams.values()]
    listening = [asyncio.create_task(copy.run()) for copy in copies]
    try:
        for copy in copies:
            await copy.begins()
        yield made
    finally:
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
