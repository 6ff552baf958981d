"""kill -9 of a region server under load: writes pause, nothing confirmed is lost or doubled, and Rowbox goes on."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rowbox.hbase_schema.keys import META_START, row_key
from tests.integration.hbase.regions import host_of, hosts
from tests.integration.support.chat import Chat, seeded_random
from tests.integration.support.hbase_server import SHARDS, made_store_on
from tests.integration.support.server_process import ServerProcess
from tests.integration.support.verdict import check_everything
from tests.support.hbase_cluster import HBaseCluster

pytestmark = pytest.mark.integration

REGIONS = 16
USERS = ("ann", "ben", "cleo", "dan", "eve", "finn")
SPREADS_S = 60.0
RESUMES_S = 60.0
"""HBase needs 6 s to notice, and 3 to 15 s to bring the regions to the other server."""


@contextmanager
def spread_store(cluster: HBaseCluster) -> Iterator[dict[str, str]]:
    """A store whose users lie on both servers: HBase places regions by chance, and gives a server that was started a
    moment ago none yet.
    """
    deadline_s = time.monotonic() + SPREADS_S
    while True:
        with made_store_on(cluster, regions=REGIONS) as store:
            placed = hosts(store["ROWBOX_STORE_URL"])
            of_users = {host_of(row_key(user_id, SHARDS), placed) for user_id in USERS}
            if len(of_users) > 1 or time.monotonic() > deadline_s:
                yield store
                return


@pytest.mark.parametrize("holds_lease", [True, False], ids=["of-the-lease", "of-mail-alone"])
async def test_a_killed_region_server(hbase_cluster: HBaseCluster, tmp_path: Path, *, holds_lease: bool) -> None:
    random = seeded_random()
    with spread_store(hbase_cluster) as store:
        placed = hosts(store["ROWBOX_STORE_URL"])
        of_lease = host_of(META_START, placed)
        victim = of_lease if holds_lease else next(port for port in placed.values() if port != of_lease)
        hit = {user_id for user_id in USERS if host_of(row_key(user_id, SHARDS), placed) == victim}
        assert hit
        assert hit < set(USERS)
        name = hbase_cluster.name_at(victim)
        async with ServerProcess(tmp_path, store) as server:
            chat = Chat(server, USERS, random, may_pend=True, patience_s=2 * RESUMES_S)
            chat.is_up.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(chat.talk(senders_per_user=1))
                await asyncio.gather(*(chat.exchange(user_id, user_id) for user_id in USERS))
                pid = server.pid
                await asyncio.to_thread(hbase_cluster.kill, name)
                pauses_s = await asyncio.gather(*(chat.exchange(user_id, user_id) for user_id in hit))
                chat.finish()
            print(f"answered after {min(pauses_s):.1f} to {max(pauses_s):.1f} s, {chat.history}")  # noqa: T201
            assert max(pauses_s) < RESUMES_S
            assert server.pid == pid
            await check_everything(server, chat, random)
