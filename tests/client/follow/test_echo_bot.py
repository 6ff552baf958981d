"""The example bot, as a process: it answers each message once, whatever restarts."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rowbox.client import Follow, Message
from tests.client.steady_server import access_token, client_for, restart, steady_server
from tests.integration.support.server_process import DEADLINE_S, ServerProcess

pytestmark = pytest.mark.integration

BOT = Path(__file__).parents[3] / "examples" / "echo_bot.py"


@asynccontextmanager
async def bot(server: ServerProcess, state: Path) -> AsyncIterator[Process]:
    """The bot for the time of the block; then it is killed, whatever it is doing."""
    environment = os.environ | {"ECHO_BOT_ACCESS_TOKEN": await access_token(server, "echo")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(BOT), server.url, str(state), stderr=PIPE, env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(process: Process, text: str) -> None:
    assert process.stderr is not None
    async with asyncio.timeout(DEADLINE_S):
        while text not in (line := (await process.stderr.readline()).decode()):
            assert line, f"the bot ended without saying {text}"


async def answers(follow: Follow, count: int) -> list[str]:
    """The next so many texts from the bot."""
    found: list[str] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(found) < count:
            change = await anext(follow)
            if isinstance(change, Message) and not change.is_own:
                found.append(change.message_content)
    return found


async def test_each_message_is_answered_once_whatever_restarts(tmp_path: Path) -> None:
    state = tmp_path / "echo-bot.token"
    async with (
        steady_server(tmp_path / "data") as server,
        await client_for(server, "alice") as alice,
    ):
        follow = alice.follow()
        await anext(follow)
        async with bot(server, state) as process:
            await line(process, "begins with what comes now")
            await alice.send("echo", "one")
            assert await answers(follow, 1) == ["one"]
            await restart(server)
            await alice.send("echo", "two")
            assert await answers(follow, 1) == ["two"]
        before_three = state.read_text()
        await alice.send("echo", "three, while the bot is away")
        async with bot(server, state):
            assert await answers(follow, 1) == ["three, while the bot is away"]
        state.write_text(before_three)  # it died after it had answered, and before it had written that down
        async with bot(server, state):
            await alice.send("echo", "four")
            assert await answers(follow, 1) == ["four"]


async def test_an_access_token_that_is_refused_ends_it(tmp_path: Path) -> None:
    async with steady_server(tmp_path / "data") as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(BOT), server.url, str(tmp_path / "state")),
            stderr=PIPE,
            env=os.environ | {"ECHO_BOT_ACCESS_TOKEN": "none"},
        )
        async with asyncio.timeout(DEADLINE_S):
            _, err = await process.communicate()
        assert process.returncode == 1
        assert b"AccessDenied: 401 unauthenticated" in err
