"""A real `rowbox serve` over one data directory: started, killed, paused, stopped, and started again.

Waiting is always for something that happens (a line, an end, an answer) and has a deadline. What the process printed is
shown when the test fails.
"""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import aiohttp
import pytest

from rowbox.cli.secret import load_or_create
from tests.integration.support.client import Client
from tests.support.alone import own_port

IN_PROCESSES: Final = pytest.mark.parametrize(
    "processes", [{}, {"ROWBOX_SERVER_API_PROCESSES": "2"}], ids=["one-process", "two-api-processes"]
)
"""For what has to hold for a server whose one process serves the API as for one that has processes for it: gives the
settings that make the difference."""
DEADLINE_S: Final = 30.0
"""For anything that is a matter of a second on an idle machine."""
ROWBOX: Final = str(Path(sys.executable).with_name("rowbox"))
"""The command as it is installed beside this Python."""
_READY: Final = re.compile(r"Rowbox is ready: (http://\S+)?.*metrics: (http://\S+)\)")
_TOKENS: Final = re.compile(r"token:|^Chat as|^Try it|^  curl")
"""What every start prints and no failure needs."""
_LOOK_S: Final = 0.02
"""Between two looks at a server: whoever looks all the time takes its CPU, and another test's."""
_SHOWN_LINES: Final = 60


class Finished(NamedTuple):
    """A verb that came to its end."""

    code: int
    out: str
    err: str


async def rowbox(
    *arguments: str | Path,
    settings: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    within_s: float = DEADLINE_S,
) -> Finished:
    """Runs a verb of `rowbox` to its end."""
    process = await asyncio.create_subprocess_exec(
        ROWBOX, *map(str, arguments), stdout=PIPE, stderr=PIPE, env=_environment(settings or {}), cwd=cwd
    )
    try:
        async with asyncio.timeout(within_s):
            out, err = await process.communicate()
    except BaseException:
        process.kill()
        await process.communicate()
        raise
    assert process.returncode is not None
    return Finished(process.returncode, out.decode(), err.decode())


class ServerProcess:
    """One data directory and the process that serves it now. `async with` starts it, and kills what is left of it.

    `settings` are ROWBOX_* variables; of this process's own none is passed on. `command` is what comes before the verb.
    `keeps_port`: started again it is at the same port, for who reconnects; otherwise each start takes another one.
    """

    def __init__(
        self,
        data_dir: Path,
        settings: Mapping[str, str] | None = None,
        *,
        command: Sequence[str] = (ROWBOX,),
        flags: Sequence[str] = ("--port", "0", "--admin-port", "0", "--rate-limits", "off"),
        keeps_port: bool = False,
    ) -> None:
        self.data_dir = data_dir
        self.settings = dict(settings or {})
        self.url = ""
        """Where it serves clients; "" where it serves other servers alone."""
        self.admin_url = ""
        self.lines: list[str] = []
        """What the process of the latest start printed, on both streams."""
        self._log: list[str] = []
        self._command = command
        self._arguments = ["serve", "--data-dir", str(data_dir), *flags]
        self._keeps_port = keeps_port
        self._ports = ExitStack()
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._open()
        try:
            await self.start()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.is_running:
            self.kill()
            await self.ended()
        if self._session is not None:
            await self._session.close()
        self._ports.close()
        sys.stdout.write("\n".join([f"--- {self.data_dir}: its last lines", *self._log[-_SHOWN_LINES:], ""]))

    @asynccontextmanager
    async def unstarted(self) -> AsyncIterator[Self]:
        """As `async with` the server, but the test starts it."""
        self._open()
        try:
            yield self
        finally:
            await self.__aexit__(None, None, None)

    def _open(self) -> None:
        if self._keeps_port:
            self._arguments += ["--port", str(self._ports.enter_context(own_port()))]
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=2 * DEADLINE_S)
        )

    # ------------------------------------------------------------------ its life

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def api_processes(self) -> list[int]:
        """The ids of its API processes."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def install(self, command: Sequence[str]) -> None:
        """From the next start on this comes before the verb."""
        self._command = command

    async def start(self, within_s: float = DEADLINE_S) -> None:
        """Starts it and returns when it is ready."""
        await self.launch()
        await self.ready(within_s)

    async def ready(self, within_s: float = DEADLINE_S) -> None:
        """Returns when the one that was launched is ready, and where is known."""
        ready = await self.line(_READY, within_s)
        self.url, self.admin_url = ready[1] or "", ready[2]

    async def launch(self) -> None:
        """Starts it and does not wait."""
        assert not self.is_running
        self.lines = []
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            *self._arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env=_environment(self.settings),
        )
        self._reader = asyncio.get_running_loop().create_task(self._read(self._process))

    async def line(self, pattern: "re.Pattern[str] | str", within_s: float = DEADLINE_S) -> "re.Match[str]":
        """The first line of this start that matches, as soon as it is printed."""
        reader = self._reader
        assert reader is not None
        async with asyncio.timeout(within_s), self._news:
            seen = 0
            while True:
                for text in self.lines[seen:]:
                    if match := re.search(pattern, text):
                        return match
                seen = len(self.lines)
                if reader.done():
                    raise AssertionError(f"the server ended without the line {pattern}: {self.lines}")
                await self._news.wait()

    async def ended(self, within_s: float = DEADLINE_S) -> int:
        """Its exit code (minus a signal's number), once it has ended and all it printed is read."""
        assert self._process is not None
        assert self._reader is not None
        async with asyncio.timeout(within_s):
            await asyncio.shield(self._reader)
            return await self._process.wait()

    async def stays_up(self, seconds: float) -> None:
        """Lets it run for a while; fails at once where it ends by itself."""
        assert self._process is not None
        try:
            async with asyncio.timeout(seconds):
                code = await self._process.wait()
        except TimeoutError:
            return
        raise AssertionError(f"the server ended by itself with {code}: {self.lines}")

    async def stop(self) -> None:
        """Ends it as an operator does, and sees that this works."""
        self.terminate()
        assert await self.ended() == 0, self.lines

    def kill(self) -> None:
        """As a crash does: nothing of it runs on."""
        self._signal(signal.SIGKILL)

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """Sends any other signal."""
        self._signal(number)

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        async for raw in process.stdout:
            text = raw.decode(errors="replace").rstrip("\n")
            async with self._news:
                self.lines.append(text)
                if not _TOKENS.search(text):
                    self._log.append(text)
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()

    # ------------------------------------------------------------------ its clients

    @property
    def session(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session

    def client(self, user_id: str) -> Client:
        """`user_id`'s client, with a token of this data directory; it follows the server to its next port."""
        return Client(self.session, lambda: self.url, load_or_create(self.data_dir), user_id)

    async def metric(self, name: str) -> float:
        """A gauge or counter without labels, from the admin port."""
        async with self.session.get(f"{self.admin_url}/metrics") as response:
            text = await response.text()
        match = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        assert match is not None, text
        return float(match[1])

    async def metric_reaches(self, name: str, value: float) -> None:
        """Asks for a metric, again and again, until it has a value."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                if await self.metric(name) == value:
                    return
                await asyncio.sleep(_LOOK_S)

    async def ready_status(self) -> int:
        """What a load balancer sees."""
        async with self.session.get(f"{self.admin_url}/readyz") as response:
            return response.status

    async def is_ready(self) -> None:
        """Returns when a load balancer sees that it is."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                if await self.ready_status() == 200:
                    return
                await asyncio.sleep(_LOOK_S)


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("ROWBOX_")}
    return own | dict(settings)
