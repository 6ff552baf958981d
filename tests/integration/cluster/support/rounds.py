"""A round of chaos: people chat through both API servers while things go wrong; then everybody is asked."""

import asyncio
from random import Random

from tests.integration.cluster.support.chaos import Chaos
from tests.integration.cluster.support.fleet import Fleet
from tests.integration.support.chat import Chat
from tests.integration.support.verdict import check_everything
from tests.support.hbase_cluster import HBaseCluster

PATIENCE_S = 180.0
"""For one request, asked again and again while faults go on."""
SMALL = {"ROWBOX_CACHE_BYTES": "2MiB", "ROWBOX_CACHE_WINDOW_MESSAGES": "8"}
"""So that mailboxes leave the memory, and come back."""


class Rounds:
    """All that are played over one store, each with users of its own."""

    def __init__(self, fleet: Fleet, hbase: HBaseCluster, random: Random, *, region_servers: bool = False) -> None:
        """`region_servers`: those are killed as well."""
        self.number = 0
        self._fleet = fleet
        self._hbase = hbase
        self._random = random
        self._region_servers = region_servers
        self._copies = 0

    async def play(self, users: int, seconds: float) -> str:
        """One round, judged; the fleet runs before, and has stopped after it. Returns what was done, for people."""
        everybody = tuple(f"user-{self.number}-{at}" for at in range(users))
        chat = Chat(self._fleet, everybody, self._random, may_pend=True, patience_s=PATIENCE_S)
        chaos = Chaos(self._fleet, self._random, self._hbase, region_servers=self._region_servers)
        chat.is_up.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(chat.talk(senders_per_user=1))
            await chaos.run(seconds)
            chat.finish()
        self._copies += await check_everything(self._fleet, chat, self._random, others_copies=self._copies)
        self.number += 1
        return f"{chat.history}, {chat.looks} looks; {chaos}"
