"""A round of chaos: people chat through both API servers while things go wrong; then everybody is asked.

They send, edit, unsend and react, and have groups, in which they do the same. Each has a socket and long polls, some
have an event stream, and each of these tells of all of it.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from tests.integration.cluster.support.chaos import Chaos
from tests.integration.cluster.support.fleet import Fleet
from tests.integration.cluster.support.socket_users import sockets_of
from tests.integration.support.chat import Chat
from tests.integration.support.verdict import check_everything
from tests.support.hbase_cluster import HBaseCluster

PATIENCE_S = 600.0
"""For one request, asked again and again while faults go on. On a machine with fifteen times the work that it has cores
for, HBase took three minutes to bring the regions of a killed server to the other one.
"""
LANDS_WITHIN_S = 15.0
"""A server has patience for 10 s, so a try that a client gave up is not done later than that."""
SMALL = {"ROWBOX_CACHE_BYTES": "2MiB", "ROWBOX_CACHE_WINDOW_MESSAGES": "8"}
"""So that mailboxes leave the memory, and come back."""


@dataclass
class Done:
    """What one round was, or several: for people."""

    seconds: float = 0.0
    """Under faults, without the verdict."""
    sends: int = 0
    unknown_outcomes: int = 0
    looks: int = 0
    changes: int = 0
    of_groups: int = 0
    """Messages to groups, and changes of them."""
    changes_in_groups: int = 0
    """Of messages."""
    groups: int = 0
    socket_calls: int = 0
    moved_shards: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Done") -> "Done":
        return Done(
            self.seconds + other.seconds,
            self.sends + other.sends,
            self.unknown_outcomes + other.unknown_outcomes,
            self.looks + other.looks,
            self.changes + other.changes,
            self.of_groups + other.of_groups,
            self.changes_in_groups + other.changes_in_groups,
            self.groups + other.groups,
            self.socket_calls + other.socket_calls,
            self.moved_shards + other.moved_shards,
            self.faults + other.faults,
        )

    def __str__(self) -> str:
        faults = ", ".join(f"{times} x {name}" for name, times in sorted(self.faults.items()))
        return (
            f"{self.seconds:.0f} s, {self.sends:,} sends, {self.unknown_outcomes:,} unknown outcomes, "
            f"{self.looks:,} looks, {self.changes:,} edits, unsends and reactions, {self.of_groups:,} messages and "
            f"changes of {self.groups} groups, {self.changes_in_groups:,} edits, unsends and reactions in them, "
            f"{self.socket_calls:,} calls over sockets, "
            f"{self.faults.total()} faults of {len(self.faults)} kinds: {faults}; "
            f"{self.moved_shards} shards came to where they were sent"
        )


class Rounds:
    """All that are played over one store, each with users of its own."""

    def __init__(self, fleet: Fleet, hbase: HBaseCluster, random: Random, *, region_servers: bool = False) -> None:
        """`region_servers`: those are killed as well."""
        self.number = 0
        self.done = Done()
        """All of them together."""
        self._fleet = fleet
        self._hbase = hbase
        self._random = random
        self._region_servers = region_servers
        self._copies = 0

    async def play(self, users: int, seconds: float) -> Done:
        """One round, judged; the fleet runs before, and has stopped after it."""
        everybody = tuple(f"user-{self.number}-{at}" for at in range(users))
        chaos = Chaos(self._fleet, self._random, self._hbase, region_servers=self._region_servers)
        async with sockets_of(self._fleet, everybody, self._random) as sockets:
            chat = Chat(
                sockets,
                everybody,
                self._random,
                may_pend=True,
                patience_s=PATIENCE_S,
                lands_within_s=LANDS_WITHIN_S,
                changes=True,
                groups=True,
            )
            chat.is_up.set()
            began_s = time.monotonic()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(chat.talk(senders_per_user=1))
                await chaos.run(seconds)
                took_s = time.monotonic() - began_s
                chat.finish()
            followed = await sockets.come_to_the_head(PATIENCE_S)
        self._copies += await check_everything(
            self._fleet, chat, self._random, others_copies=self._copies, followed=followed
        )
        self.number += 1
        assert chat.changing is not None
        assert chat.groups is not None
        done = Done(
            took_s,
            len(chat.history.sends),
            chat.history.unknown_outcomes,
            chat.looks,
            len(chat.changing.history.changes),
            chat.groups.asked,
            chat.groups.changed,
            len(chat.groups.histories),
            sockets.calls,
            chaos.moved_shards,
            chaos.done,
        )
        self.done += done
        return done
