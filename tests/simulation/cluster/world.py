"""A seeded simulation of a whole cluster: clients that send, read, follow and mark through any of its servers, while
machines are suspended, die and come back, links break, the store stalls, and shards change hands.

What runs is what `rowbox serve` runs, over a network and a store that the seed decides (server.py). In the end all
faults cease; then every shard has an owner that lives, nobody waits, and every confirmed message is where it belongs.
"""

import asyncio
import logging
import random
import secrets
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from random import Random
from unittest.mock import patch

import msgspec
from msgspec.structs import replace

from rowbox.cacheserver.clocks import StoreClock
from rowbox.cacheserver.port import SendResult
from rowbox.cacheserver.routing.refusal import Until
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.shardmap.shard_map import NO_WISH, ShardMap, Wish
from rowbox.cacheserver.stores.mail_health import FADES_AFTER_S
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.hbase_schema.families import Family, ttl_ms
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.settings.config import LeaseSettings, Settings
from tests.checking import assert_no_findings
from tests.simulation.cluster.machine import MachinesLoop, run_machines
from tests.simulation.cluster.network import Network
from tests.simulation.cluster.server import ApiServer, CacheServer, Server, Surroundings
from tests.simulation.history import History, Sending
from tests.simulation.world import LATE_FAULTS, USERS, World
from tests.support.cluster import CRAMPED, UNLIMITED, Node
from tests.support.process import ConnectionLost, install
from tests.support.virtual_time import WallClock

SHARDS = 8
STEPS = 6
"""What each client does."""
THINKS_S = 1.2
"""A client's pause between two requests, at most."""
FAULTS = {fault: chance / 2 for fault, chance in LATE_FAULTS.items()}
LONGEST_S = 8.0
"""For so long things go wrong."""
SETTLES_S = FADES_AFTER_S + 30.0
"""Within this time after the last fault every shard is owned again, and everything that waited is done. (A server whose
writes have failed leaves the mailboxes to others for FADES_AFTER_S.)"""
SCANS_S = 400.0
"""For two scans for outboxes."""
LOOKS_EVERY_S = 0.1
LEASE = LeaseSettings(ttl_ms=1500, margin_ms=200, beat_ms=500)
"""Everything that goes by it (how long a fault lasts, how long a client thinks) is shorter than in a real cluster as
well: a story of six seconds has three takeovers in it, and costs what six seconds cost."""
NAMES = "abcdefghijklmnopqrst"


class SimulatedCluster(Surroundings):
    """The servers over one store. It has what the clients of a World ask of a cluster."""

    judges_clock = False
    late = True

    def __init__(self, seed: int, settings: Settings) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, MachinesLoop)
        install()
        self.dice = Random(seed)
        self.settings = replace(settings, lease=LEASE)
        self.moves_at_once = self.dice.choice([1, 2, 4])
        self.clock = WallClock()
        self._clocks: dict[str, WallClock] = {}
        self._network = loop.network = Network(Random(self.dice.getrandbits(64)))
        self.store = MemoryStore(SHARDS, ttl_ms(settings.store), late_writes=True, now_ms=self.clock.now_ms)
        self.servers: dict[str, Server] = {}
        """By name: the newest life of each."""
        self.is_faulty = True

    @property
    def network(self) -> Network:
        return self._network

    def clock_of(self, name: str) -> WallClock:
        return self._clocks.setdefault(name, WallClock())

    async def start(self, name: str, kind: type[Server] = CacheServer) -> Server:
        server = kind(self, name)
        if self.is_faulty:
            for path in server.paths:
                path.store.faults.roll(self.dice.getrandbits(32), FAULTS, read_chance=0.02)
        try:
            await server.begin()
        except asyncio.CancelledError:
            await server.kill(silently=False)
            raise
        self.servers[name] = server
        return server

    @property
    def nodes(self) -> list[Node]:
        return list(self.servers.values())

    @property
    def node(self) -> Node:
        return self.dice.choice(self.nodes)

    @property
    def cache_servers(self) -> list[CacheServer]:
        return [one for one in self.servers.values() if isinstance(one, CacheServer)]

    def stall(self, ends_s: float) -> None:
        for server in self.servers.values():
            for path in server.paths:
                path.stalled_until_s = max(path.stalled_until_s, ends_s)

    def owners(self) -> dict[int, str]:
        """Who answers for each shard."""
        return {shard: server.name for server in self.cache_servers for shard in server.answers_for()}

    async def close(self) -> None:
        for server in self.servers.values():
            if server.machine.is_alive:
                await server.close()


class ClusterWorld(World):
    """One simulation."""

    cluster: SimulatedCluster  # type: ignore[assignment]

    def __init__(self, seed: int) -> None:
        super().__init__(seed, late=True)
        self.history = History(USERS)
        self.pending: set[asyncio.Task[None]] = set()
        self.is_healed = False
        self.is_busy = self.dice.random() < 0.4
        """A short story, in which shards move all the time under clients who do not pause."""

    def run(self) -> list[str]:
        with ExitStack() as stack:
            for name, draw in _drawn_by(Random(self.seed)).items():
                stack.enter_context(patch.object(secrets, name, draw))
            state = random.getstate()
            stack.callback(random.setstate, state)
            random.seed(self.seed)
            try:
                run_machines(self._run())
            except BaseException as error:
                error.add_note(f"replay: python -m tests.simulation.cluster --first {self.seed} --seeds 1")
                raise
        return self.history.events

    def _make_cluster(self) -> SimulatedCluster:  # type: ignore[override]
        return SimulatedCluster(self.dice.getrandbits(64), self.dice.choice([CRAMPED, UNLIMITED]))

    def note(self, text: str) -> None:
        self.history.note(f"{asyncio.get_running_loop().time():.3f} {text}")

    async def _start_first(self) -> None:
        count = self.dice.choice([3, 3, 3, 4, 5])
        await asyncio.gather(*(self.cluster.start(name) for name in NAMES[:count]))
        if self.dice.random() < 0.5:
            await self.cluster.start("api", ApiServer)

    # ------------------------------------------------------------------ what goes wrong

    async def _trouble(self) -> None:
        kinds: list[tuple[Callable[[], Coroutine[None, None, None]], int]] = [
            (self._land, 4),
            (self._stall, 2),
            (self._die, 3),
            (self._suspend, 3),
            (self._stop, 2),
            (self._restart_all, 1),
            (self._cut, 3),
            (self._cut_from_store, 2),
            (self._reset, 3),
            (self._slow, 1),
            (self._join, 2),
            (self._move, 4),
            (self._drain, 1),
            (self._pin, 2),
            (self._step_clock_of_one, 1),
        ]
        kinds = self.dice.sample(kinds, self.dice.randint(2, 6))
        if self.is_busy:
            kinds = [(self._move, 30), (self._land, 4), *kinds[:2]]
        while True:
            await asyncio.sleep(self.dice.expovariate(10.0 if self.is_busy else 1.8))
            (kind,) = self.dice.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])
            task = asyncio.create_task(kind())
            self.pending.add(task)
            task.add_done_callback(self.pending.discard)

    def _one(self) -> Server | None:
        there = [server for server in self.cluster.servers.values() if server.is_there]
        return self.dice.choice(there) if there else None

    async def _stall(self) -> None:
        """The store answers nobody for a while; some calls are given up, and may have been executed."""
        seconds = self.dice.choice([0.1, 0.7, 1.8, 3.0])
        self.note(f"the store stalls for {seconds} s")
        self.cluster.stall(asyncio.get_running_loop().time() + seconds)

    async def _die(self) -> None:
        if (server := self._one()) is not None:
            await self._kill_one(server)
            await asyncio.sleep(self.dice.choice([0.0, 0.2, 1.0, 3.0]))
            await self._start_again(server)

    async def _kill_one(self, server: Server) -> None:
        self.note(f"{server.name} dies")
        server.is_closed = True
        await server.kill(silently=self.dice.random() < 0.5)

    async def _start_again(self, server: Server) -> None:
        if self.cluster.servers[server.name] is server:
            self.note(f"{server.name} starts")
            await self.cluster.start(server.name, type(server))

    async def _suspend(self) -> None:
        if (server := self._one()) is not None:
            seconds = self.dice.choice([0.1, 0.8, 2.0, 3.5])
            self.note(f"{server.name} is suspended for {seconds} s")
            server.machine.suspend()
            await asyncio.sleep(seconds)
            if server.machine.is_alive:
                self.note(f"{server.name} wakes")
                server.machine.wake()

    async def _stop(self) -> None:
        if (server := self._one()) is not None:
            await self._stop_one(server)
            await self._start_again(server)

    async def _stop_one(self, server: Server) -> None:
        self.note(f"{server.name} is stopped")
        server.is_closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(4.0):
                await server.close()
        if server.machine.is_alive:
            await server.kill(silently=False)
        self.note(f"{server.name} has ended")

    async def _restart_all(self) -> None:
        servers = [server for server in self.cluster.servers.values() if server.is_there]
        self.note("everybody restarts")
        one = self._kill_one if self.dice.random() < 0.5 else self._stop_one
        await asyncio.gather(*(one(server) for server in servers))
        for server in servers:
            await asyncio.sleep(self.dice.choice([0.0, 0.1, 0.8]))
            await self._start_again(server)

    def _two(self) -> tuple[str, str] | None:
        names = list(self.cluster.servers)
        return tuple(self.dice.sample(names, 2)) if len(names) > 1 else None  # type: ignore[return-value]

    async def _cut(self) -> None:
        if (pair := self._two()) is not None:
            ways = [pair] if self.dice.random() < 0.5 else [pair, pair[::-1]]
            self.note(f"cut: {ways}")
            for way in ways:
                self.cluster.network.cut(*way)
            await asyncio.sleep(self.dice.choice([0.2, 1.2, 2.5]))
            for way in ways:
                self.cluster.network.heal(*way)

    async def _cut_from_store(self) -> None:
        if (server := self._one()) is not None:
            paths = self.dice.choice([server.paths, server.paths[:1], server.paths[1:]])
            seconds = self.dice.choice([0.2, 1.2, 2.5])
            self.note(f"{server.name} is cut off from {len(paths)} of the store for {seconds} s")
            for path in paths:
                path.is_cut = True
            await asyncio.sleep(seconds)
            for path in paths:
                path.is_cut = False

    async def _reset(self) -> None:
        self.note("a connection breaks")
        self.cluster.network.reset_one()

    async def _slow(self) -> None:
        if (server := self._one()) is not None:
            self.cluster.network.slow.add(server.name)
            await asyncio.sleep(self.dice.uniform(0.2, 2.0))
            self.cluster.network.slow.discard(server.name)

    async def _join(self) -> None:
        free = [name for name in NAMES[:6] if name not in self.cluster.servers]
        if free:
            self.note(f"{free[0]} joins")
            await self.cluster.start(free[0])

    async def _change_map(self, what: str, edit: Callable[[ShardMap], ShardMap | None]) -> None:
        """As an operator's command does."""
        server = self._one()
        if server is None:
            return
        self.note(what)
        name = f"operator-{self.dice.getrandbits(32):08x}"
        maps = MapStore(server.cells, name, StoreClock(self.cluster.clock.now_us).next_ms)
        with suppress(RowboxError):
            await maps.change(edit)

    async def _move(self) -> None:
        """Some shards of one server are to go to another one."""
        dice = Random(self.dice.getrandbits(32))

        def edit(standing: ShardMap) -> ShardMap | None:
            if len(standing.nodes) < 2:
                return None
            source, target = dice.sample([node.incarnation for node in standing.nodes], 2)
            shards = [shard for shard in standing.shards_of(source) if dice.random() < 0.6]
            return standing.next().sending(shards, target) if shards else None

        await self._change_map("a move", edit)

    async def _drain(self) -> None:
        name = self.dice.choice(list(self.cluster.servers))
        await self._change_map(f"{name} is drained", lambda now: now.next().wishing(name, Wish(draining=True)))
        await asyncio.sleep(self.dice.uniform(0.5, 3.0))
        await self._change_map(f"{name} is not drained any more", lambda now: now.next().wishing(name, NO_WISH))

    async def _pin(self) -> None:
        shard, name = self.dice.randrange(SHARDS), self.dice.choice([None, *self.cluster.servers])
        await self._change_map(f"shard {shard} is pinned to {name}", lambda now: now.next().pinning([shard], name))

    async def _step_clock_of_one(self) -> None:
        """By less than what puts a clock in doubt."""
        if (server := self._one()) is not None:
            server.clock.jump(self.dice.uniform(-2, 2))

    async def _land(self) -> None:
        store = self.cluster.store
        if store.late_count:
            store.land_one(self.dice.randrange(store.late_count))
        if self.dice.random() < 0.2:
            store.compact()

    # ------------------------------------------------------------------ what clients do

    def _asked(self) -> Server:
        return self.dice.choice(list(self.cluster.servers.values()))

    async def _client(self, user: str) -> None:
        steps = [self._send, self._send, self._send_some, self._read, self._mark, self._follow, self._ask_status]
        for _ in range(2 * STEPS if self.is_busy else STEPS):
            await asyncio.sleep(self.dice.uniform(0, THINKS_S) / (8 if self.is_busy else 1))
            await self.dice.choice(steps)(user)

    async def _send_some(self, user: str) -> None:
        """Several at one server, without waiting for answers: those that it confirms are in the order of their sends,
        unless the store failed, or a lease was over: then one of them may have ended with an error at its owner.

        What is not confirmed is sent again by a client that waits, one after the other.
        """
        server, recipient, sendings = self._asked(), self.dice.choice(USERS), []
        if not server.process.is_alive:
            return
        for _ in range(3):
            self.serial += 1
            sending = Sending(user, recipient, f"text {self.serial}", f"c{self.serial}")
            self.history.begin(sending, self.cluster.clock.now_us())
            sendings.append(sending)
        self.note(f"{user} sends {[one.client_id for one in sendings]} to {recipient} by {server.machine.name}")
        before = self._excuses(server)
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
        if ids != sorted(ids) and before == self._excuses(server):
            raise self.history.violated("P3", f"{[one.client_id for one in confirmed]} are out of order: {ids}")
        for sending in sendings:
            if sending not in confirmed:
                await self._send_until_confirmed(sending)

    def _excuses(self, server: Server) -> tuple[int, int]:
        return self.cluster.failures, server.routing.router.sent_again.get(Until.PAUSE, 0)

    # ------------------------------------------------------------------ the end

    async def _run(self) -> None:
        self.cluster = self._make_cluster()
        await self._start_first()
        clients = [asyncio.create_task(self._client(user)) for user in USERS for _ in range(2)]
        clients += [asyncio.create_task(self._poller(user)) for user in USERS]
        clients.append(asyncio.create_task(self._watch()))
        try:
            await self._trouble_for(self.dice.uniform(2.0, LONGEST_S) / (3 if self.is_busy else 1))
            await self._heal()
            done, late = await asyncio.wait(clients, timeout=SETTLES_S)
            for client in done:
                client.result()
            if late:
                raise self.history.violated("liveness", f"{len(late)} clients get no answer: {self._is_served()}")
        finally:
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
        await self._come_to_rest()
        await self._check_the_end()
        await self.cluster.close()
        await assert_no_findings(self.cluster.store, self.cluster.settings, self.cluster.clock.now_us())

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

    async def _trouble_for(self, seconds: float) -> None:
        trouble = asyncio.create_task(self._trouble())
        await asyncio.wait([trouble], timeout=seconds)
        trouble.cancel()
        for task in (trouble, *self.pending):
            task.cancel()
        for result in await asyncio.gather(trouble, *self.pending, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    async def _heal(self) -> None:
        """No more faults: what has ended starts again, what was late lands."""
        self.note("no more faults")
        cluster = self.cluster
        cluster.is_faulty = False
        cluster.network.heal()
        cluster.network.slow.clear()
        for server in tuple(cluster.servers.values()):
            for path in server.paths:
                path.store.faults.clear()
                path.is_cut, path.stalled_until_s = False, 0.0
            if server.machine.is_suspended and server.machine.is_alive:
                server.machine.wake()
            if server.is_closed:
                if server.machine.is_alive:
                    await server.kill(silently=False)
                await self._start_again(server)
        cluster.store.land()
        self.is_healed = True

    async def _come_to_rest(self) -> None:
        """Within SETTLES_S all shards are owned, and nothing waits any more."""
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
        is_well = len(owners) == SHARDS and not any(unready.values())
        return "" if is_well else f"{owners} own; unready: {unready}"

    def _is_delivered(self) -> str:
        return self._is_settled(only_confirmed=True)

    def _is_settled(self, *, only_confirmed: bool = False) -> str:
        """By the rows themselves, because nobody asks for a mailbox before all is delivered."""
        cells = self.cluster.store.cells
        texts = {
            user: b"".join(value for _, value in cells.columns(row_key(user, SHARDS), Family.MESSAGES))
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
