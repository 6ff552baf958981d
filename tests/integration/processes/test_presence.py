"""Presence in a server whose API is served by processes of its own: who is active at one is online at all of them, and
who types at one is seen at all.
"""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from rowbox.api.auth.authenticator import issue_token
from rowbox.cli.secret import load_or_create
from tests.integration.support.server_process import DEADLINE_S, ServerProcess

pytestmark = pytest.mark.integration

TWO: Final = {"ROWBOX_SERVER_API_PROCESSES": "2", "ROWBOX_RATE_LIMITS_ENABLED": "off"}
ASKED: Final = 24
"""Connections: that one of two processes gets none of so many happens once in eight million runs."""
SHOWN: Final = 16
"""Sockets of one user, who may have 20: that one of two processes gets none of so many happens once in 30,000 runs, and
then the test looks at less.
"""


async def test_who_is_active_at_one_process_is_online_at_all(tmp_path: Path) -> None:
    async with ServerProcess(tmp_path, TWO) as server:
        secret = load_or_create(server.data_dir)
        await server.client("ann").send("ben", "hello", "1")

        async def asked(user: str, method: str, path: str) -> dict[str, object]:
            """Over a connection of its own, which either process may get."""
            headers = {"Authorization": f"Bearer {issue_token(secret, user, 3600, admin=False, now=time.time())}"}
            body: dict[str, str] | None = {} if method == "POST" else None
            async with (
                aiohttp.ClientSession(headers=headers) as session,
                session.request(method, f"{server.url}/v1/{path}", json=body) as answer,
            ):
                assert answer.status == 200, await answer.text()
                found: dict[str, object] = await answer.json()
                return found

        async def sees() -> bool:
            answers = [await asked("ann", "GET", "fetchPresence?userIds=ben") for _ in range(ASKED)]
            return all(answer == {"users": {"ben": {"online": True, "lastSeen": None}}} for answer in answers)

        await asked("ben", "POST", "heartbeat")
        async with asyncio.timeout(DEADLINE_S):
            while not await sees():
                await asked("ben", "POST", "heartbeat")
        assert await server.metric("rowbox_ephemeral_up") == 1


async def test_who_types_at_one_process_is_seen_at_all(tmp_path: Path) -> None:
    async with ServerProcess(tmp_path, TWO) as server, AsyncExitStack() as connections:
        secret = load_or_create(server.data_dir)
        await server.client("ann").send("ben", "hello", "1")

        async def shows(user: str, other: str) -> aiohttp.ClientWebSocketResponse:
            """A socket of its own, which either process may get."""
            session = await connections.enter_async_context(aiohttp.ClientSession())
            socket = await session.ws_connect(f"{server.url}/v1/ws", protocols=("rowbox.v1",))
            token = issue_token(secret, user, 3600, admin=False, now=time.time())
            await socket.send_json({"t": "hello", "token": token})
            await socket.send_json({"t": "view", "recipientId": other})
            return socket

        async def hears(socket: aiohttp.ClientWebSocketResponse) -> None:
            while (frame := json.loads((await socket.receive(DEADLINE_S)).data))["t"] != "typing":
                pass
            assert frame["userId"] == "ben"

        looking = [await shows("ann", "ben") for _ in range(SHOWN)]
        typing = await shows("ben", "ann")

        async def types() -> None:
            while True:  # passed on once in three seconds
                await typing.send_json({"t": "typing"})
                await asyncio.sleep(0.2)

        saying = asyncio.create_task(types())
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*(hears(socket) for socket in looking))
        saying.cancel()
        await asyncio.gather(saying, return_exceptions=True)
