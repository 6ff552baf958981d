"""Owners over one memory store, one after the other or side by side: started, closed, killed, paused, replaced.

A node is a process with an Owner and a store handle of its own (gates and faults of its own) over the cells that all
share. `late=False` is the embedded kind: one node at a time, and a write in flight dies with it or is done.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import orjson

from rowbox.cacheserver.clocks import BareTime, Time
from rowbox.cacheserver.node.tenure import EpochOwnership
from rowbox.cacheserver.node.trusted_time import TrustedTime
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import (
    ChangeGroup,
    ChangeMessage,
    ChangeResult,
    Changes,
    Create,
    FetchChanges,
    FetchConversations,
    FetchGroup,
    FetchMessages,
    Follow,
    Following,
    Found,
    GroupResult,
    GroupShown,
    MarkRead,
    MarkReadResult,
    Notify,
    Page,
    React,
    Search,
    Send,
    SendResult,
    SetTtl,
    TtlResult,
)
from rowbox.cacheserver.push.port import PushPort
from rowbox.cacheserver.rows.stash import HandedRow
from rowbox.cacheserver.search.searches import SearchPlace
from rowbox.cacheserver.stores.clock_memory import CellMemory
from rowbox.cacheserver.stores.memory.gates import Point
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.hbase_schema.families import ttl_ms
from rowbox.mailbox.clocks.clock_trust import by_word
from rowbox.mailbox.group import GroupSettings, group_conversation_id
from rowbox.mailbox.groups.requests import Deed
from rowbox.mailbox.message import Message
from rowbox.mailbox.pages.cursor import ListKind
from rowbox.mailbox.receipts import Receipt
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import CacheSettings, MessageSettings, RateLimitSettings, Settings
from tests.support.process import Process, install
from tests.support.virtual_time import WallClock, settle

SHARDS = 64
HANDED_BYTES = 64 << 20
"""More than any test has in memory."""
Json = dict[str, Any]

QUIET = MessageSettings(receipts="none")
"""Nothing changes by itself: for tests that are not about receipts and count changes."""
UNLIMITED = Settings(rate_limits=RateLimitSettings(enabled=False), messages=QUIET)
CRAMPED = Settings(
    rate_limits=RateLimitSettings(enabled=False),
    messages=QUIET,
    cache=CacheSettings(bytes=9_000, window_messages=2, window_bytes_per_mailbox=1500, load_concurrency=2),
)
"""A cache in which almost nothing stays: every path that reads the store is taken."""


def version_of(token: str | None) -> int:
    """The version that a token names: a test may look into a token, a client may not."""
    assert token is not None
    return int(token.partition(".")[0])


def parsed(page: Page) -> list[Json]:
    """The items of a page."""
    return [orjson.loads(item) for item in page.items]


class Node:
    """One owner's process."""

    def __init__(self, store: MemoryStore, owner: Owner, process: Process, ownership: EpochOwnership | None) -> None:
        self.store = store
        self.owner = owner
        self.process = process
        self.ownership = ownership

    async def send(
        self, sender: str, recipient: str, content: str, client_message_id: str, bearer: Bearer | None = None
    ) -> SendResult:
        return await self.process.call(self.owner.send(Send(sender, recipient, content, client_message_id, bearer)))

    async def change(
        self, user: str, sent: SendResult, content: str | None, bearer: Bearer | None = None
    ) -> ChangeResult:
        """`content` None takes the message back."""
        place = sent.conversation_id, sent.message_id
        return await self.process.call(self.owner.change_message(ChangeMessage(user, *place, content, bearer)))

    async def react(self, user: str, sent: SendResult, emoji: str, bearer: Bearer | None = None) -> ChangeResult:
        """`emoji` "" takes the reaction back."""
        place = sent.conversation_id, sent.message_id
        return await self.process.call(self.owner.react(React(user, *place, emoji, bearer)))

    async def set_ttl(self, user: str, conversation: bytes, ttl_ms: int) -> TtlResult:
        return await self.process.call(self.owner.set_ttl(SetTtl(user, conversation, ttl_ms)))

    async def create_group(
        self, user: str, *members: str, named: str = "g", name: str = "", settings: GroupSettings | None = None
    ) -> GroupResult:
        """`named`: the clientGroupId."""
        create = Create(named, name, members, settings or GroupSettings())
        request = ChangeGroup(user, group_conversation_id(user, named), create)
        return await self.process.call(self.owner.change_group(request))

    async def change_group(self, user: str, group: bytes, deed: Deed, bearer: Bearer | None = None) -> GroupResult:
        return await self.process.call(self.owner.change_group(ChangeGroup(user, group, deed, bearer)))

    async def group(self, user: str, group: bytes) -> GroupShown:
        return await self.process.call(self.owner.fetch_group(FetchGroup(user, group)))

    async def send_to(self, user: str, conversation: bytes, content: str, client_message_id: str) -> SendResult:
        request = Send(user, "", content, client_message_id, conversation_id=conversation)
        return await self.process.call(self.owner.send(request))

    async def mark_read(
        self, user: str, conversation: bytes, message: bytes, bearer: Bearer | None = None
    ) -> MarkReadResult:
        return await self.process.call(self.owner.mark_read(MarkRead(user, conversation, message, bearer)))

    async def messages(
        self, user: str, conversation: bytes | None = None, *, token: str | int | None = None, **how: Any
    ) -> Page:
        """`token`: one that was given, or a version."""
        if isinstance(token, int):
            token = self.token(
                user, token, ListKind.ALL_MESSAGES if conversation is None else ListKind.MESSAGES, conversation
            )
        return await self.process.call(self.owner.fetch_messages(FetchMessages(user, conversation, token=token, **how)))

    async def conversations(self, user: str, *, token: str | int | None = None, **how: Any) -> Page:
        if isinstance(token, int):
            token = self.token(user, token, ListKind.CONVERSATIONS)
        return await self.process.call(self.owner.fetch_conversations(FetchConversations(user, token=token, **how)))

    async def changes(self, user: str, *, token: str | int | None = None, **how: Any) -> Changes:
        if isinstance(token, int):
            token = self.token(user, token, ListKind.CHANGES)
        return await self.process.call(self.owner.fetch_changes(FetchChanges(user, token, **how)))

    async def follow(self, user: str, notify: Notify, bearer: Bearer | None = None) -> Following:
        return await self.process.call(self.owner.follow(Follow(user, bearer), notify))

    def token(self, user: str, version: int, kind: ListKind, conversation: bytes | None = None) -> str:
        """The token that this node gives for a version."""
        return self.owner.fetches.bookmarker.of(user, kind, conversation).token(version)

    async def search(self, user: str, text: str, **how: Any) -> Found:
        return await self.process.call(self.owner.search(Search(user, text, **how)))

    async def status(self, user: str, client_message_id: str, bearer: Bearer | None = None) -> SendResult:
        return await self.process.call(self.owner.send_status(user, client_message_id, bearer))

    async def revoke_user(self, user: str) -> int:
        """Revokes all tokens of a user. Returns the second before which they were issued."""
        return await self.process.call(self.owner.revoke_user(user))

    async def revoke_id(self, token_id: str) -> None:
        await self.process.call(self.owner.revoke_id(token_id))

    def pause(self) -> None:
        """Stops the node at its next store call, as if its process were suspended; its lease runs out meanwhile."""
        for point in Point:
            self.store.hold(point)
        self.revoke()

    def wake(self) -> None:
        """Has a stopped node go on where it was, without knowing that it stopped."""
        for point in Point:
            self.store.release(point)

    def revoke(self) -> None:
        """Has the node be replaced, for ever."""
        if self.ownership is not None:
            self.ownership.revoke()

    def lapse(self) -> None:
        """Ends the node's lease, without anybody taking over."""
        assert self.ownership is not None
        self.ownership.is_held = False

    def renew(self) -> None:
        """Gives the node its lease back: nobody had taken over."""
        assert self.ownership is not None
        self.ownership.is_held = True


class Cluster:
    """Nodes over one store. Made and used inside one running loop."""

    def __init__(self, *, late: bool, settings: Settings = UNLIMITED, judges_clock: bool = False) -> None:
        """`judges_clock`: as `rowbox serve` does, with the store as the witness. Else `clock` is believed."""
        install()
        self.late = late
        self.settings = settings
        self.judges_clock = judges_clock
        self.clock, self.right = WallClock(), WallClock()
        self.time: Time = BareTime(self.clock.now_us)
        """Of the newest node."""
        self.words = 0
        self.store = MemoryStore(SHARDS, ttl_ms(settings.store), late_writes=late, now_ms=self._expiry_ms)
        self.map_version = 0
        self.nodes: list[Node] = []
        self.search: Callable[[], SearchPlace] | None = None
        """Where the nodes that are started from now on keep search indexes; None: nobody searches."""
        self.push: PushPort | None = None
        """What tells devices of the users of the nodes that are started from now on; None: nothing does."""

    def _expiry_ms(self) -> int:
        """By the clock that is believed. A judged one: the store's own servers have clocks that are right."""
        if not self.judges_clock:
            return self.clock.now_ms()
        return self.right.now_ms() if self.late else self.time.seen_us() // 1000

    @property
    def node(self) -> Node:
        """The newest node: the one that the map names."""
        return self.nodes[-1]

    async def start(self, handed: Sequence[HandedRow] = ()) -> Node:
        """Starts another node under a new map version; the nodes before it own nothing any more.

        `handed`: what was handed over to it.
        """
        for older in self.nodes:
            older.revoke()
        self.map_version += 1
        process = Process()
        ownership = EpochOwnership(self.map_version, f"node-{self.map_version}") if self.late else None
        store = self.store.beside()

        async def make() -> Owner:
            if self.judges_clock:
                await self._judge_clock(version=self.map_version)
            search = self.search() if self.search is not None else None
            parts = partial(Owner, search=search, push=self.push)
            owner = parts(store, self.settings, ownership=ownership, time=self.time)
            owner.take(range(SHARDS), handed)
            await owner.start()
            return owner

        node = Node(store, await process.call(make()), process, ownership)
        self.nodes.append(node)
        return node

    async def move(self) -> Node:
        """The newest node hands everything over to another one that is started, with what it has in memory."""
        giver = self.node
        handed = await self.handed_by(giver)
        taker = await self.start(handed)
        self.gave_away(giver)
        return taker

    async def handed_by(self, giver: Node, shards: Sequence[int] = range(SHARDS)) -> list[HandedRow]:
        """What a node hands over of shards, which are closed afterwards."""

        async def close() -> list[HandedRow]:
            await giver.owner.close_shards(shards)
            parts = giver.owner.handing_over.parts(shards, HANDED_BYTES, HANDED_BYTES // 8)
            return [row async for part in parts for row in part]

        return await giver.process.call(close())

    def gave_away(self, giver: Node) -> None:
        """A node that was replaced notices it."""
        giver.process.run(giver.owner.give_away, range(SHARDS))

    async def _judge_clock(self, version: int) -> None:
        """Has the process that calls it go by a judged clock; the newest one keeps the store's memory current."""
        time = TrustedTime(
            wall_us=self.clock.now_us,
            boot_s=asyncio.get_running_loop().time,
            saves=lambda: version == self.map_version,
        )
        await time.begin(CellMemory(self.store))
        time.loop.start()
        self.time = time

    async def say_the_clock_is_right(self) -> None:
        """Says for an operator that the clock is right; a node in doubt hears that within a second."""
        self.words += 1
        memory, word = CellMemory(self.store), f"word {self.words}"
        stands = await memory.read()
        while stands is None or stands.word != word:
            stands = await memory.swap(stands, by_word(self.clock.now_us(), word))

    async def kill(self, node: Node | None = None, *, writes_survive: bool = False) -> None:
        """Kills a node. `writes_survive`: what it sent to the store is on the wire already (late_writes only)."""
        node = node if node is not None else self.node
        node.revoke()
        assert self.late or not writes_survive
        await node.process.kill(spared=node.store._in_flight if writes_survive else ())
        for point in Point:
            node.store.release(point)

    async def restart(self) -> Node:
        """Kills the newest node, and starts another one in its place."""
        await self.kill()
        return await self.start()

    async def quiet(self) -> None:
        """Returns when everything that is under way in the newest node has come to its end."""
        owner = self.node.owner
        await owner.pipeline.idle()
        await owner.delivery.idle()
        await owner.pipeline.idle()

    async def receipts_told(self) -> None:
        """Returns when the newest node has no receipts to tell."""
        owed = self.node.owner.receipts.teller._owed
        while any(one.is_due for one in owed.values()):  # noqa: ASYNC110 - nobody but tests waits for it
            await asyncio.sleep(0.1)

    async def close(self) -> None:
        """Stops every node that still runs."""
        for node in self.nodes:
            if node.process.is_alive:
                node.wake()
                await node.process.call(node.owner.close())
                await node.process.kill()


@asynccontextmanager
async def cluster(
    *, late: bool, settings: Settings = UNLIMITED, push: PushPort | None = None
) -> AsyncIterator[Cluster]:
    """A cluster with one node, closed in the end."""
    made = Cluster(late=late, settings=settings)
    made.push = push
    node = await made.start()
    if late:  # the faults of a test are not for the scan that a node begins with
        await settle(2 * SHARDS)
        assert node.owner.recovery.scans == 1
    yield made
    await made.close()


async def all_messages(
    node: Node, user: str, conversation: bytes | None, page_size: int
) -> tuple[list[Json], str | None]:
    """The whole list by cursors, newest first, and its token."""
    page = await node.messages(user, conversation, page_size=page_size)
    items, token = parsed(page), page.token
    while page.next_cursor is not None:
        page = await node.messages(user, conversation, page_size=page_size, cursor=page.next_cursor)
        assert page.token == token
        items += parsed(page)
    return items, token


async def all_conversations(node: Node, user: str, page_size: int) -> tuple[list[Json], str | None]:
    """The whole list by cursors, newest first, and its token."""
    page = await node.conversations(user, page_size=page_size)
    items, token = parsed(page), page.token
    while page.next_cursor is not None:
        page = await node.conversations(user, page_size=page_size, cursor=page.next_cursor)
        assert page.token == token
        items += parsed(page)
    return items, token


def ids(items: Sequence[Json], name: str = "messageId") -> list[str]:
    """One field of each item."""
    return [item[name] for item in items]


async def gather_all(*requests: Any) -> list[Any]:
    """Awaits all of them, and returns their results, of which errors are some."""
    return list(await asyncio.gather(*requests, return_exceptions=True))


async def delivered(owner: Owner, user_id: str, messages: Sequence[Message]) -> int:
    """Owner.deliver from its first step on, for whoever has it begin inside the owner's process."""
    return await owner.deliver(user_id, messages)


async def told(owner: Owner, user_id: str, receipts: Sequence[Receipt]) -> int:
    """Owner.take_receipts, as `delivered`."""
    return await owner.take_receipts(user_id, receipts)
