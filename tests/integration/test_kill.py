"""kill -9 under load, over and over on one data directory: nothing confirmed is lost, doubled or misordered (P1-P4)."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest

from tests.integration.support import mutants
from tests.integration.support.chat import Chat, seeded_random
from tests.integration.support.history import breaches
from tests.integration.support.kills import kill_again_and_again
from tests.integration.support.server_process import IN_PROCESSES, ServerProcess
from tests.integration.support.verdict import check_everything

pytestmark = pytest.mark.integration

KILLS = 20
KILLED_STARTS = 3
USERS = ("ann", "ben", "cleo", "dan", "eve", "finn")
SENDERS_PER_USER = 2
SMALL = {
    "ROWBOX_STORE_MEMTABLE_BYTES": "1MiB",  # so that flushes, compactions and new logs are killed too
    "ROWBOX_STORE_BLOCK_CACHE_BYTES": "1MiB",
    "ROWBOX_CACHE_BYTES": "1MiB",  # so that mailboxes come and go
    "ROWBOX_CACHE_WINDOW_MESSAGES": "8",  # so that pages are read from the store
}


@pytest.mark.timeout(480)  # of two dozen starts, which a busy machine makes slowly
@IN_PROCESSES
async def test_nothing_confirmed_is_lost_doubled_or_misordered(tmp_path: Path, processes: Mapping[str, str]) -> None:
    random = seeded_random()
    async with ServerProcess(tmp_path, SMALL | dict(processes)) as server:
        chat = Chat(server, USERS, random)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(chat.talk(SENDERS_PER_USER))
            tasks.create_task(kill_again_and_again(server, chat, random, kills=KILLS, killed_starts=KILLED_STARTS))
        print(f"{KILLS} kills, {chat.history}")  # noqa: T201
        assert chat.history.unknown_outcomes >= KILLS  # else the kills hit nobody
        await check_everything(server, chat, random)


async def test_a_store_that_confirms_before_it_writes_is_found_out(tmp_path: Path) -> None:
    async with ServerProcess(tmp_path, command=mutants.command("confirming-early")) as server:
        chat = Chat(server, ("ann", "ben"), Random(0))
        chat.is_up.set()
        ann = server.client("ann")
        for number in range(20):
            await chat.settle(ann, chat.history.begin("ann", "ben", f"number {number}"))
        server.kill()
        await server.ended()
        await server.start()
        found = breaches(
            chat.history, {"ann": await ann.all_messages(), "ben": await server.client("ben").all_messages()}
        )
        assert any(finding.startswith("lost") for finding in found)
