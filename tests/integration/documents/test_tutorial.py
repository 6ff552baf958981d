"""docs/tutorial.md, typed into three terminals: each command and program runs, and shows what the page says."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import require
from tests.integration.documents.fenced import Block, blocks
from tests.integration.documents.terminal import Terminal, terminal
from tests.javascript.program import NODE
from tests.support.alone import own_port

pytestmark = [pytest.mark.integration, pytest.mark.tools("curl")]

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = ROOT / "docs" / "tutorial.md"
SERVER: Final = "http://127.0.0.1:8080"
ADMIN: Final = "http://127.0.0.1:8081"
NAMES: Final = ("server", "alice", "bob")


def checkout(folder: Path) -> Path:
    """What `git clone` and the first `make serve` leave, without fetching anything: links to this checkout."""
    made = folder / "rowbox"
    made.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in {"rowbox-data", ".git"}:
            (made / entry.name).symlink_to(entry)
    return made


class Reader:
    """Who does what the page says, with a server on ports of its own."""

    def __init__(self, folder: Path, ports: Sequence[int], terminals: Mapping[str, Terminal]) -> None:
        self._folder = folder
        self._hosts = {SERVER: f"http://127.0.0.1:{ports[0]}", ADMIN: f"http://127.0.0.1:{ports[1]}"}
        self._terminals = terminals

    async def follow(self, block: Block) -> None:
        match block.language:
            case "python" | "js":
                (self._folder / block.name).write_text(self._here(block.text))
            case "text":
                self._terminals[block.name].type(block.text.removesuffix("\n") if "^" in block.text else block.text)
            case "console" if block.name:
                await self._terminals[block.name].shows(self._here(block.text))
            case "console":
                await self._session(block.text)
            case _:
                pass  # the clone; test_nothing_but_the_clone_is_left_out

    async def _session(self, text: str) -> None:
        """Prompts with commands, each with what it shows below it."""
        lines = text.splitlines()
        while lines:
            name, _, command = lines.pop(0).partition("$ ")
            while command.endswith("\\"):
                command += f"\n{lines.pop(0)}"
            await self._terminals[name].run(self._here(command))
            shown = ""
            while lines and lines[0].partition("$ ")[0] not in NAMES:
                shown += f"{lines.pop(0)}\n"
            if shown:
                await self._terminals[name].shows(self._here(shown))

    def _here(self, text: str) -> str:
        for theirs, here in self._hosts.items():
            text = text.replace(theirs, here)
        return text


@asynccontextmanager
async def reading(tmp_path: Path) -> AsyncIterator[Reader]:
    async with AsyncExitStack() as stack:
        folder, ports = checkout(tmp_path), [stack.enter_context(own_port()) for _ in range(2)]
        own = {name: value for name, value in os.environ.items() if not name.startswith("ROWBOX_")}
        environment = own | {
            "PATH": f"{NODE.parent}:{Path(require('curl')).parent}:{own['PATH']}",
            "ROWBOX_SERVER_PORT": str(ports[0]),
            "ROWBOX_SERVER_ADMIN_PORT": str(ports[1]),
        }
        terminals = {name: await stack.enter_async_context(terminal(name, folder, environment)) for name in NAMES}
        yield Reader(folder, ports, terminals)


@pytest.mark.timeout(480)  # of some twenty programs one after another, which a busy machine starts slowly
async def test_everything_on_the_page_is_so(tmp_path: Path) -> None:
    async with reading(tmp_path) as reader:
        for block in blocks(PAGE):
            await reader.follow(block)


def test_nothing_but_the_clone_is_left_out() -> None:
    assert [block.text for block in blocks(PAGE) if block.language == "sh"] == [
        "git clone THE-ADDRESS-OF-THIS-REPOSITORY rowbox\ncd rowbox\n"
    ]
    assert {block.language for block in blocks(PAGE)} == {"sh", "console", "text", "python", "js"}
    assert {len(block.text.splitlines()) < 60 for block in blocks(PAGE)} == {True}


async def test_what_is_not_so_is_found(tmp_path: Path) -> None:
    async with terminal("alice", tmp_path, os.environ) as alice:
        await alice.run("echo one; echo two; echo three")
        await alice.shows("one\n...\n")
        await alice.shows("three\n")
        await alice.run("echo one; echo two")
        await alice.shows("one\n")
        with pytest.raises(AssertionError, match="shows otherwise than the document"):
            await alice.run("true")
