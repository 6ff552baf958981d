"""Seeded worlds in which people set how long messages last, and hours pass: what each holds stays what he is shown.

Three users, in pairs and in a group, over a store whose writes fail, are late or execute twice; the owner is killed and
replaced, mailboxes are handed over, and clients follow by deltas alone. They drop a message at its end by themselves.
"""

import asyncio
import os
from contextlib import suppress
from itertools import combinations
from random import Random
from typing import Final

import pytest

from rowbox.cacheserver.port import SendResult
from rowbox.cacheserver.stores.memory.faults import Fault
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.ids import direct_conversation_id
from tests.checking import assert_no_findings
from tests.property.feed_client import FeedClient
from tests.support.cluster import CRAMPED, UNLIMITED, Cluster, all_messages
from tests.support.virtual_time import virtual_time

SEEDS: Final = int(os.environ.get("ROWBOX_SIMULATION_SEEDS", "4"))
USERS: Final = ("ann", "bob", "cid")
PAIRS: Final = tuple(combinations(USERS, 2))
HOUR_MS: Final = 3_600_000
TTLS_MS: Final = (0, HOUR_MS, 2 * HOUR_MS, 4 * HOUR_MS)
CHANCES: Final = {Fault.FAIL_BEFORE: 0.03, Fault.FAIL_AFTER: 0.02, Fault.EXECUTE_TWICE: 0.03, Fault.EXECUTE_LATE: 0.02}
STEPS: Final = 45


class World:
    """A cluster, what was sent in it, and a client of each user."""

    def __init__(self, servers: Cluster, random: Random) -> None:
        self.servers = servers
        self.random = random
        self.group = b""
        self.sent: list[tuple[str, SendResult]] = []
        self.clients = {user: FeedClient(user) for user in USERS}
        self.number = 0

    async def step(self) -> None:
        """Something happens; where the store refuses it, it does not."""
        doing = (self.says, self.says, self.says, self.sets, self.edits, self.reacts, self.reads, self.follows)
        with suppress(RowboxError):
            await self.random.choice(doing)()
        if self.random.random() < 0.3:
            await asyncio.sleep(self.random.choice((1, 60, 1200, 3600)))
        if self.random.random() < 0.08:
            is_moved = self.servers.late and self.random.random() < 0.4
            await (self.servers.move() if is_moved else self.servers.restart())

    def place(self, user: str) -> bytes:
        other = self.random.choice([one for one in USERS if one != user])
        return self.random.choice((self.group, direct_conversation_id(user, other)))

    async def says(self) -> None:
        user = self.random.choice(USERS)
        self.number += 1
        text = f"text {self.number}"
        self.sent.append((user, await self.servers.node.send_to(user, self.place(user), text, text)))

    async def sets(self) -> None:
        user = self.random.choice(USERS)
        await self.servers.node.set_ttl(user, self.place(user), self.random.choice(TTLS_MS))

    async def edits(self) -> None:
        if self.sent:
            user, sent = self.random.choice(self.sent[-8:])
            text = None if self.random.random() < 0.2 else f"edited {self.random.random()}"
            await self.servers.node.change(user, sent, text)

    async def reacts(self) -> None:
        if self.sent:
            user, sent = self.random.choice(self.sent[-8:])
            await self.servers.node.react(user, sent, self.random.choice(("\U0001f44d", "")))

    async def reads(self) -> None:
        if self.sent:
            user, sent = self.random.choice(self.sent[-8:])
            await self.servers.node.mark_read(user, sent.conversation_id, sent.message_id)

    async def follows(self) -> None:
        client = self.clients[self.random.choice(USERS)]
        await client.follow(self.servers.node, self.random.choice((1, 7, 50)), 1 << 20)

    async def judged(self) -> None:
        """Every client holds what a fresh fetch shows, and two who share a conversation what the other one has."""
        servers = self.servers
        await servers.quiet()
        horizon = servers.clock.now_us() - servers.settings.store.retention_ms * 1000
        for client in self.clients.values():
            await client.follow(servers.node, 50, 1 << 20)
            await client.holds_what_a_fresh_fetch_shows(servers.node, horizon, servers.clock.now_us())
        for one, other in PAIRS:
            for conversation in (direct_conversation_id(one, other), self.group):
                assert await self.shown(one, conversation) == await self.shown(other, conversation)
        for user in USERS:
            now_us = servers.clock.now_us()
            for item in self.clients[user].messages.values():
                assert item.get("expiresTimestamp", now_us + 1) > now_us
        await assert_no_findings(servers.store, servers.settings, servers.clock.now_us(), slack_us=1_000_000)

    async def shown(self, user: str, conversation: bytes) -> list[tuple[str, str, int | None]]:
        items, _ = await all_messages(self.servers.node, user, conversation, 50)
        return [(one["messageId"], one["messageContent"], one.get("expiresTimestamp")) for one in items]


@pytest.mark.parametrize("seed", range(SEEDS))
@virtual_time
async def test_what_everybody_holds_is_what_is_there(seed: int) -> None:
    random = Random(seed)
    late = seed % 3 > 0
    servers = Cluster(late=late, settings=CRAMPED if seed % 2 else UNLIMITED)
    await servers.start()
    world = World(servers, random)
    for one, other in PAIRS:
        await servers.node.send(one, other, "hello", f"hello {other}")
    world.group = (await servers.node.create_group("ann", "bob", "cid")).conversation_id
    await servers.quiet()
    for _ in range(3):
        if late:
            servers.store.faults.roll(random.randrange(1 << 30), CHANCES)
        for _ in range(STEPS // 3):
            await world.step()
        servers.store.faults.clear()
        await servers.restart()
        await asyncio.sleep(200)
        await world.judged()
    await asyncio.sleep(5 * 3600)
    await world.judged()
    await servers.close()
