"""The network of the tests of clusters does what they say of it: places reach each other, cuts are silent, all ends."""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.cluster.support.network import TOOLS, Network, Place, running_network
from tests.support.hbase_cluster import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.tools(*TOOLS)]

PORT = 7000
SILENT_S = 0.5
DEADLINE_S = 30.0
ASKING = """
import socket, sys
connection = socket.create_connection((sys.argv[1], 7000))
for line in sys.stdin:
    connection.sendall(line.encode())
    print(connection.recv(100).decode(), end="", flush=True)
"""
LEFT_BEHIND = """
import asyncio
from tests.integration.cluster.support.network import running_network

async def main():
    async with running_network() as network:
        place = await network.place("one")
        process = await asyncio.create_subprocess_exec(*place.inside, "sleep", "infinity")
        print(place.holder, process.pid, flush=True)
        await process.wait()

asyncio.run(main())
"""


class Connection:
    """One from a place to another, kept open by a process in it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def is_answered(self, within_s: float = DEADLINE_S) -> bool:
        """Sends a line; whether one comes back."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"line\n")
        try:
            async with asyncio.timeout(within_s):
                return await self._process.stdout.readline() == b"line\n"
        except TimeoutError:
            return False


@asynccontextmanager
async def connected(network: Network, client: Place, server: Place) -> AsyncIterator[Connection]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    listening = await asyncio.start_server(echo, sock=network.listening(server, PORT))
    command = (*client.inside, sys.executable, "-c", ASKING, server.address)
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    try:
        yield Connection(process)
    finally:
        process.kill()
        await process.communicate()
        listening.close()


@pytest.mark.parametrize("which", ["asked", "answered"])
async def test_a_cut_of_one_direction_is_silent_and_ends_when_it_is_healed(which: str) -> None:
    async with running_network() as network:
        one, other = await network.place("one"), await network.place("other")
        async with connected(network, one, other) as connection:
            assert await connection.is_answered()
            await (network.cut(one, other) if which == "asked" else network.cut(other, one))
            assert not await connection.is_answered(SILENT_S)
            await network.heal()
            assert await connection.is_answered()


async def test_a_cut_of_two_is_none_of_a_third() -> None:
    async with running_network() as network:
        one, other, third = [await network.place(name) for name in ("one", "other", "third")]
        await network.part(one, third)
        await network.part(other, third)
        async with connected(network, one, other) as connection:
            assert await connection.is_answered()


async def test_nothing_is_left_when_the_test_is_killed() -> None:
    """Not a process, and not a device in our own namespace."""
    before = devices()
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", LEFT_BEHIND, stdout=PIPE, cwd=ROOT)
    assert killed.stdout is not None
    pids = [int(text) for text in (await killed.stdout.readline()).split()]
    made = devices() - before
    assert len(made) == 1
    assert all(map(is_running, pids))
    killed.kill()
    await killed.communicate()
    ends_s = time.monotonic() + DEADLINE_S
    while any(map(is_running, pids)) or made & devices():
        assert time.monotonic() < ends_s


def is_running(pid: int) -> bool:
    """Whether it is more than what waits for somebody to read its exit code."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return "State:\tZ" not in status


def devices() -> set[str]:
    return {line.partition(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()}
