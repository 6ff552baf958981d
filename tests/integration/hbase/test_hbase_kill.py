"""kill -9 of Rowbox on HBase, under load: nothing confirmed is lost, doubled or misordered, and it is back in time."""

import asyncio
import time
from pathlib import Path
from random import Random

import pytest

from tests.integration.support import mutants
from tests.integration.support.chat import Chat, seeded_random
from tests.integration.support.hbase_server import QUICK_LEASE, default_patience_s, in_time, made_store
from tests.integration.support.history import breaches
from tests.integration.support.kills import kill_again_and_again
from tests.integration.support.server_process import ServerProcess
from tests.integration.support.verdict import check_everything
from tests.support.hbase_cluster import HBase

pytestmark = pytest.mark.integration

KILLS = 5
KILLED_STARTS = 1
USERS = ("ann", "ben", "cleo", "dan")
SMALL = {"ROWBOX_CACHE_BYTES": "1MiB", "ROWBOX_CACHE_WINDOW_MESSAGES": "8"}
BACK_S = default_patience_s() + 2.0
"""The lease, and for a process to start, read the store and claim what it is asked for."""
START_S = 1.0
"""Of these the time until it listens, on an idle machine. How long that took here is no part of the promise."""


async def test_nothing_confirmed_is_lost_doubled_or_misordered(hbase: HBase, tmp_path: Path) -> None:
    random = seeded_random()
    with made_store(hbase) as store:
        async with ServerProcess(tmp_path, QUICK_LEASE | SMALL | store) as server:
            chat = Chat(server, USERS, random, may_pend=True)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(chat.talk(senders_per_user=1))
                tasks.create_task(kill_again_and_again(server, chat, random, kills=KILLS, killed_starts=KILLED_STARTS))
            print(f"{KILLS} kills, {chat.history}")  # noqa: T201
            assert chat.history.unknown_outcomes >= KILLS  # else the kills hit nobody
            await check_everything(server, chat, random)


async def test_it_answers_again_when_the_lease_of_the_killed_one_has_ended(hbase: HBase, tmp_path: Path) -> None:
    with made_store(hbase) as store:
        async with ServerProcess(tmp_path, store) as server:
            sent = await server.client("ann").send("ben", "before", "before")
            took_s = await in_time(lambda: killed_and_back_s(server, sent.message_id), BACK_S)
            print(f"answered {took_s} s after the kill")  # noqa: T201


async def killed_and_back_s(server: ServerProcess, message_id: str) -> float:
    """From a kill to the first answer of the next start, in seconds, of which START_S stand for the start."""
    server.kill()
    await server.ended()
    await server.launch()
    await server.line("listening on port")
    began_s = time.monotonic() - START_S
    await server.ready()
    again = await server.client("ann").send("ben", "before", "before")
    took_s = time.monotonic() - began_s
    assert (again.message_id, again.duplicate) == (message_id, True)
    return took_s


async def test_a_store_that_confirms_before_it_writes_is_found_out(hbase: HBase, tmp_path: Path) -> None:
    with made_store(hbase) as store:
        command = mutants.command("confirming-early")
        async with ServerProcess(tmp_path, QUICK_LEASE | store, command=command) as server:
            chat = Chat(server, ("ann", "ben"), Random(0), may_pend=True)
            chat.is_up.set()
            ann = server.client("ann")
            for number in range(20):
                await chat.settle(ann, chat.history.begin("ann", "ben", f"number {number}"))
            server.kill()
            await server.ended()
            await server.start()
            assert any(
                finding.startswith("lost") for finding in breaches(chat.history, {"ann": await ann.all_messages()})
            )
