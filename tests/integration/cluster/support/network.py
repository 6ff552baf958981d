"""A network of processes on this machine, each with an address of its own, whose connections a test can cut.

Each place is a network namespace, joined to a switch in one of its own; the test's process is at the switch as well,
and can listen in a place by `listening`. A cut is silent, as on a real network: what is sent into it is lost,
connections stay open, and no error comes back.

The namespaces have no names. Each is held by a process that the kernel ends together with the test, however that ends,
and with the last namespace all of it is gone.
"""

import asyncio
import ctypes
import os
import secrets
import socket
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from tests.conftest import leave_out, require
from tests.support.alone import alone

DIES_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL")
"""Before a command: its process is killed by the kernel when the test's process ends."""
TOOLS: Final = ("ip",)
"""What a test that uses this has to name: @pytest.mark.tools(*TOOLS)."""
_NOWHERE: Final = "02:00:00:00:00:01"
"""Nobody's hardware address: the switch passes what is sent there on to everybody, and everybody drops it."""
_SUBNETS: Final = tuple(f"198.{second}.{third}" for second in (18, 19) for third in range(256))
"""RFC 2544: for tests of networks, and nobody's on the internet."""
_CLIENTS: Final = 1
_FIRST: Final = 11
_CLONE_NEWNET: Final = 0x40000000
_DEADLINE_S: Final = 30.0


class Place:
    """Where processes of one machine run."""

    def __init__(self, name: str, address: str, holder: int) -> None:
        """`holder` is the process that keeps the namespace."""
        self.name = name
        self.address = address
        self.holder = holder

    @property
    def inside(self) -> tuple[str, ...]:
        """Before a command: it runs in this place, in the process that was started, and ends with the test."""
        return (*DIES_WITH_US, "nsenter", f"--net={self.namespace}", "--")

    @property
    def namespace(self) -> str:
        return f"/proc/{self.holder}/ns/net"

    def __repr__(self) -> str:
        return self.name


class Network:
    """`running_network` makes one. Names are for people."""

    def __init__(self, subnet: str, switch: Place, holders: AsyncExitStack) -> None:
        self.places: list[Place] = []
        self._subnet = subnet
        self._switch = switch
        self._holders = holders
        self._cuts: set[tuple[Place, Place]] = set()
        self._published: list[str] = []

    async def place(self, name: str) -> Place:
        """One more machine."""
        number = _FIRST + len(self.places)
        place = await self._holders.enter_async_context(_namespace(name, f"{self._subnet}.{number}"))
        self.places.append(place)
        port = f"to{number}"
        await _ip(
            self._switch,
            f"link add {port} type veth peer name eth0 netns {place.holder}",
            f"link set {port} master switch up",
        )
        await _ip(place, "link set lo up", f"addr add {place.address}/24 dev eth0", "link set eth0 up")
        await _ip(place, *(f"route add {address}/32 dev eth0" for address in self._published))
        return place

    async def publish(self, place: Place, address: str) -> None:
        """Gives a place an address of the public internet besides. The places that are made from now on are led there,
        and nobody else on this machine.
        """
        await _ip(place, f"addr add {address}/32 dev eth0")
        self._published.append(address)

    async def cut(self, sender: Place, receiver: Place) -> None:
        """From now on nothing that `sender` sends reaches `receiver`. The other direction is another cut."""
        self._cuts.add((sender, receiver))
        await _ip(sender, f"neigh replace {receiver.address} lladdr {_NOWHERE} nud permanent dev eth0")

    async def part(self, one: Place, other: Place) -> None:
        """Cuts both directions."""
        await self.cut(one, other)
        await self.cut(other, one)

    async def join(self, sender: Place, receiver: Place) -> None:
        """Ends one cut."""
        self._cuts.remove((sender, receiver))
        await _ip(sender, f"neigh del {receiver.address} dev eth0")

    async def heal(self) -> None:
        """Ends all cuts."""
        for sender, receiver in tuple(self._cuts):
            await self.join(sender, receiver)

    def listening(self, place: Place, port: int, address: str | None = None) -> socket.socket:
        """A socket of the test's process that takes the connections which come to a port of `place`, at its own address
        or at one that was published.
        """
        with ThreadPoolExecutor(1) as thread:  # the namespace is a thread's, and this one ends in it
            return thread.submit(_listening, place, port, address or place.address).result()


@asynccontextmanager
async def running_network() -> AsyncIterator[Network]:
    """An empty one; in the end all processes of its places have to be gone. Left out where this may not be done."""
    require("ip", "iproute2")
    if os.geteuid() != 0:
        leave_out("needs root, to make network namespaces")
    async with AsyncExitStack() as holders:
        switch = await holders.enter_async_context(_namespace("switch", ""))
        await _ip(switch, "link set lo up", "link add switch type bridge", "link set switch up")
        with alone("network"):
            subnet = await _free_subnet()
            port = _port_name(subnet)
            here = Place("here", "", os.getpid())
            await _ip(here, f"link add {port} type veth peer name test netns {switch.holder}")
            await _ip(here, f"addr add {subnet}.{_CLIENTS}/24 dev {port}", f"link set {port} up")
        await _ip(switch, "link set test master switch up")
        network = Network(subnet, switch, holders)
        try:
            yield network
        finally:
            await network.heal()


@asynccontextmanager
async def _namespace(name: str, address: str) -> AsyncIterator[Place]:
    """A network namespace that is there until the block is left, or the test's process ends."""
    script = "echo made; exec sleep infinity"
    holder = await asyncio.create_subprocess_exec(
        *DIES_WITH_US, "unshare", "--net", "sh", "-c", script, stdin=DEVNULL, stdout=PIPE
    )
    try:
        assert holder.stdout is not None
        async with asyncio.timeout(_DEADLINE_S):
            if await holder.stdout.readline() != b"made\n":
                leave_out("needs the right to make network namespaces (docker: --cap-add SYS_ADMIN,NET_ADMIN)")
        yield Place(name, address, holder.pid)
    finally:
        await _end(holder)


def _listening(place: Place, port: int, address: str) -> socket.socket:
    system = ctypes.CDLL(None, use_errno=True)
    with Path(place.namespace).open() as namespace:
        if system.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns: {place}")
    return socket.create_server((address, port))


async def _end(holder: Process) -> None:
    if holder.returncode is None:
        holder.kill()
    await holder.communicate()


async def _free_subnet() -> str:
    routes = await _output("ip", "-4", "route", "show", "table", "all")
    free = [subnet for subnet in _SUBNETS if f"{subnet}." not in routes]
    return secrets.choice(free)


def _port_name(subnet: str) -> str:
    return "rowbox" + "-".join(subnet.split(".")[1:])


async def _ip(place: Place, *commands: str) -> None:
    """Runs commands of `ip` in a place, all or up to the first that fails."""
    process = await asyncio.create_subprocess_exec(
        *place.inside, "ip", "-batch", "-", stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    async with asyncio.timeout(_DEADLINE_S):
        _, errors = await process.communicate("\n".join([*commands, ""]).encode())
    if process.returncode != 0:
        text = errors.decode()
        if "Operation not permitted" in text:
            leave_out("needs the right to change the network (docker: --cap-add NET_ADMIN)")
        raise AssertionError(f"{place}: {commands}: {text}")


async def _output(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    async with asyncio.timeout(_DEADLINE_S):
        out, _ = await process.communicate()
    return out.decode()
