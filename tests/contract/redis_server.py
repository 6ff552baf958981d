"""A real redis-server at a port of this machine, which a test may kill, pause, flush and start again."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from tests.conftest import require
from tests.support.alone import own_port

DEADLINE_S = 30.0


class RedisServer:
    """A redis-server at one port, which can end and come back. It keeps nothing."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        command = [require("redis-server"), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def tell(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        if number is signal.SIGKILL:
            self._process.wait(DEADLINE_S)

    async def answers(self) -> None:
        """Returns once it does."""
        client: Redis = Redis.from_url(self.url, retry=Retry(ConstantBackoff(0.02), 1500))
        try:
            await client.ping()
        finally:
            await client.aclose()

    async def flush(self) -> None:
        """Has it forget all, scripts too."""
        client: Redis = Redis.from_url(self.url)
        try:
            await client.flushall()
            await client.script_flush()
        finally:
            await client.aclose()

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(DEADLINE_S)


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """One that has been started, and may not answer yet."""
    with own_port() as port:
        server = RedisServer(port, folder)
        server.start()
        try:
            yield server
        finally:
            server.close()
