"""A cluster of real processes on one HBase store: cache servers, API servers and a Redis, each in a place of its own.

Its clients know the API servers only, and ask them in turn. What the servers say to the store goes through proxies of
the test's process, which stand in a place of their own: a server can be cut off from the store as from any other.
"""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp

from rowbox.cacheserver.clocks import StoreClock, wall_clock_us
from rowbox.cacheserver.rpc.endpoint import TcpEndpoint
from rowbox.cacheserver.shardmap.map_store import MapStore
from rowbox.cacheserver.shardmap.shard_map import ShardMap
from rowbox.cli.data_dir import SIGNING_FILE
from rowbox.cli.secret import load_or_create, read_secret
from rowbox.mailbox.ids import shard_of
from tests.integration.cluster.support.network import TOOLS as NETWORK_TOOLS
from tests.integration.cluster.support.network import Network, Place, running_network
from tests.integration.cluster.support.redis_server import PORT as REDIS_PORT
from tests.integration.cluster.support.redis_server import RedisServer
from tests.integration.people.push_place import PushPlace, push_place
from tests.integration.support.client import Client
from tests.integration.support.hbase_server import opened
from tests.integration.support.server_process import DEADLINE_S, ROWBOX, Finished, ServerProcess, rowbox
from tests.support.hbase_cluster import HBase
from tests.support.tcp_proxy import TcpProxy, running_proxy

TOOLS: Final = (*NETWORK_TOOLS, "redis-server")
"""What a test that uses this has to name."""
CACHES: Final = 3
APIS: Final = 2
_API_PORT: Final = 8080
_ADMIN_PORT: Final = 8081
_PEER_PORT: Final = 7400
_GATEWAY_PORT: Final = 9090
_SECRET_BYTES: Final = 32
_STOP_S: Final = 60.0
_STARTS_S: Final = 4 * DEADLINE_S
"""After kill -9 of all, the next ones wait for leases to end."""
_LOOK_S: Final = 0.05
"""Between two looks at the map."""
_ANSWER_S: Final = 12.0
"""How long a client waits for one answer: more than a server's patience, and less than a paused one sleeps."""


class Machine(NamedTuple):
    """One server and where it runs. `name` is its node id."""

    name: str
    place: Place
    server: ServerProcess

    @property
    def peer(self) -> TcpEndpoint:
        """Where a cache server listens for the other servers."""
        return TcpEndpoint(self.place.address, _PEER_PORT)

    def install(self, command: Sequence[str]) -> None:
        """From its next start on this stands for `rowbox` in it."""
        self.server.install((*self.place.inside, *command))

    async def restart(self) -> None:
        """Stops it as an operator does, and starts it."""
        self.server.terminate()
        assert await self.server.ended(_STOP_S) == 0, self.server.lines
        await self.server.start(_STARTS_S)


class Fleet:
    """`running_fleet` starts one."""

    def __init__(
        self,
        network: Network,
        store: Place,
        gateways: Sequence[TcpProxy],
        caches: Sequence[Machine],
        apis: Sequence[Machine],
        redis: RedisServer,
        direct: Mapping[str, str],
        secret: bytes,
        maps: MapStore,
        session: aiohttp.ClientSession,
        push_place: PushPlace | None,
    ) -> None:
        self.network = network
        self.store = store
        """Where the gateways of HBase are."""
        self.gateways = gateways
        self.caches = caches
        self.apis = apis
        self.redis = redis
        self.settings = direct
        """The store's, for a verb that is run beside the network."""
        self.secret = secret
        """What the servers know of one another."""
        self.session = session
        self.push_place = push_place
        """Where devices are told of messages; None: nowhere."""
        self._maps = maps
        self.in_rotation = list(apis)
        """The API servers that clients ask: who stops one takes it out before, as a load balancer does."""
        self._turns = count()

    # ------------------------------------------------------------------ as one server (verdict.py, chat.py)

    @property
    def data_dir(self) -> Path:
        return self.caches[0].server.data_dir

    @property
    def machines(self) -> Sequence[Machine]:
        return [*self.caches, *self.apis]

    def client(self, user_id: str, api: Machine | None = None) -> Client:
        """Asks the API servers in turn, or always the same one."""
        url = self.next_url if api is None else lambda: api.server.url
        return Client(self.session, url, load_or_create(self.data_dir), user_id)

    def next_url(self) -> str:
        """Of the API server whose turn it is."""
        return self.in_rotation[next(self._turns) % len(self.in_rotation)].server.url

    def kill(self) -> None:
        """All servers at once."""
        for machine in self.machines:
            machine.server.kill()

    async def ended(self) -> None:
        """Returns when all have ended."""
        for machine in self.machines:
            await machine.server.ended()

    async def start(self) -> None:
        """Starts all servers, and returns when all are ready."""
        for machine in self.machines:
            await machine.server.launch()
        for machine in self.machines:
            await machine.server.ready(_STARTS_S)

    async def stop(self) -> None:
        """Ends all servers as an operator does, all at once."""
        for machine in self.machines:
            machine.server.terminate()
        for machine in self.machines:
            assert await machine.server.ended() == 0, machine.server.lines

    # ------------------------------------------------------------------ who owns what

    def cache(self, name: str) -> Machine:
        (found,) = (machine for machine in self.caches if machine.name == name)
        return found

    async def owners(self) -> list[str | None]:
        """The node id of each shard's owner, as the map says; None where nobody is."""
        return _owners((await self._maps.read()).map)

    async def owner_of(self, user_id: str) -> Machine:
        """Who owns a user, as the map says."""
        owners = await self.owners()
        name = owners[shard_of(user_id, len(owners))]
        assert name is not None
        return self.cache(name)

    async def comes_to(self, state: Callable[[list[str | None]], bool]) -> None:
        """Looks at the owners again and again, until they are as the test waits for."""
        await self._map_comes_to(lambda shard_map: state(_owners(shard_map)))

    async def shared(self) -> None:
        """Returns when every node owns shards, and none is on the move: they move from whoever starts first."""
        names = {one.name for one in self.caches}
        await self._map_comes_to(lambda shard_map: {*_owners(shard_map)} == names and not shard_map.moving)

    async def is_well(self) -> None:
        """Returns when every node owns shards, none is on the move, and each server says that it is ready."""
        await self.shared()
        for machine in self.machines:
            await machine.server.is_ready()

    async def _map_comes_to(self, state: Callable[[ShardMap], bool]) -> None:
        async with asyncio.timeout(4 * DEADLINE_S):
            while True:
                if state((await self._maps.read()).map):
                    return
                await asyncio.sleep(_LOOK_S)  # whoever looks all the time has the servers wait for the store

    async def users_by_owner(self, number: int) -> dict[str, list[str]]:
        """Names of so many users for each node that owns anything."""
        owners = await self.owners()
        found: dict[str, list[str]] = {name: [] for name in sorted({owner for owner in owners if owner is not None})}
        for at in count():
            if all(len(users) == number for users in found.values()):
                return found
            user_id = f"user-{at}"
            owner = owners[shard_of(user_id, len(owners))]
            assert owner is not None
            if len(found[owner]) < number:
                found[owner].append(user_id)
        raise AssertionError

    async def verb(self, *arguments: str) -> Finished:
        """Runs a verb on the cluster's store."""
        return await rowbox(*arguments, "--data-dir", self.data_dir, settings=self.settings)


def _owners(shard_map: ShardMap) -> list[str | None]:
    owners = map(shard_map.owner_of, range(shard_map.shards))
    return [owner.node_id if owner is not None else None for owner in owners]


@asynccontextmanager
async def running_fleet(
    hbase: HBase,
    store: Mapping[str, str],
    folder: Path,
    settings: Mapping[str, str],
    *,
    caches: int = CACHES,
    apis: int = APIS,
    rate_limits: bool = False,
    pushes: bool = False,
    commands: Mapping[str, Sequence[str]] | None = None,
) -> AsyncIterator[Fleet]:
    """All of it, ready. `store` are the store's settings, `commands` what stands for `rowbox` in the servers named;
    `pushes`: there are a push service and webhooks.

    Servers are named cache-1, cache-2, .., api-1, ..
    """
    secret = folder / "cluster-secret"
    secret.write_bytes(secrets.token_hex(_SECRET_BYTES).encode())
    secret.chmod(0o600)
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(running_network())
        store_place = await network.place("store")
        proxies = [
            await stack.enter_async_context(
                running_proxy(address, lambda port=port: network.listening(store_place, port))  # type: ignore[misc]
            )
            for port, address in enumerate(hbase.gateways, _GATEWAY_PORT)
        ]
        seen = hbase._replace(gateways=tuple(proxy.address for proxy in proxies))
        redis = RedisServer(await network.place("redis"), folder / "redis")
        await stack.enter_async_context(redis)
        told = await stack.enter_async_context(push_place(network, _made(folder / "push"))) if pushes else None
        prefix = store["ROWBOX_STORE_URL"].rpartition("/")[2]
        common = {
            **store,
            **settings,
            **(told.settings if told is not None else {}),
            "ROWBOX_STORE_URL": seen.url(prefix),
            "ROWBOX_RATE_LIMITS_ENABLED": str(rate_limits).lower(),
            "ROWBOX_CLUSTER_SECRET_FILE": str(secret),
            "ROWBOX_CLUSTER_REDIS_URL": f"redis://{redis.place.address}:{REDIS_PORT}/0",
        }
        names = [f"cache-{number}" for number in range(1, caches + 1)] + [
            f"api-{number}" for number in range(1, apis + 1)
        ]
        machines: list[Machine] = []
        for name in names:
            place = await network.place(name)
            inside = (*place.inside, *(told.inside if told is not None else ()))
            command = (*inside, *(commands or {}).get(name, (ROWBOX,)))
            server = _server(folder / name, place, name, common, command)
            load_or_create(server.data_dir) if not machines else _share_tokens(machines[0].server, server)
            machines.append(Machine(name, place, server))
        for machine in machines:
            await stack.enter_async_context(machine.server.unstarted())
        timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
        connector = aiohttp.TCPConnector(limit=0)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=timeout))
        direct = {**store, **settings}
        beside = await stack.enter_async_context(opened(direct))
        maps = MapStore(beside, "the test", StoreClock(wall_clock_us).next_ms)
        fleet = Fleet(
            network,
            store_place,
            proxies,
            machines[:caches],
            machines[caches:],
            redis,
            direct,
            read_secret(secret),
            maps,
            session,
            told,
        )
        await fleet.start()
        yield fleet


def _server(
    data_dir: Path, place: Place, name: str, common: Mapping[str, str], command: Sequence[str]
) -> ServerProcess:
    data_dir.mkdir()
    own = {"ROWBOX_SERVER_ADMIN_HOST": place.address}
    if name.startswith("cache"):
        peer = f"{place.address}:{_PEER_PORT}"
        own |= {"ROWBOX_CLUSTER_NODE_ID": name, "ROWBOX_CLUSTER_PEER_LISTEN": peer, "ROWBOX_SERVER_ROLE": "cache"}
    else:
        own |= {"ROWBOX_SERVER_ROLE": "api"}
    flags = (f"--host={place.address}", f"--port={_API_PORT}", f"--admin-port={_ADMIN_PORT}")
    return ServerProcess(data_dir, {**common, **own}, command=command, flags=flags)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _share_tokens(first: ServerProcess, other: ServerProcess) -> None:
    """A token that one signs is good at each."""
    shutil.copy(first.data_dir / SIGNING_FILE, other.data_dir)
