"""A server that may open few files, and more silent clients than that: its store goes on, and so does everybody."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.integration.support.server_process import ROWBOX, ServerProcess

pytestmark = pytest.mark.integration

LIMIT = 640
FEW_FILES = ("sh", "-c", f'ulimit -n {LIMIT} && exec "$@"', "sh", ROWBOX)
SMALL_MEMTABLES = {"ROWBOX_STORE_MEMTABLE_BYTES": "1MiB"}
SENDS = 60


async def test_a_store_does_not_end_for_want_of_a_descriptor(tmp_path: Path) -> None:
    """At 80c87b5 the next memtable's log could not be opened, and the process ended."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(ServerProcess(tmp_path, SMALL_MEMTABLES, command=FEW_FILES))
        alice = server.client("alice")
        await alice.send("bob", "before", "before")
        port = int(server.url.rpartition(":")[2])
        for _ in range(2 * LIMIT):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
        for number in range(SENDS):  # of 64 KB each, in two mailboxes: several memtables
            await alice.send("bob", "x" * 65_000, f"large-{number}")
        assert await server.ready_status() == 200
        assert len(await server.client("bob").all_messages()) == SENDS + 1
        assert server.is_running
