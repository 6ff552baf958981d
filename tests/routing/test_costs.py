"""What a burst of sends costs owners that share the mailboxes: calls of the store, calls over links, and messages.

Counts, not seconds. They are of the owner that ships, over links that ship, and a memory store. What a send costs one
owner must not grow with the number of the others: the messages of one commit to the users of one other owner leave as
one message of the wire, are committed together there, and are answered as one.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from rowbox.cacheserver.clocks import BareTime
from rowbox.cacheserver.node.tenure import EpochOwnership
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import FetchConversations, Send
from rowbox.cacheserver.remote.mailboxes import mailbox_calls, owner_calls
from rowbox.cacheserver.routing.deliveries import Deliveries
from rowbox.cacheserver.routing.hints import Hints
from rowbox.cacheserver.routing.in_turn import InTurn
from rowbox.cacheserver.routing.targets import Local, Targets
from rowbox.cacheserver.rpc import frames
from rowbox.cacheserver.rpc.endpoint import UnixEndpoint
from rowbox.cacheserver.rpc.handshake import Identity
from rowbox.cacheserver.rpc.listener import Listener
from rowbox.cacheserver.rpc.wire import Wire
from rowbox.cacheserver.shardmap.shard_map import ListedNode, ShardMap, empty_map
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.cli.serving.cluster.peers import Peers
from rowbox.hbase_schema.families import ttl_ms
from rowbox.mailbox.groups.requests import GroupAnswer, GroupRequest
from rowbox.mailbox.ids import shard_of
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.profile import Profile
from rowbox.mailbox.receipts import Receipt
from tests.links.linked import SECRET
from tests.routing.scripted import comes_to
from tests.support.cluster import SHARDS, UNLIMITED
from tests.support.virtual_time import WallClock, settle, virtual_time

BURST = 12
"""Sends of users of the first owner, in one turn, shared out evenly over the owners of their recipients."""


class _Server:
    """One owner among the others. `mutations` has the number of rows of each writing call that it made."""

    def __init__(self, name: str, folder: Path, store: MemoryStore, clock: WallClock, shards: Sequence[int]) -> None:
        self.name = name
        self.path = folder / name / "peers.sock"
        self.view = MapView()
        self.mutations: list[int] = []
        self.store = store
        write = store.mutate

        async def counted(mutations: Sequence[object], timestamp_ms: int) -> None:
            self.mutations.append(len(mutations))
            await write(mutations, timestamp_ms)  # type: ignore[arg-type]

        store.mutate = counted  # type: ignore[method-assign]
        peers = Peers(lambda: Identity("chat", name), SECRET, self.view, Hints(self.view, []).heard)
        ownership = EpochOwnership(1, name, shards)
        self.owner = Owner(store, UNLIMITED, ownership=ownership, time=BareTime(clock.now_us), elsewhere=self)
        self.targets = Targets(self.view, peers.connect, Local(lambda: name, self.owner, tuple))
        self.deliveries = Deliveries(self.view, self.targets)
        handlers = mailbox_calls(InTurn(self.owner))
        handlers.merge(owner_calls(InTurn(self.owner)))
        self.listener = Listener(Identity("chat", name), SECRET, handlers)

    def deliver(self, user_id: str, messages: Sequence[Message]) -> "asyncio.Future[int]":
        return self.deliveries.deliver(user_id, messages)

    def take_receipts(self, user_id: str, receipts: Sequence[Receipt]) -> "asyncio.Future[int]":
        return self.deliveries.take_receipts(user_id, receipts)

    async def ask_group(self, name: str, asked: GroupRequest) -> GroupAnswer:
        return await self.deliveries.ask_group(name, asked)

    async def profile_of(self, user_id: str) -> Profile | None:
        return await self.deliveries.profile_of(user_id)

    async def shows_presence(self, watcher_id: str, users: Sequence[str]) -> Sequence[bool | None]:
        return await self.deliveries.shows_presence(watcher_id, users)


@asynccontextmanager
async def _servers(folder: Path, count: int) -> AsyncIterator[list[_Server]]:
    """So many, each with a store of its own, because each writes rows of its own alone. All their links are there."""
    clock = WallClock()
    names = [f"n{number}" for number in range(count)]
    made = []
    async with AsyncExitStack() as stack:
        for number, name in enumerate(names):
            store = MemoryStore(SHARDS, ttl_ms(UNLIMITED.store), late_writes=True, now_ms=clock.now_ms)
            server = _Server(name, folder, store, clock, range(number, SHARDS, count))
            await server.owner.start()
            stack.push_async_callback(server.owner.close)
            await server.listener.listen(UnixEndpoint(server.path))
            stack.push_async_callback(server.listener.close)
            made.append(server)
        standing = _map_of([ListedNode(server.name, server.name, f"unix:{server.path}") for server in made])
        for server in made:
            server.view.show(standing)
            server.targets.start()
            stack.push_async_callback(server.targets.close)
        await comes_to(lambda: all(target.is_up for server in made for target in server.targets.remote.values()))
        yield made
    await settle()


def _map_of(nodes: Sequence[ListedNode]) -> ShardMap:
    standing = empty_map(SHARDS).listing(nodes).next()
    for number, node in enumerate(nodes):
        standing = standing.giving(range(number, SHARDS, len(nodes)), node.incarnation)
    return standing


def _users(of: int, count: int, servers: int, prefix: str) -> list[str]:
    """Users whose owner is that of this number."""
    names = (f"{prefix}{number}" for number in range(10_000))
    return [name for name in names if shard_of(name, SHARDS) % servers == of][:count]


async def _burst(servers: list[_Server], said: Counter[str]) -> None:
    """The burst. All mailboxes are in memory before, and nothing is counted before."""
    senders = _users(0, BURST, len(servers), "s")
    each = BURST // len(servers)
    recipients = [name for number in range(len(servers)) for name in _users(number, each, len(servers), "r")]
    for server in servers:
        for name in (*senders, *recipients):
            if server.owner.table.owns(name):
                await server.owner.fetch_conversations(FetchConversations(name))
    await settle()
    for server in servers:
        server.mutations.clear()
    said.clear()
    pairs = zip(senders, recipients, strict=True)
    sends = [servers[0].owner.send(Send(one, other, "hello", "1")) for one, other in pairs]
    for result in await asyncio.gather(*sends):
        assert result.pending_recipients == 0


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_commit_is_one_message_to_each_owner_of_its_recipients_one_commit_there_and_one_message_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    said: Counter[str] = Counter()
    write = Wire._write

    def counted(self: Wire, message: bytes) -> None:
        found = [type(frame).__name__ for frame in frames.frames_of(message)]
        kinds = sorted({kind for kind in found if kind in {"Call", "Answer"}})
        if kinds:
            said["messages of " + " and ".join(kinds)] += 1
        said.update(kind for kind in found if kind in {"Call", "Answer"})
        write(self, message)

    @virtual_time
    async def run() -> None:
        async with _servers(tmp_path, count) as servers:
            monkeypatch.setattr(Wire, "_write", counted)
            await _burst(servers, said)
            monkeypatch.setattr(Wire, "_write", write)
            here, elsewhere = BURST // count, BURST - BURST // count
            assert servers[0].mutations == [BURST, here], "one call for the sends, and one for deliveries of its own"
            assert [server.mutations for server in servers[1:]] == [[here]] * (count - 1)
            others = count - 1
            assert +said == +Counter(
                {
                    "messages of Call": others,
                    "messages of Answer": others,
                    "Call": elsewhere,
                    "Answer": elsewhere,
                }
            )

    run()
