"""Clients of a fleet that follow their mailboxes by sockets and keep a copy, while others write to them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from random import Random
from typing import Any

import aiohttp
import msgspec

from rowbox.api.auth.authenticator import issue_token
from rowbox.cacheserver.clocks import wall_clock_us
from rowbox.cli.secret import load_or_create
from tests.integration.cluster.support.copies import Copy
from tests.integration.cluster.support.fleet import Fleet
from tests.integration.support.client import UNKNOWN_OUTCOME, Refused
from tests.integration.support.server_process import DEADLINE_S

HEARTBEAT_S = 4.0
"""A server that does not answer a ping within half of it is given up."""
_REPLY_S = 12.0
"""How long a call waits for its reply: as long as one over HTTP (fleet.py)."""


class Listener(Copy):
    """One user's client. It acknowledges what it has, and goes on with its token at whichever server answers."""

    def __init__(self, fleet: Fleet, user: str, dice: Random) -> None:
        super().__init__(user)
        self._fleet = fleet
        self._dice = dice
        self._access = issue_token(load_or_create(fleet.data_dir), user, 3600, admin=False, now=_now())
        self.connections = 0
        self.calls = 0
        """How many were made over the socket."""
        self.server = ""
        """The URL of the API server to which it is connected, or was last."""
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._replies: dict[int, asyncio.Future[tuple[int, bytes]]] = {}

    @property
    def is_open(self) -> bool:
        """Whether there is a socket for calls."""
        return self._socket is not None

    async def call(self, name: str, args: Mapping[str, object]) -> tuple[int, bytes]:
        """The status and the body with which a call is answered. ConnectionError where the socket is cut before that,
        TimeoutError where that takes too long.
        """
        if self._socket is None:
            raise ConnectionError("there is no socket")
        self.calls += 1
        number = self.calls
        reply: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._replies[number] = reply
        try:
            async with asyncio.timeout(_REPLY_S):
                await self._socket.send_str(json.dumps({"t": "call", "id": number, "do": name, "args": args}))
                return await reply
        finally:
            del self._replies[number]

    async def run(self) -> None:
        """Until it is cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_connect=2.0)) as session:
            while True:
                with suppress(aiohttp.ClientError, OSError, TimeoutError):
                    await self._follow(session)
                await asyncio.sleep(self._dice.uniform(0, 0.2))

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        api = self._dice.choice(self._fleet.in_rotation)
        url = f"{api.server.url}/v1/ws"
        async with session.ws_connect(url, protocols=("rowbox.v1",), heartbeat=HEARTBEAT_S) as socket:
            self.connections += 1
            self.server = api.server.url
            await socket.send_str(json.dumps({"t": "hello", "token": self._access}))
            await socket.send_str(json.dumps({"t": "follow", "token": self.token}))
            self._socket = socket
            try:
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        await self._hear(socket, json.loads(message.data))
            finally:
                self._socket = None
                for reply in self._replies.values():
                    if not reply.done():
                        reply.set_exception(ConnectionError("the socket was cut"))

    async def _hear(self, socket: aiohttp.ClientWebSocketResponse, frame: Any) -> None:
        if frame["t"] == "delta":
            if frame["prev"] != self.token:
                self.gaps.append((self.token, frame["prev"]))
            await self.take(frame, frame["token"])
            await socket.send_str(json.dumps({"t": "ack", "token": self.token}))
        elif frame["t"] == "reply" and (reply := self._replies.get(frame["id"])) is not None and not reply.done():
            reply.set_result((frame["status"], msgspec.json.encode(frame["body"])))


class Crowd:
    """The listeners, and who writes to them."""

    def __init__(self, fleet: Fleet, users: Sequence[str], dice: Random, patience_s: float) -> None:
        self._fleet = fleet
        self._dice = dice
        self._patience_s = patience_s
        self._serials = (f"{dice.getrandbits(32):08x}.{number}" for number in count())
        """Other ones than those of another crowd of the same users, whose messages would be known already."""
        self.writing: list[asyncio.Task[None]] = []
        self.listeners = [Listener(fleet, user, Random(dice.getrandbits(32))) for user in users]

    @property
    def connections(self) -> int:
        """How often listeners have connected."""
        return sum(listener.connections for listener in self.listeners)

    async def write(self) -> None:
        """One message after the other, from anybody to anybody, until it is cancelled."""
        while True:
            sender, recipient = self._dice.choices([listener.user for listener in self.listeners], k=2)
            await self.send(sender, recipient, f"text {next(self._serials)}")

    async def is_told(self) -> None:
        """Returns when everybody has been told of a message that was sent from now on, by the one before him: who wrote
        to all would wait for his own limit of sends.
        """
        text = f"mark {next(self._serials)}"
        users = [listener.user for listener in self.listeners]
        await asyncio.gather(*(self.send(users[at - 1], user, text) for at, user in enumerate(users)))
        await asyncio.gather(*(listener.hears(text, self._patience_s) for listener in self.listeners))

    async def send(self, sender: str, recipient: str, text: str) -> None:
        """Until it is confirmed."""
        client, name = self._fleet.client(sender), f"{recipient}.{text}".replace(" ", "-")
        async with asyncio.timeout(4 * self._patience_s):
            while True:
                try:
                    await client.send(recipient, text, name)
                except Refused as refused:
                    if not refused.problem.retryable:
                        raise
                except UNKNOWN_OUTCOME:
                    pass
                else:
                    return

    async def is_at_rest(self) -> list[str]:
        """Nobody writes any more. Whose copy does not come to be what a fresh fetch shows."""
        for task in self.writing:
            task.cancel()
        await asyncio.gather(*self.writing, return_exceptions=True)
        await self.is_told()
        ends_s = time.monotonic() + self._patience_s
        while (found := await self._differences_now()) and time.monotonic() < ends_s:
            pass  # who wrote last is told of it a moment after the others
        return found

    async def _differences_now(self) -> list[str]:
        found = [f"{one.user}: gaps {one.gaps}" for one in self.listeners if one.gaps]
        for listener in self.listeners:
            client = self._fleet.client(listener.user)
            messages = {one.message_id for one in await client.all_messages()}
            conversations = {one.conversation_id: one.unread_count for one in await client.all_conversations()}
            kept = {name: one["unreadCount"] for name, one in listener.conversations.items()}
            if messages != set(listener.messages) or conversations != kept:
                found.append(f"{listener.user} has not what is there")
        return found


@asynccontextmanager
async def crowd_of(
    fleet: Fleet, users: Sequence[str], dice: Random, writers: int = 4, patience_s: float = DEADLINE_S
) -> AsyncIterator[Crowd]:
    """Everybody listens and was told of something; writers write. `patience_s`: for whatever is waited for."""
    crowd = Crowd(fleet, users, dice, patience_s)
    listening = [asyncio.create_task(listener.run()) for listener in crowd.listeners]
    writing: list[asyncio.Task[None]] = []
    try:
        await asyncio.gather(*(listener.begins(patience_s) for listener in crowd.listeners))
        await crowd.is_told()
        writing = [asyncio.create_task(crowd.write()) for _ in range(writers)]
        crowd.writing = writing
        yield crowd
    finally:
        for task in (*writing, *listening):
            task.cancel()
        await asyncio.gather(*writing, *listening, return_exceptions=True)


def _now() -> float:
    return wall_clock_us() / 1_000_000
