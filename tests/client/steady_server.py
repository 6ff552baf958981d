"""A real `rowbox serve` that comes back where it was: the same data, and the same port for those who reconnect."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rowbox.client import Client
from rowbox.client.calls.retry import Pauses, Timing
from tests.integration.support.server_process import ServerProcess, rowbox

QUICK = Timing(pauses=Pauses(base_s=0.02, cap_s=0.2))
"""A test does not wait for jitter."""


@asynccontextmanager
async def steady_server(data_dir: Path) -> AsyncIterator[ServerProcess]:
    async with ServerProcess(data_dir, keeps_port=True) as server:
        yield server


async def restart(server: ServerProcess) -> None:
    """A kill -9, and the next start."""
    server.kill()
    await server.ended()
    await server.start()


async def access_token(server: ServerProcess, user: str) -> str:
    """As an operator gets one."""
    return (await rowbox("token", "--user", user, "--data-dir", server.data_dir)).out.strip()


async def client_for(server: ServerProcess, user: str, *, patience_s: float = 30.0) -> Client:
    return Client(server.url, await access_token(server, user), patience_s=patience_s, timing=QUICK)
