"""A cluster of three whole servers, in virtual time: from its sign-out on a device is refused by each of them, also
once its user has another owner, and once all have been started again.
"""

import asyncio

import pytest

from rowbox.cacheserver.access.revocations import Revocations
from rowbox.cacheserver.port import SIGNED_OUT, Changed, FetchMessages, Follow, Lost, Page, RegisterDevice, SignOut
from rowbox.mailbox.errors import SignedOut
from rowbox.mailbox.ids import shard_of
from rowbox.mailbox.revocation import Bearer
from tests.simulation.cluster.cluster import Hears, SimulatedCluster, Traits
from tests.simulation.cluster.killed import SHARDS, shared
from tests.simulation.cluster.machine import run_machines
from tests.simulation.cluster.server import Server
from tests.simulation.cluster.world import quiet_logs, seeded
from tests.support.cluster import UNLIMITED

WITHIN_S = 1.0
PHONE, LAPTOP = "phone", "laptop"
SEEDS = range(4)
"""Each is another network, other clocks, another owner that dies."""


class Told:
    """What somebody who follows is told, and when."""

    def __init__(self) -> None:
        self.lost: list[tuple[float, Lost]] = []

    def __call__(self, news: Changed | Lost) -> None:
        if isinstance(news, Lost) and news.is_over:
            self.lost.append((asyncio.get_running_loop().time(), news))


def bearer(device_id: str) -> Bearer:
    return Bearer("ann", device_id=device_id)


async def fetch(server: Server, device_id: str) -> Page:
    return await server.process.call(server.owner.fetch_messages(FetchMessages("ann", bearer=bearer(device_id))))


async def is_refused_by_all(cluster: SimulatedCluster) -> None:
    """And its laptop by nobody."""
    servers = list(cluster.servers.values())
    answers = await asyncio.gather(*(fetch(server, PHONE) for server in servers), return_exceptions=True)
    assert [type(answer) for answer in answers] == [SignedOut] * 3
    await asyncio.gather(*(fetch(server, LAPTOP) for server in servers))


async def play(seed: int) -> None:
    traits = Traits(3, SHARDS, are_unequal=False, judges_clock=False, hears=Hears.NOTHING, has_tokens=False)
    cluster = SimulatedCluster(seed, UNLIMITED, traits)
    cluster.is_faulty, cluster.moves_at_once = False, SHARDS
    servers = list(await asyncio.gather(*(cluster.start(name) for name in "abc")))
    owners = await shared(cluster)
    asked = servers[seed % 3]
    for device_id in (PHONE, LAPTOP):
        register = RegisterDevice("ann", device_id, "", "", bearer(device_id))
        await asked.process.call(asked.owner.register_device(register))
    told = [Told() for _ in servers]
    for server, one in zip(servers, told, strict=True):
        await server.process.call(server.owner.follow(Follow("ann", bearer(PHONE)), one))

    await asked.process.call(asked.owner.sign_out(SignOut("ann", PHONE, bearer=bearer(LAPTOP))))
    answered_s = asyncio.get_running_loop().time()
    await is_refused_by_all(cluster)
    assert asyncio.get_running_loop().time() < answered_s + WITHIN_S
    await asyncio.sleep(answered_s + WITHIN_S - asyncio.get_running_loop().time())
    assert [[news.reason for _, news in one.lost] for one in told] == [[SIGNED_OUT]] * 3

    owner = cluster.servers[owners[shard_of("ann", SHARDS)]]
    await owner.kill(silently=seed % 2 == 1)
    await cluster.start(owner.name)
    await is_refused_by_all(cluster)
    for name in "abc":
        await cluster.servers[name].close()
    for name in "abc":
        await cluster.start(name)
    await is_refused_by_all(cluster)
    await cluster.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_signed_out_device_is_refused_by_every_server_also_behind_restarts(seed: int) -> None:
    with quiet_logs(), seeded(seed):
        run_machines(play(seed))


@pytest.mark.parametrize("rule", ["_check_token", "changed"])
def test_without_the_rule_it_is_not(monkeypatch: pytest.MonkeyPatch, rule: str) -> None:
    """`_check_token` refuses requests where the mailbox is, `changed` ends what waits or follows."""
    monkeypatch.setattr(Revocations, rule, lambda *_: None)
    with quiet_logs(), seeded(0), pytest.raises(AssertionError):
        run_machines(play(0))
