"""A round of chaos: people chat through both API servers while things go wrong; then everybody is asked.

They send, edit, unsend and react, set conversations for themselves, and have groups, in which they do the same. Each
has a socket and long polls, some have an event stream, and each of these tells of all of it. Others beside them
(tests/integration/people) block one another, delete what they have, sign devices out, are pushed, and are there or not.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from tests.integration.cluster.support.chaos import Chaos
from tests.integration.cluster.support.fleet import Fleet
from tests.integration.cluster.support.socket_users import sockets_of
from tests.integration.people.choices import Choosing
from tests.integration.people.people import People
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
    choices: int = 0
    blocks: int = 0
    hidden: int = 0
    """Messages of somebody who was blocked."""
    deletions: int = 0
    """Of conversations."""
    devices: int = 0
    """That were signed out."""
    refusals: int = 0
    """Of their requests and sockets."""
    pushes: int = 0
    without_redis: list[tuple[int, int, float]] = field(default_factory=list)
    """How many requests were made while it was away, how many failed, and how many seconds later all was right."""
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
            self.choices + other.choices,
            self.blocks + other.blocks,
            self.hidden + other.hidden,
            self.deletions + other.deletions,
            self.devices + other.devices,
            self.refusals + other.refusals,
            self.pushes + other.pushes,
            self.without_redis + other.without_redis,
            self.moved_shards + other.moved_shards,
            self.faults + other.faults,
        )

    def __str__(self) -> str:
        faults = ", ".join(f"{times} x {name}" for name, times in sorted(self.faults.items()))
        return (
            f"{self.seconds:.0f} s, {self.sends:,} sends, {self.unknown_outcomes:,} unknown outcomes, "
            f"{self.looks:,} looks, {self.changes:,} edits, unsends and reactions, {self.of_groups:,} messages and "
            f"changes of {self.groups} groups, {self.changes_in_groups:,} edits, unsends and reactions in them, "
            f"{self.socket_calls:,} calls over sockets, {self.choices:,} conversations set, "
            f"{self.blocks:,} blocks that hid {self.hidden:,} messages for certain, {self.deletions:,} deletions, "
            f"{self.devices:,} devices signed out, which were refused {self.refusals:,} times, "
            f"{self.pushes:,} pushes, {_without_redis(self.without_redis)}, "
            f"{self.faults.total()} faults of {len(self.faults)} kinds: {faults}; "
            f"{self.moved_shards} shards came to where they were sent"
        )


def _without_redis(times: Sequence[tuple[int, int, float]]) -> str:
    told = ", ".join(
        f"{took_s:.1f} s behind an outage in which {failed} of {requests} requests failed"
        for requests, failed, took_s in times
    )
    return f"presence right {told}"


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
            choosing = Choosing(sockets, chat, chat.conversations, self._random)
            people = People(self._fleet, f"people-{self.number}", self._random, PATIENCE_S, LANDS_WITHIN_S, choosing)
            await people.begin()
            began_s = time.monotonic()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(chat.talk(senders_per_user=1))
                tasks.create_task(people.run())
                chosen = tasks.create_task(choosing.run(everybody))
                await chaos.run(seconds)
                took_s = time.monotonic() - began_s
                choosing.finish()
                await chosen
                chat.finish()
                await people.finish()
            followed = await sockets.come_to_the_head(PATIENCE_S)
        self._copies += await check_everything(
            self._fleet, chat, self._random, others_copies=self._copies, followed=followed, beside=[people.verdict]
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
            choosing.number,
            people.receiving.blocks,
            people.receiving.hidden,
            people.receiving.deletions,
            people.devices.signed_out,
            people.devices.refusals,
            people.pushes,
            [(people.watching.requests, people.watching.failed, people.watching.took_s or 0.0)],
            chaos.moved_shards,
            chaos.done,
        )
        self.done += done
        return done
