"""SIGHUP reads secrets again and ends nothing: the steps of docs/how-to/login.md, over a real server."""

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from rowbox.cli.secret import load
from tests.integration.support.client import Refused
from tests.integration.support.server_process import IN_PROCESSES, ServerProcess, rowbox

pytestmark = pytest.mark.integration


async def hang_up(server: ServerProcess, says: str) -> None:
    """Each process that serves the API says it."""
    os.kill(server.pid, signal.SIGHUP)
    for process in [f"api-{number + 1} " for number in range(len(server.api_processes()))] or [""]:
        await server.line(f" {process}rowbox.* {says}")


@IN_PROCESSES
async def test_a_secret_is_rotated_while_people_talk(tmp_path: Path, processes: Mapping[str, str]) -> None:
    async with ServerProcess(tmp_path, processes) as server, asyncio.TaskGroup() as tasks:
        old = server.client("alice")
        poll = tasks.create_task(server.client("bob").messages(last_updated_timestamp=0, wait=55))
        await server.metric_reaches("rowbox_waiters", 1)
        assert (await rowbox("token", "rotate", "--data-dir", tmp_path)).code == 0
        await hang_up(server, "SIGHUP: token_secrets were read again: 2 in use")
        new = server.client("alice")
        assert new.headers != old.headers
        for client in (old, new):
            await client.conversations()
        assert (await rowbox("token", "retire", "--data-dir", tmp_path)).code == 0
        await hang_up(server, "SIGHUP: token_secrets were read again: 1 in use")
        with pytest.raises(Refused, match="401 unauthenticated"):
            await old.conversations()
        assert not poll.done()
        await new.send("bob", "hello", "first")
        assert [message.message_content for message in (await poll).messages] == ["hello"]
        secret = load(tmp_path)
        (tmp_path / "token-secret").chmod(0o644)
        await hang_up(server, r"SIGHUP: token_secrets were not read again.*chmod 600")
        await new.conversations()
        (tmp_path / "token-secret").chmod(0o600)
        assert load(tmp_path) == secret
        await server.stop()
