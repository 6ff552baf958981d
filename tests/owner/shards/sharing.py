"""Owners that share the shards of one memory store, and a map that a test changes: shards move, by plan or without."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from rowbox.cacheserver.node.tenure import EpochOwnership
from rowbox.cacheserver.owner.owner import Owner
from rowbox.mailbox.errors import NotTheOwner, StoreUnavailable
from rowbox.mailbox.groups.requests import GroupAnswer, GroupRequest
from rowbox.mailbox.ids import shard_of
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.receipts import Receipt
from rowbox.mailbox.settings.config import Settings
from tests.support.cluster import SHARDS, UNLIMITED, Cluster, Node, delivered, told
from tests.support.process import ConnectionLost, Process
from tests.support.virtual_time import settle

_Said = TypeVar("_Said")


def shard(user: str) -> int:
    return shard_of(user, SHARDS)


class Sharing(Cluster):
    """Nodes of which each owns some shards. `since` is the map: by shard, its owner and the version that gave it."""

    def __init__(self, *, settings: Settings = UNLIMITED, delivers_elsewhere: bool = True) -> None:
        super().__init__(late=True, settings=settings)
        self.since: dict[int, tuple[Node, int]] = {}
        self._delivers_elsewhere = delivers_elsewhere

    async def join(self) -> Node:
        """Starts one more node, which owns nothing yet."""
        process = Process()
        self.map_version += 1
        ownership = EpochOwnership(self.map_version, f"node-{self.map_version}", ())
        store = self.store.beside()
        elsewhere = self if self._delivers_elsewhere else None

        async def make() -> Owner:
            owner = Owner(store, self.settings, ownership=ownership, time=self.time, elsewhere=elsewhere)
            await owner.start()
            return owner

        node = Node(store, await process.call(make()), process, ownership)
        self.nodes.append(node)
        return node

    def of(self, user: str) -> Node:
        """The node that the map names for a user."""
        return self.since[shard(user)][0]

    def owned_by(self, node: Node) -> dict[int, int]:
        """What the map gives to a node: by shard, since which version."""
        return {number: since for number, (owner, since) in self.since.items() if owner is node}

    def give(self, target: Node, shards: Collection[int]) -> None:
        """One version of the map, in which `target` gets these shards; all nodes take it in at once."""
        self.name(target, shards)
        for node in self.nodes:
            self.take_in(node)

    def name(self, target: Node, shards: Collection[int]) -> None:
        """As `give`, but no node knows of it yet."""
        self.map_version += 1
        self.since.update(dict.fromkeys(shards, (target, self.map_version)))

    def take_in(self, node: Node) -> None:
        """A node gets to know the map that stands."""
        if node.ownership is None or not node.ownership.is_held or not node.process.is_alive:
            return
        changed = node.ownership.apply(self.map_version, self.owned_by(node))
        node.process.run(node.owner.give_away, changed.lost)
        node.process.run(node.owner.take, changed.gained)

    async def shows_presence(self, watcher_id: str, users: Sequence[str]) -> Sequence[bool | None]:
        """See Elsewhere: asks the node that the map names, for each of the users."""
        answers: list[bool | None] = []
        for user_id in users:
            node = self.of(user_id)
            try:
                answers += await node.process.call(node.owner.shows_presence(watcher_id, [user_id]))
            except ConnectionLost:
                answers.append(None)
        return answers

    def deliver(self, user_id: str, messages: Sequence[Message]) -> "asyncio.Future[int]":
        """See Elsewhere."""
        return self._at_owner(user_id, lambda owner: delivered(owner, user_id, messages))

    def ask_group(self, name: str, asked: GroupRequest) -> "asyncio.Future[GroupAnswer]":
        """See Elsewhere."""
        return self._at_owner(name, lambda owner: owner.ask_group(asked))

    def profile_of(self, user_id: str) -> "asyncio.Future[Profile | None]":
        """See Elsewhere."""
        return self._at_owner(user_id, lambda owner: owner.profile_of(user_id))

    def take_receipts(self, user_id: str, receipts: Sequence[Receipt]) -> "asyncio.Future[int]":
        """See Elsewhere."""
        return self._at_owner(user_id, lambda owner: told(owner, user_id, receipts))

    def _at_owner(self, user: str, ask: Callable[[Owner], Coroutine[Any, Any, _Said]]) -> "asyncio.Future[_Said]":
        target = self.of(user) if shard(user) in self.since else None
        if target is None or not target.process.is_alive:
            raise NotTheOwner("nobody owns this user")

        async def asked(to: Node) -> _Said:
            try:
                return await to.process.call(ask(to.owner))
            except ConnectionLost:
                raise StoreUnavailable("the recipient's owner has died") from None

        return asyncio.get_running_loop().create_task(asked(target))

    async def quiet(self) -> None:
        """Returns when everything that is under way in the nodes has come to its end."""
        for _ in range(3):
            for node in self.nodes:
                if node.process.is_alive:
                    await node.owner.pipeline.idle()
                    await node.owner.delivery.idle()


@asynccontextmanager
async def sharing(*, delivers_elsewhere: bool = True, settings: Settings = UNLIMITED) -> AsyncIterator[Sharing]:
    """Two nodes: the first owns all shards."""
    made = Sharing(delivers_elsewhere=delivers_elsewhere, settings=settings)
    first, _ = await made.join(), await made.join()
    made.give(first, range(SHARDS))
    await settle(2 * SHARDS)
    yield made
    await made.close()
