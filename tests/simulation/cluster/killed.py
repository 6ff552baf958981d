"""kill -9 of an owner in a cluster that is otherwise well, with the settings of a server by default: for how long its
users wait. Once and again, at any moment between two of its beats.
"""

import asyncio
from random import Random

from msgspec.structs import replace

from rowbox.mailbox.ids import shard_of
from rowbox.mailbox.settings.config import LeaseSettings
from tests.simulation.cluster.cluster import Hears, SimulatedCluster, Traits
from tests.simulation.cluster.machine import run_machines
from tests.simulation.cluster.server import ApiServer, Server
from tests.simulation.cluster.world import seeded
from tests.support.cluster import UNLIMITED

SERVERS, SHARDS = 3, 24
USERS = tuple(f"user {number}" for number in range(12))
ASKED_FOR = 3
"""Of the users of the killed owner."""
SETTLES_S = 3.0
WRITES_EVERY_S = 1.0
LOOKS_EVERY_S = 0.1


def waits_s(kills: int, seed: int) -> list[float]:
    """From each kill to the first answer to each of its users, in seconds, the shortest first."""
    waits: list[float] = []
    with seeded(seed):
        run_machines(_kill_owners(kills, seed, waits))
    return sorted(waits)


async def _kill_owners(kills: int, seed: int, waits: list[float]) -> None:
    traits = Traits(SERVERS, SHARDS, are_unequal=False, judges_clock=False, hears=Hears.NOTHING, has_tokens=False)
    cluster, dice = SimulatedCluster(seed, UNLIMITED, traits), Random(seed)
    cluster.settings = replace(cluster.settings, lease=LeaseSettings())
    cluster.is_faulty, cluster.moves_at_once = False, SHARDS
    await asyncio.gather(*(cluster.start(name) for name in "abc"))
    api = await cluster.start("api", ApiServer)
    for kill in range(kills):
        owners = await shared(cluster)
        await asyncio.sleep(dice.uniform(SETTLES_S, SETTLES_S + cluster.settings.lease.beat_ms / 1000))
        victim = cluster.servers[dice.choice(sorted(set(owners.values())))]
        users = [user for user in USERS if owners[shard_of(user, SHARDS)] == victim.name][:ASKED_FOR]
        others = [user for user in USERS if owners[shard_of(user, SHARDS)] != victim.name]
        await victim.kill(silently=False)
        writing = [asyncio.create_task(_keep_writing(api, user, users, dice)) for user in others]
        waits += await asyncio.gather(
            *(_answered_s(api, user, users[at - 1], f"{user} {kill}") for at, user in enumerate(users))
        )
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)
        await cluster.start(victim.name)
    await cluster.close()


async def shared(cluster: SimulatedCluster) -> dict[int, str]:
    """Who owns which shard, once each server owns some."""
    while True:
        owners = cluster.owners()
        if len(owners) == SHARDS and len(set(owners.values())) == SERVERS:
            return owners
        await asyncio.sleep(LOOKS_EVERY_S)


async def _answered_s(server: Server, user: str, recipient: str, client_message_id: str) -> float:
    began_s = asyncio.get_running_loop().time()
    await server.send(user, recipient, "text", client_message_id)
    return asyncio.get_running_loop().time() - began_s


async def _keep_writing(server: Server, user: str, recipients: list[str], dice: Random) -> None:
    """Of somebody whose owner lives, to those whose owner does not: what cannot be delivered is tried again."""
    while recipients:
        await asyncio.sleep(dice.uniform(0, WRITES_EVERY_S))
        await server.send(user, dice.choice(recipients), "text", f"{dice.getrandbits(64)}")
