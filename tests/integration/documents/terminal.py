"""A terminal of a reader: bash on a pseudo-terminal, into which a document's lines are typed.

What it shows is held against what the document shows. Both are first stripped of what differs from run to run: ids,
times, tokens. A line `...` of the document stands for any lines, and for none.
"""

import asyncio
import os
import pty
import re
import signal
import termios
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, NoReturn

from tests.conftest import require
from tests.integration.support.server_process import DEADLINE_S

_VARYING: Final = (
    (re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+"), "ACCESS-TOKEN"),
    (re.compile(r"\b\d{16}\.[0-9a-f]{24}\b"), "TOKEN"),
    (re.compile(r"\b\d{16}\b"), "TIME"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "ID"),
    (re.compile(r"^\[(\d)\] \d+$", re.MULTILINE), r"[\1] PROCESS"),
    (re.compile(r"^\n", re.MULTILINE), ""),  # bash has its own mind about empty lines
)


def same_each_time(shown: str) -> str:
    """Without what differs from run to run."""
    text = shown.replace("\r\n", "\n")
    for varying, name in _VARYING:
        text = varying.sub(name, text)
    return text


def pattern_of(shown: str) -> str:
    """What matches that which a document shows."""
    lines = same_each_time(shown).splitlines()
    return "".join(r"(?:[^\n]*\n)*?" if line == "..." else re.escape(line) + r"\n" for line in lines)


class Terminal:
    """One shell. `terminal` opens it."""

    def __init__(self, name: str, master: int) -> None:
        self._prompt = f"{name}$ "
        self._master = master
        self._shown = ""
        """By the program that was started last, and what came before the prompt behind it."""
        self._documented = ""
        """What the document shows of the same."""
        self._news = asyncio.Event()

    def read(self) -> None:
        """Called when the terminal shows something."""
        try:
            self._shown += os.read(self._master, 65536).decode(errors="replace")
        except OSError:  # the shell ended
            asyncio.get_running_loop().remove_reader(self._master)
        self._news.set()

    async def opens(self) -> None:
        """Returns when the shell asks for the first command."""
        await self._until(lambda shown: shown.endswith(self._prompt))

    async def run(self, command: str) -> None:
        """Types a command, once what was there before has ended and has shown what the document says, and no more."""
        await self.ends()
        self._shown = self._documented = ""
        self.type(f"{command}\n")

    async def shows(self, text: str) -> None:
        """Waits until what the document shows is there, behind what it showed before. AssertionError where the command
        ended without it.
        """
        self._documented += text
        pattern = re.compile(pattern_of(self._documented))
        await self._until(lambda shown: bool(pattern.match(shown)) or shown.endswith(self._prompt))
        if not pattern.match(same_each_time(self._shown)):
            self._fail("shows otherwise than the document")

    async def ends(self) -> None:
        """Waits until the shell asks for a command. AssertionError where the document shows more, or less."""
        await self._until(lambda shown: shown.endswith(self._prompt))
        shown = same_each_time(self._shown).removesuffix(self._prompt)
        if not re.fullmatch(pattern_of(self._documented), shown):
            self._fail("shows otherwise than the document")

    def type(self, keys: str) -> None:
        os.write(self._master, keys.replace("^C", "\x03").encode())

    async def _until(self, condition: Callable[[str], bool]) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not condition(same_each_time(self._shown)):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            self._fail("goes on and does not show what the document says")

    def _fail(self, how: str) -> NoReturn:
        shown = same_each_time(self._shown)
        raise AssertionError(f"{self._prompt}{how}, which is:\n{self._documented}\nShown was:\n{shown}")


@asynccontextmanager
async def terminal(name: str, folder: Path, environment: Mapping[str, str]) -> AsyncIterator[Terminal]:
    """A shell whose prompt is `NAME$ `. At the end it is killed, with all that was started in it."""
    master, slave = pty.openpty()
    _without_echo(slave)
    process = await asyncio.create_subprocess_exec(
        *(require("setsid"), "--ctty", "bash", "--norc", "--noprofile", "--noediting", "-i"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=folder,
        env={**environment, "PS1": f"{name}$ ", "PS2": "", "TERM": "dumb", "HISTFILE": ""},
    )
    os.close(slave)
    it = Terminal(name, master)
    asyncio.get_running_loop().add_reader(master, it.read)
    try:
        await it.opens()
        yield it
    finally:
        asyncio.get_running_loop().remove_reader(master)
        for pid in _session_of(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await process.wait()
        os.close(master)


def _without_echo(slave: int) -> None:
    """What is typed is not shown: the document shows it once."""
    attributes = termios.tcgetattr(slave)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, attributes)


def _session_of(leader: int) -> Iterator[int]:
    """The processes of a session: a shell's jobs have groups of their own, and a server survives its terminal."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            behind_the_name = stat.read_text().rpartition(")")[2].split()
            if int(behind_the_name[3]) == leader:
                yield int(stat.parent.name)
