"""Clients that follow their mailboxes through any server: they pull when they are told, and never else.

What carries a socket is left out; what decides for it (api/realtime/deltas.py) and all below it is what ships. A change
that is told to nobody stays unknown to such a client, whatever else goes well.
"""

import asyncio
from random import Random

import msgspec
import orjson

from rowbox.api.realtime.deltas import Delta, Deltas, Pulled
from rowbox.api.v1.responses import encode_feed
from rowbox.cacheserver.port import Changed, Changes, Lost
from rowbox.mailbox.errors import RowboxError
from tests.property.feed_client import FeedClient
from tests.simulation.cluster.server import Server, Surroundings
from tests.simulation.history import History, Violation
from tests.support.cluster import Json
from tests.support.process import ConnectionLost

LOOKS_S = 0.5
"""After so long a client has noticed that its server is gone."""
UNTOLD_S = 60
"""Within this time after the last fault everybody was told of everything: heads and maps are compared each 25 s."""


class Live:
    """One client. `run` until it is cancelled; Violation where it is given what it should not be."""

    def __init__(self, world: Surroundings, history: History, user: str, dice: Random) -> None:
        self._world = world
        self._history = history
        self._dice = dice
        self.client = FeedClient(user)
        self._beginning: Changes | None = None
        """A reset after which the rest was not fetched yet: until then the copy is incomplete."""
        self._violation: Violation | None = None

    async def run(self) -> None:
        while True:
            server = self._dice.choice(list(self._world.servers.values()))
            if server.is_there:
                try:
                    await _Connection(self, server, self._dice).run()
                except ConnectionLost:
                    pass
                except RowboxError as error:
                    if not error.retryable:
                        raise self._history.violated("P5", f"{self.client.user} may not follow: {error}") from error
            if self._violation is not None:
                raise self._violation
            await asyncio.sleep(self._dice.uniform(0.05, 0.3))

    async def pull(self, server: Server, token: str | None) -> Changes:
        """A page of changes. What had been shown before is in it, or was given."""
        user, expected = self.client.user, self._history.expected(self.client.user)
        changes = await server.changes(user, token=token, page_size=self._dice.randint(1, 9))
        is_all = changes.is_delta and not changes.has_more and token == self.client.token and self._beginning is None
        given = {orjson.loads(message)["messageId"] for message in changes.messages}
        if is_all and (missing := expected - given - self.client.messages.keys()):
            raise self._history.violated("P4", f"{user}'s changes have left out {sorted(missing)}")
        return changes

    def take(self, delta: Delta) -> None:
        """What a socket would have sent. It may be called in a server's turn, and raises nothing there."""
        client, body = self.client, msgspec.json.decode(delta.body)
        messages = list(map(orjson.dumps, body["messages"]))
        conversations = list(map(orjson.dumps, body["conversations"]))
        told = [message["messageId"] for message in body["messages"]]
        changes = Changes(
            messages,
            conversations,
            account=False,
            is_delta=body["isDeltaUpdate"],
            token=delta.token,
            reset_reason=body["resetReason"],
            next_cursor=body["nextCursor"],
        )
        if delta.prev != client.token:
            self._broken(f"a delta from {delta.prev} comes to {client.user}, who has {client.token}")
        elif not changes.is_delta:
            self._begin_anew(changes)
        elif doubled := [one for one in body["messages"] if self._beginning is None and self._has(one)]:
            self._broken(f"{client.user} is told of {doubled} twice")
        client.take(changes)
        self._history.shown[client.user].update(told)

    def _has(self, message: Json) -> bool:
        """Whether the client has a message as it is told here; one that was changed comes again."""
        known = self.client.messages.get(message["messageId"])
        return known is not None and known["lastUpdatedTimestamp"] >= message["lastUpdatedTimestamp"]

    def _begin_anew(self, changes: Changes) -> None:
        client = self.client
        if changes.reset_reason != "expired" or not self._history.is_far_set:
            self._broken(f"{client.user}'s token was refused: {changes.reset_reason}")
        client.messages, client.conversations = {}, {}
        self._beginning = changes

    def _broken(self, text: str) -> None:
        self._violation = self._violation or self._history.violated("P4", text)

    @property
    def is_broken(self) -> bool:
        """Whether `run` is to end with a Violation."""
        return self._violation is not None

    async def complete(self, server: Server) -> None:
        """Fetches what a reset has not brought, where there was one."""
        beginning = self._beginning
        if beginning is not None:
            beside = FeedClient(self.client.user)
            await beside.begin_anew(server, beginning, 9)
            self.client.add(beside)
            if self._beginning is beginning:
                self._beginning = None


class _Connection:
    """One client at one server."""

    def __init__(self, live: Live, server: Server, dice: Random) -> None:
        self._live = live
        self._server = server
        self._dice = dice
        self._deltas: Deltas | None = None
        self._told = asyncio.Event()
        self._is_over = False

    async def run(self) -> None:
        """Until the server is gone, or tells that this is over."""
        client, server = self._live.client, self._server
        following = await server.follow(client.user, self._notify)
        try:
            deltas = self._deltas = Deltas(following.head, None)
            deltas.follow(client.token)
            while server.is_there and not self._is_over and not self._live.is_broken:
                await self._step(deltas)
        finally:
            if server.process.is_alive:
                server.process.run(following.close)

    async def _step(self, deltas: Deltas) -> None:
        live, server = self._live, self._server
        pull = deltas.next_pull()
        if pull is None:
            await self._wait()
            return
        try:
            changes = await live.pull(server, pull.token)
            page = Pulled(changes.token, changes.has_more, changes.is_empty, encode_feed(changes))
            delta = deltas.pulled(pull.number, page)
            if delta is not None:
                live.take(delta)
            await live.complete(server)
        except RowboxError as error:
            if not error.retryable:
                raise
            deltas.failed(pull.number)
            await asyncio.sleep(self._dice.uniform(0.05, 0.3))

    async def _wait(self) -> None:
        self._told.clear()
        try:
            async with asyncio.timeout(LOOKS_S):
                await self._told.wait()
        except TimeoutError:
            return

    def _notify(self, what: Changed | Lost) -> None:
        if isinstance(what, Lost):
            self._is_over |= what.is_over
        elif self._deltas is not None:
            delta = self._deltas.change(what.head, what.prev, what.frame, may_write=True)
            if delta is not None:
                self._live.take(delta)
        self._told.set()
