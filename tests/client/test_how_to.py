"""docs/how-to/clients.md: its lines for Python do what it says of them."""

import asyncio
import os
import sys
import textwrap
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from rowbox.client import Client, Refused
from tests.client.scripted_server import ScriptedServer, conversations, problem
from tests.client.steady_server import access_token, client_for, restart, steady_server
from tests.http.api import Api, token, until
from tests.integration.documents.fenced import block
from tests.integration.support.server_process import DEADLINE_S

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "clients.md"


async def test_it_sends_and_follows_across_a_restart(tmp_path: Path) -> None:
    async with steady_server(tmp_path) as server, await client_for(server, "bob") as bob:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", block(PAGE, "follow.py").replace("http://127.0.0.1:8080", server.url)),
            stdin=PIPE,
            stdout=PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write((await access_token(server, "alice")).encode() + b"\n")
            await server.metric_reaches("rowbox_waiters", 1)
            (message,) = [message async for message in bob.messages()]
            assert (message.sender_id, message.message_content) == ("alice", "hello")
            await restart(server)
            await bob.send("alice", "and now?")
            async with asyncio.timeout(DEADLINE_S):
                assert (await process.stdout.readline()).endswith(b"bob and now?\n")
        finally:
            process.kill()
            await process.wait()


async def test_its_list_of_conversations_is_kept(server: ScriptedServer, client: Client) -> None:
    """The lines under it, as they stand there."""
    server.will(
        conversations(1, 2, token=2, is_delta=False),
        conversations(3, token=3, is_delta=True),
        conversations(4, token=4, is_delta=False, resetReason="restored"),
        problem(404, "the end"),
    )
    lines = textwrap.indent(block(PAGE, "conversations.py"), "    ")
    states: list[list[str]] = []
    scope: dict[str, Any] = {"client": client, "states": states}
    exec(f"async def keep():\n{lines}\n        states.append(sorted(shown))", scope)
    with pytest.raises(Refused):
        await scope["keep"]()
    assert states == [["c1", "c2"], ["c1", "c2", "c3"], ["c4"]]


async def test_its_copy_of_the_mailbox_is_kept(rowbox: Api) -> None:
    """The lines under it, as they stand there."""
    url = f"http://127.0.0.1:{rowbox.server.port}"
    async with Client(url, token("bob")) as bob, Client(url, token("alice")) as client:
        before = await bob.send("alice", "before")
        lines = textwrap.indent(block(PAGE, "changes.py"), "    ")
        states: list[tuple[list[str], list[str]]] = []
        scope: dict[str, Any] = {"client": client, "states": states}
        exec(f"async def keep():\n{lines}\n            states.append((sorted(messages), sorted(listed)))", scope)
        keeping = asyncio.create_task(scope["keep"]())
        await until(lambda: bool(states))
        assert states[-1] == ([], [before.conversation_id])
        after = await bob.send("alice", "after")
        await until(lambda: states[-1] == ([after.message_id], [before.conversation_id]))
        keeping.cancel()
        await asyncio.wait([keeping])
