"""Who answers for a user: the owner that the newest known map names, in this process or over a link.

There is one target for each incarnation that the map lists with an address for peers. It is made when a map first
lists it, so that its link is there before a request is. One that is listed no more has ended: its target is closed,
which ends what is under way on its link, and the router sends that elsewhere. Where this process is another incarnation
than before, all links are made anew, because each has proven to its listener the name under which it was made.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.port import MailboxPort, RevocationPort
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.groups.requests import GroupAnswer, GroupRequest
from rowbox.mailbox.ids import shard_of
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.receipts import Receipt
from rowbox.mailbox.revocation import Bearer

MOST_KNOWN_USERS: Final = 1 << 16
"""Whose shards are remembered: the hash is a third of what routing a fetch costs (1.8 us with it, 1.2 without)."""


class Target(MailboxPort, RevocationPort, Protocol):
    """An owner as a router uses it. It answers for the users that are its own; NotTheOwner for all others."""

    def deliver(self, user_id: str, messages: Sequence[Message]) -> Awaitable[int]:
        """Brings messages into the user's mailbox, in order. How many of them, from the first, are durable there."""
        ...

    def ask_group(self, asked: GroupRequest) -> Awaitable[GroupAnswer]:
        """See GroupPort."""
        ...

    def profile_of(self, user_id: str) -> Awaitable[Profile | None]:
        """See UserPort."""
        ...

    def shows_presence(self, watcher_id: str, users: Sequence[str]) -> Awaitable[Sequence[bool | None]]:
        """See UserPort."""
        ...

    def take_receipts(self, user_id: str, receipts: Sequence[Receipt]) -> Awaitable[int]:
        """Has the user's mailbox take in what readers of his messages have. How many receipts were news to it."""
        ...

    def judge(self, bearer: Bearer) -> Awaitable[None]:
        """TokenRevoked where the token is refused by the row of its own user, whose owner is asked."""
        ...


class RemoteTarget(Target, Protocol):
    """An owner in another process. LinkLost where it cannot be reached, StoreOutcomeUnknown of a write under way."""

    @property
    def is_up(self) -> bool:
        """Whether there is a link now."""
        ...

    @property
    def map_version(self) -> int:
        """The newest map that it is known to have applied; 0: none."""
        ...

    def deliver(self, user_id: str, messages: Sequence[Message]) -> "asyncio.Future[int]":
        """See Target. The call is on its way when this returns."""
        ...

    def deliver_to_many(
        self, users: Sequence[str], messages: Sequence[Message]
    ) -> "asyncio.Future[Sequence[int | RowboxError]]":
        """Does `deliver` for each of the users, in one call: what each gave or raised, in their order."""
        ...

    def take_receipts(self, user_id: str, receipts: Sequence[Receipt]) -> "asyncio.Future[int]":
        """See Target. The call is on its way when this returns."""
        ...

    async def close(self) -> None:
        """Ends what is under way, and the link."""
        ...


class Local(NamedTuple):
    """The owner in this process. `incarnation` gives its name now, "" while it has none; `standing` what keeps it from
    having a part in the cluster.
    """

    incarnation: Callable[[], str]
    target: Target
    standing: Callable[[], Sequence[str]]


class Route(NamedTuple):
    """The incarnation that the map names, and how to ask it. `remote` is None where it is in this process."""

    incarnation: str
    target: Target
    remote: RemoteTarget | None


class Targets:
    """The owners of all users by the newest map of `view`. `connect` makes the target of a listed incarnation.

    `start` before the first call; `close` after the last ends all links.
    """

    def __init__(
        self, view: MapView, connect: Callable[[ListedNode], RemoteTarget | None], local: Local | None = None
    ) -> None:
        """`connect` gives None where the address of a node is none."""
        self._view = view
        self._connect = connect
        self.local = local
        self.remote: dict[str, RemoteTarget] = {}
        """The owners in other processes, by incarnation."""
        self._left: list[RemoteTarget] = []
        self._named = ""
        """The incarnation of this process under which the links were made."""
        self._adopted: ShardMap | None = None
        self._owners: Sequence[int] = ()
        self._routes: Sequence[Route | None] = (None,)
        self._shard_of = lru_cache(MOST_KNOWN_USERS)(shard_of)
        self._is_draining = False
        self.on_adopted: Callable[[], None] | None = None
        """Called when a newer map is used."""
        self._stirred = asyncio.Event()
        self.loop = BackgroundLoop("links", self._follow)

    def start(self) -> None:
        """Begins to link to what the newest map lists, and to close what it lists no more."""
        self.loop.start()

    async def close(self) -> None:
        """Ends all links."""
        await self.loop.close()
        self._left += self.remote.values()
        self.remote.clear()
        self._routes, self._owners = (None,), ()
        await self._close_left()

    def of(self, user_id: str) -> Route | None:
        """How to ask the owner of a user; None: no map is known, nobody owns the shard, or nobody can be asked."""
        newest = self._view.newest
        if newest is not self._adopted:
            self._adopt(newest)
        owners = self._owners
        if not owners:
            return None
        return self._routes[owners[self._shard_of(user_id, len(owners))]]

    def stir(self) -> None:
        """To be called when a link is there, and when a peer says which map it has applied: who waits looks again."""
        stirred, self._stirred = self._stirred, asyncio.Event()
        stirred.set()

    async def stirred(self) -> None:
        """Returns at the next newer map, link, or word of a peer. The caller bounds the wait."""
        await self._stirred.wait()

    def all(self) -> Iterator[Target]:
        """Every owner that can be asked."""
        if self.local is not None:
            yield self.local.target
        yield from self.remote.values()

    def begin_drain(self) -> None:
        """Has every target end its waits, and those that are made from now on not wait."""
        self._is_draining = True
        for target in self.all():
            target.begin_drain()

    def _adopt(self, newest: ShardMap | None) -> None:
        self._adopted = newest
        nodes = () if newest is None else newest.nodes
        self._owners = () if newest is None else newest.owners
        listed = {node.incarnation for node in nodes}
        named = self._named if self.local is None else self.local.incarnation()
        stale = self.remote.keys() - listed if named == self._named else tuple(self.remote)
        self._named = named
        for incarnation in stale:
            self._left.append(self.remote.pop(incarnation))
        if self._left:
            self.loop.wake()
        self._routes = (*(self._route_to(node) for node in nodes), None)  # the last one is NOBODY's
        self.stir()
        if self.on_adopted is not None:
            self.on_adopted()

    def _route_to(self, node: ListedNode) -> Route | None:
        incarnation = node.incarnation
        if self.local is not None and incarnation == self.local.incarnation():
            return Route(incarnation, self.local.target, None)
        target = self.remote.get(incarnation)
        if target is None and node.peer:
            target = self._connect(node)
            if target is not None:
                self.remote[incarnation] = target
                if self._is_draining:
                    target.begin_drain()
        return None if target is None else Route(incarnation, target, target)

    async def _follow(self) -> float:
        """Takes in the next map as soon as it is known, whether anybody asks for a user or not."""
        await self._close_left()
        adopted = self._adopted
        newest = await self._view.newer_than(0 if adopted is None else adopted.version)
        if newest is not self._adopted:
            self._adopt(newest)
        return 0.0

    async def _close_left(self) -> None:
        while self._left:
            await self._left[-1].close()
            self._left.pop()
