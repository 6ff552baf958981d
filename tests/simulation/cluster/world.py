"""A seeded simulation of a whole cluster: clients that send, read, follow and mark through any of its servers, while
machines are suspended, die and come back, links break, the store stalls, and shards change hands.

What runs is what `rowbox serve` runs, over a network and a store that the seed decides (server.py). In the end all
faults cease; then every shard has an owner that lives, nobody waits, and every confirmed message is where it belongs.
"""

import asyncio
import logging
import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from random import Random
from unittest.mock import patch

import msgspec
from msgspec.structs import replace

from rowbox.cacheserver.delivery import recovery
from rowbox.cacheserver.port import SendResult
from rowbox.cacheserver.stores.mail_health import FADES_AFTER_S
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.settings.config import CommitSettings
from tests.checking import assert_no_findings
from tests.simulation.cluster.cluster import SimulatedCluster, drawn
from tests.simulation.cluster.live import UNTOLD_S, Live
from tests.simulation.cluster.machine import run_machines
from tests.simulation.cluster.server import Server
from tests.simulation.cluster.trouble import Trouble
from tests.simulation.history import History, Sending
from tests.simulation.world import USERS, World
from tests.support.cluster import CRAMPED, UNLIMITED, Node
from tests.support.process import ConnectionLost

STEPS = 5
"""What each client does."""
THINKS_S = 0.9
"""A client's pause between two requests, at most."""
LONGEST_S = 4.5
"""For so long things go wrong."""
ONE_IS_CUT_OFF = 50
"""Of so many seeds: in one story a server loses its links with the others, for longer than it owns shards without."""
LONG_STORY_S = (17.0, 25.0)
SETTLES_S = FADES_AFTER_S + 30.0
"""Within this time after the last fault every shard is owned again, and everything that waited is done. (A server whose
writes have failed leaves the mailboxes to others for FADES_AFTER_S.)"""
SCAN_PAUSE_S = 8.0
"""Between two scans for outboxes, in place of minutes."""
SCANS_S = 120.0
"""For some scans, and for the longest pause of what fails again and again."""
NARROW = replace(CRAMPED, commit=CommitSettings(delivery_bytes=6_000))
"""Queues in which few messages have room: what else is to be delivered is spilled."""
LOOKS_EVERY_S = 0.1
LIVE = 0.4
"""Of the simulations: users have clients that are told of changes. Rows that are followed are loaded although nobody
asks for them, which hides what a scan should find: the others have none."""


class ClusterWorld(World):
    """One simulation."""

    cluster: SimulatedCluster  # type: ignore[assignment]

    def __init__(self, seed: int) -> None:
        super().__init__(seed, late=True)
        self.history = History(USERS)
        self.is_healed = False
        self.is_busy = self.dice.random() < 0.4
        """A short story, in which shards move all the time under clients who do not pause."""
        self.has_long_cut = seed % ONE_IS_CUT_OFF == 3
        if self.has_long_cut:
            self.is_busy = False
        self.ends_in_the_dark = self.dice.random() < 0.3
        """Whether the last that goes wrong is a power cut, after which nobody asks for anything."""
        dice = Random(f"live {seed}")
        self.has_live = dice.random() < LIVE
        """Whether each user has a client that follows and is told."""
        self.live_dice = dice
        self.live: dict[Live, asyncio.Task[None]] = {}

    def run(self) -> list[str]:
        with seeded(self.seed), patch.object(recovery, "PAUSE_S", SCAN_PAUSE_S):
            try:
                run_machines(self._run())
            except BaseException as error:
                error.add_note(f"replay: python -m tests.simulation.cluster --first {self.seed} --seeds 1")
                raise
        return self.history.events

    def _make_cluster(self) -> SimulatedCluster:  # type: ignore[override]
        settings = self.dice.choice([CRAMPED, UNLIMITED, NARROW])
        return SimulatedCluster(self.dice.getrandbits(64), settings, drawn(self.seed, self.dice))

    def note(self, text: str) -> None:
        self.history.note(f"{asyncio.get_running_loop().time():.3f} {text}")

    async def _start_first(self) -> None:
        await self.cluster.start_first()

    # ------------------------------------------------------------------ what clients do

    def _asked(self) -> Server:
        return self.dice.choice(list(self.cluster.servers.values()))

    async def _client(self, user: str) -> None:
        steps = [self._send, self._send, self._send_some, self._read, self._mark, self._follow, self._ask_status]
        last = False
        for _ in range(STEPS * (12 if self.has_long_cut else 2 if self.is_busy else 1)):
            await asyncio.sleep(self.dice.uniform(0, THINKS_S) / (8 if self.is_busy or self.is_healed else 1))
            last = self.is_healed
            if last and self.ends_in_the_dark:
                return
            await self.dice.choice(steps)(user)
            if last:
                return  # nothing goes wrong any more: a whole request in that time is enough

    async def _poller(self, user: str) -> None:
        """See World. Once nothing goes wrong any more, one more poll is enough."""
        for _ in range(STEPS):
            last = self.is_healed
            if last and self.ends_in_the_dark:
                return
            await self._poll(user, self.followers[user], 100 if last else self.dice.choice([0, 100, 2000]))
            if last:
                return

    async def _send_some(self, user: str) -> None:
        """Several at one server, without waiting for answers: those that it confirms are in the order of their sends,
        whatever was refused or lost meanwhile, but a token: then the client itself sends again.

        What is not confirmed is sent again by a client that waits, one after the other.
        """
        server, recipient, sendings = self._asked(), self.dice.choice(USERS), []
        if not server.process.is_alive:
            return
        for _ in range(3):
            self.serial += 1
            sending = Sending(user, recipient, f"text {self.serial}", f"c{self.serial}")
            self.history.begin(sending, self._earliest_us())
            sendings.append(sending)
        self.note(f"{user} sends {[one.client_id for one in sendings]} to {recipient} by {server.machine.name}")
        before = self._refused_tokens
        answers = await asyncio.gather(
            *(self._ask_to_send(server, sending) for sending in sendings), return_exceptions=True
        )
        confirmed: list[Sending] = []
        for sending, answer in zip(sendings, answers, strict=True):
            if isinstance(answer, SendResult):
                self.history.confirm(sending, answer)
                confirmed.append(sending)
            elif not isinstance(answer, RowboxError | ConnectionLost):
                raise answer
        ids = [sending.id for sending in confirmed]
        if ids != sorted(ids) and before == self._refused_tokens:
            raise self.history.violated("P3", f"{[one.client_id for one in confirmed]} are out of order: {ids}")
        for sending in sendings:
            if sending not in confirmed:
                await self._send_until_confirmed(sending)

    def _earliest_us(self) -> int:
        """A server that starts when nobody's clock is believed any more has nothing to doubt its own clock by."""
        return min((self.cluster.clock.now_us(), *self.cluster.believed_us()))

    async def _ask_to_send(self, node: Node, sending: Sending) -> SendResult:
        result = await super()._ask_to_send(node, sending)
        sending.asked_us = min(sending.asked_us, self._earliest_us())
        return result

    @property
    def _refused_tokens(self) -> int:
        return 0 if self.cluster.tokens is None else self.cluster.tokens.refused

    # ------------------------------------------------------------------ the end

    async def _run(self) -> None:
        self.cluster = self._make_cluster()
        self.trouble = Trouble(self.cluster, self.history, self.dice, is_busy=self.is_busy, cuts_long=self.has_long_cut)
        await self._start_first()
        if self.has_live:
            live = [Live(self.cluster, self.history, user, Random(self.live_dice.getrandbits(64))) for user in USERS]
            self.live = {one: asyncio.create_task(one.run()) for one in live}
        clients = [asyncio.create_task(self._client(user)) for user in USERS for _ in range(2)]
        clients += [asyncio.create_task(self._poller(user)) for user in USERS]
        watch = asyncio.create_task(self._watch())
        try:
            is_short = self.is_busy or self.cluster.traits.is_large
            lasts_s = self.dice.uniform(1.5, LONGEST_S) / (3 if is_short else 1)
            if self.has_long_cut:
                lasts_s = self.dice.uniform(*LONG_STORY_S)
            await self.trouble.last_for(lasts_s, clients)
            await self._heal()
            done, late = await asyncio.wait([*clients, watch], timeout=SETTLES_S)
            for task in (*clients, watch):
                if task in done:
                    task.result()
            if late:
                raise self.history.violated("liveness", f"{len(late)} clients get no answer: {self._is_served()}")
        finally:
            for task in (*clients, watch):
                task.cancel()
            await asyncio.gather(*clients, watch, return_exceptions=True)
        if self.ends_in_the_dark:
            await self._end_live()
            await self.trouble.cut_the_power()
        await self._come_to_rest()
        await self._check_the_end()
        await self._check_live()
        await self.cluster.close()
        await assert_no_findings(self.cluster.store, self.cluster.settings, self.cluster.clock.now_us())

    async def _end_live(self) -> None:
        """Nobody is told anything any more. Violation where somebody was told what he should not."""
        for task in self.live.values():
            task.cancel()
        for ended in await asyncio.gather(*self.live.values(), return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    async def _check_live(self) -> None:
        """Whoever is told has everything, although he never asks by himself."""
        for live in self.live:
            if self.ends_in_the_dark:
                await live.client.follow(self.newest_node, 7, 1 << 18)
            for _ in range(0 if self.ends_in_the_dark else UNTOLD_S):
                if await self._has_all(live):
                    break
                await asyncio.sleep(1.0)
            if not await self._has_all(live):
                text = f"what {live.client.user} was told of is not what a fresh fetch shows"
                raise self.history.violated("P4", text)
        await self._end_live()

    async def _has_all(self, live: Live) -> bool:
        try:
            await live.client.holds_what_a_fresh_fetch_shows(self.newest_node, 0)
        except AssertionError:
            return False
        return True

    async def _watch(self) -> None:
        """No shard ever has two owners that would answer."""
        loop = asyncio.get_running_loop()
        while not self.is_healed:
            await asyncio.sleep(LOOKS_EVERY_S)
            answering: dict[int, str] = {}
            for server in self.cluster.cache_servers:
                for shard in server.answers_for():
                    other = answering.setdefault(shard, server.name)
                    if other != server.name:
                        text = f"{loop.time():.3f} {other} and {server.name} answer for shard {shard}"
                        raise self.history.violated("P5", text)

    async def _heal(self) -> None:
        """No more faults: what has ended starts again, what was late lands."""
        self.note("no more faults")
        cluster = self.cluster
        cluster.is_faulty = False
        cluster.network.heal()
        cluster.network.slow.clear()
        cluster.silence(range(0), 0.0)
        for server in tuple(cluster.servers.values()):
            for path in server.paths:
                path.store.faults.clear()
                path.is_cut, path.stalled_until_s = False, 0.0
            if server.machine.is_suspended and server.machine.is_alive:
                server.machine.wake()
            if server.is_closed:
                if server.machine.is_alive:
                    await server.kill(silently=False)
                await self.trouble.start_again(server)
        cluster.store.land()
        if self.cluster.judges_clock:
            self.trouble.clocks_off.clear()
            await self.cluster.set_clocks_right()
        self.is_healed = True

    async def _come_to_rest(self) -> None:
        """Within SETTLES_S all shards are owned, and nothing waits any more."""
        for server in tuple(self.cluster.servers.values()):  # who shares a load that a stall has caught fails with it
            for path in server.paths:
                await path.outlast()
        await self._until(self._is_served, "not every shard has one owner that lives", SETTLES_S)
        self.cluster.store.land()
        with suppress(TimeoutError):  # what was not confirmed may be an invalid cell: the mailboxes will say
            async with asyncio.timeout(SCANS_S):
                await self._until(self._is_settled, "", 2 * SCANS_S)
        if why := self._is_delivered():
            raise self.history.violated("P1", f"not delivered after {SCANS_S} s: {why}")
        await self._until(self._is_quiet, "something waits still", SETTLES_S)

    async def _until(self, why_not: Callable[[], str], what: str, most_s: float) -> None:
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + most_s
        while why := why_not():
            if loop.time() >= ends_s:
                raise self.history.violated("liveness", f"{what}: {why}")
            await asyncio.sleep(0.5)

    def _is_served(self) -> str:
        owners = self.cluster.owners()
        unready = {one.name: one.routing.router.unready_reasons() for one in self.cluster.servers.values()}
        is_well = len(owners) == self.cluster.traits.shards and not any(unready.values())
        return "" if is_well else f"{owners} own; unready: {unready}"

    def _is_delivered(self) -> str:
        return self._is_settled(only_confirmed=True)

    def _is_settled(self, *, only_confirmed: bool = False) -> str:
        """By the rows themselves, because nobody asks for a mailbox before all is delivered."""
        cells = self.cluster.store.cells
        texts = {
            user: b"".join(
                value for _, value in cells.columns(row_key(user, self.cluster.traits.shards), Family.MESSAGES)
            )
            for user in USERS
        }
        for sending in self.history.sendings.values():
            packed = msgspec.msgpack.encode(sending.content)
            found = {packed in texts[sending.sender], packed in texts[sending.recipient]}
            is_well = found == {True} if sending.result is not None else only_confirmed or len(found) == 1
            if not is_well:
                return f"{sending.client_id} of {sending.sender} to {sending.recipient}"
        return ""

    def _is_quiet(self) -> str:
        for server in self.cluster.servers.values():
            if len(server.routing.router.lines):
                return f"the lines of {server.name} have {len(server.routing.router.lines)} users"
        for one in self.cluster.cache_servers:
            owner = one.node.owner
            if owner is not None and owner.delivery.pending:
                return f"{one.name} has {owner.delivery.pending} messages to deliver"
        return ""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """What is drawn by chance is drawn by the seed."""
    with ExitStack() as stack:
        for name, draw in _drawn_by(Random(seed)).items():
            stack.enter_context(patch.object(secrets, name, draw))
        stack.callback(random.setstate, random.getstate())
        random.seed(seed)
        yield


def _drawn_by(entropy: Random) -> dict[str, Callable[[int], object]]:
    def token_bytes(count: int = 32) -> bytes:
        return entropy.getrandbits(8 * count).to_bytes(count)

    def token_hex(count: int = 32) -> str:
        return token_bytes(count).hex()

    return {"randbits": entropy.getrandbits, "token_bytes": token_bytes, "token_hex": token_hex}


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Servers in trouble say much."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
