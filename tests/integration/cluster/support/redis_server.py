"""A real redis-server in a place of its own, which a test may kill, pause, and start again."""

import asyncio
import signal
from asyncio.subprocess import DEVNULL, Process
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.conftest import require
from tests.integration.cluster.support.network import Place

PORT: Final = 6379
_DEADLINE_S: Final = 30.0


class RedisServer:
    """`async with` starts it, and kills what is left of it. It keeps nothing."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place = place
        self._folder = folder
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        self._folder.mkdir()
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.kill()

    async def start(self) -> None:
        """Starts it, and does not wait until it answers: nobody may depend on it."""
        where = ("--port", str(PORT), "--bind", self.place.address, "--dir", str(self._folder))
        self._process = await asyncio.create_subprocess_exec(
            *self.place.inside, require("redis-server"), *where, "--save", "", "--protected-mode", "no",
            stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL,
        )  # fmt: skip

    async def kill(self) -> None:
        """Returns when it is gone."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        async with asyncio.timeout(_DEADLINE_S):
            await self._process.wait()

    def pause(self) -> None:
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
