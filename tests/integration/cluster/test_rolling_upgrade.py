"""A cluster of the version before becomes one of this version, server by server, and two go back on the way.

Its users chat all the while. No request fails, and what they were told is what they find in the end. With its last
server a cluster has switched on what all know (cacheserver/features.py), so none goes back from then on.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from rowbox.cacheserver.rpc.calls import CallSpec, Lane
from rowbox.cacheserver.rpc.handshake import Identity
from rowbox.cacheserver.rpc.peer import Peer
from rowbox.mailbox.errors import UnknownCall
from rowbox.mailbox.settings.config import ClusterSettings
from tests.integration.cluster.support.fleet import TOOLS, Fleet, Machine, running_fleet
from tests.integration.cluster.support.versions import exported, previous_version
from tests.integration.support.chat import Chat, seeded_random
from tests.integration.support.hbase_server import made_store
from tests.integration.support.server_process import DEADLINE_S, ROWBOX
from tests.integration.support.verdict import check_everything
from tests.support.hbase_cluster import HBase

pytestmark = [pytest.mark.integration, pytest.mark.tools("git", *TOOLS)]

USERS = tuple(f"user-{number}" for number in range(6))
UNHURRIED = {"ROWBOX_LEASE_TTL_MS": "10000", "ROWBOX_CLUSTER_PATIENCE_MS": "10000"}
"""A machine that is too busy to beat for seconds is no fault of an upgrade."""
CALL_TO_COME = CallSpec("call_to_come", str, str, Lane.REQUESTS, writes=True)
"""One that no version has."""


@pytest.mark.timeout(600)
async def test_no_request_fails_and_nothing_is_lost(hbase: HBase, tmp_path: Path) -> None:
    version = previous_version()
    before, this = exported(version, tmp_path / "before"), (ROWBOX,)
    random = seeded_random()
    every = [f"cache-{number}" for number in range(1, 4)] + ["api-1", "api-2"]
    with made_store(hbase) as store:
        async with running_fleet(hbase, store, tmp_path, UNHURRIED, commands=dict.fromkeys(every, before)) as fleet:
            await fleet.is_well()
            chat = Chat(fleet, USERS, random, may_pend=True, receipts=False)
            chat.is_up.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(chat.talk(senders_per_user=1))
                with pytest.raises(UnknownCall):
                    await ask(fleet, fleet.caches[0], CALL_TO_COME)
                *most, last = (*fleet.apis, *fleet.caches)
                for machine in most:
                    await installed(fleet, chat, machine, this)
                for machine in (fleet.caches[0], fleet.apis[0]):
                    await installed(fleet, chat, machine, before)
                for machine in (fleet.apis[0], fleet.caches[0], last):
                    await installed(fleet, chat, machine, this)
                chat.finish()
            assert chat.failures == []
            print(f"beside {version}: {chat.history}, {chat.looks} looks")  # noqa: T201
            await check_everything(fleet, chat, random)


async def installed(fleet: Fleet, chat: Chat, machine: Machine, command: Sequence[str]) -> None:
    """One step of docs/operations.md, "A rolling upgrade"."""
    machine.install(command)
    if machine in fleet.apis:
        fleet.in_rotation.remove(machine)
        await chat.has_answers()  # what was sent to it before has been answered then
        await machine.restart()
        fleet.in_rotation.append(machine)
    else:
        await machine.restart()
    await fleet.is_well()


async def ask(fleet: Fleet, machine: Machine, spec: CallSpec[str, str]) -> str:
    """Has a server of the cluster do something for another one, which is us."""
    peer = Peer(machine.peer, Identity(ClusterSettings().name, "the-test"), fleet.secret)
    peer.start()
    try:
        return await peer.call(spec, "", timeout_s=DEADLINE_S)
    finally:
        await peer.close()
