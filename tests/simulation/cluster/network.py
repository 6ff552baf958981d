"""A network between machines, in place of TCP: seeded delays, cuts of one direction, connections that break.

It keeps TCP's promises and no more: what arrives on a connection arrives whole and in order; connections overtake one
another; what is sent into a cut arrives when that heals, or never, if the connection is given up before. A machine that
dies resets its connections; where its host died with it nobody hears of that.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from random import Random
from typing import Any

from tests.simulation.cluster.machine import Connector, Machine, here

LATENCY_S = (0.0002, 0.003)
SLOW_S = (0.02, 0.4)
NEXT_S = 1e-6
"""Between two arrivals of one connection: timers that are due at the same time run in any order."""
AGAIN_S = 0.05
"""How long after a cut has healed what was sent into it arrives at most."""


class _Transport(asyncio.Transport):
    """One side of a connection."""

    def __init__(self, network: "Network", machine: Machine, context: Context, remote: Machine) -> None:
        super().__init__()
        self._network = network
        self._loop = asyncio.get_running_loop()
        self.machine = machine
        self.remote = remote
        self._context = context
        self._protocol: asyncio.Protocol | None = None
        self._other: _Transport | None = None
        self._arrives_s = 0.0
        """When what was sent last arrives: nothing overtakes it."""
        self._held: list[bytes | None] = []
        """What was sent into a cut; None: the end of the connection."""
        self._is_closing = False
        self._is_lost = False

    def attach(self, protocol: asyncio.Protocol, other: "_Transport") -> None:
        self._protocol, self._other = protocol, other
        self._network.connections.append(self)
        protocol.connection_made(self)

    # ------------------------------------------------------------------ what a protocol asks

    def write(self, data: Any) -> None:
        if not (self._is_closing or self._is_lost):
            self._send(bytes(data))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_write_buffer_size(self) -> int:
        return sum(len(data) for data in self._held if data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing here is large enough."""

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._send(None)
            self._loop.call_soon(self.lose, None, context=self._context)

    def abort(self) -> None:
        if not self._is_lost:
            self._is_closing = True
            self._held.clear()
            self._send(None)
            self._loop.call_soon(self.lose, None, context=self._context)

    # ------------------------------------------------------------------ on its way

    def _send(self, data: bytes | None) -> None:
        if self._network.is_cut(self.machine, self.remote) or self._held:
            self._held.append(data)
            return
        now_s = self._loop.time()
        self._arrives_s = max(self._arrives_s + NEXT_S, now_s + self._network.latency_s(self.machine, self.remote))
        assert self._other is not None
        self._loop.call_at(self._arrives_s, self._other.arrive, data, context=self._other._context)

    def flush(self) -> None:
        """The cut has healed: what was sent into it is sent again."""
        held, self._held = self._held, []
        for data in held:
            self._send(data)

    def arrive(self, data: bytes | None) -> None:
        if self._is_lost or self._protocol is None:
            return
        if data is None:
            self.lose(ConnectionResetError("the other side has ended the connection"))
        elif not self._is_closing:
            self._protocol.data_received(data)

    def lose(self, error: Exception | None) -> None:
        if not self._is_lost:
            self._is_lost = self._is_closing = True
            if self in self._network.connections:
                self._network.connections.remove(self)
            if self._protocol is not None:
                self._protocol.connection_lost(error)

    def reset(self) -> None:
        """The connection breaks: this side hears of it at once."""
        self._loop.call_soon(self.lose, ConnectionResetError("reset"), context=self._context)

    def vanish(self) -> None:
        """The machine of this side is gone."""
        self._is_lost = True
        self._held.clear()


class _Door:
    """A listening socket. It has what asyncio.Server is asked for."""

    def __init__(self, network: "Network", address: tuple[str, int], make: Callable[[], asyncio.Protocol]) -> None:
        self._network = network
        self.address = address
        self.make = make
        machine = here()
        assert machine is not None
        self.machine = machine
        self.context = copy_context()

    @property
    def sockets(self) -> list["_Door"]:
        return [self]

    def getsockname(self) -> tuple[str, int]:
        return self.address

    def close(self) -> None:
        if self._network.doors.get(self.address) is self:
            del self._network.doors[self.address]

    async def wait_closed(self) -> None:
        """It is closed at once."""


class Network(Connector):
    """All connections of a simulation."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self.doors: dict[tuple[str, int], _Door] = {}
        self.connections: list[_Transport] = []
        """Both sides of each."""
        self._cuts: set[tuple[str, str]] = set()
        self._healed = asyncio.Event()
        self.slow: set[str] = set()
        """Machines whose packets take their time."""

    # ------------------------------------------------------------------ for the loop

    def listen(self, make: Callable[[], asyncio.Protocol], host: str, port: int) -> Any:
        address = host, port
        if address in self.doors:
            raise OSError(f"{host}:{port} is in use")
        self.doors[address] = _Door(self, address, make)
        return self.doors[address]

    async def connect(self, make: Callable[[], asyncio.Protocol], host: str, port: int) -> tuple[Any, Any]:
        caller, context = here(), copy_context()
        assert caller is not None
        door = self.doors.get((host, port))
        if door is None:
            await asyncio.sleep(self._dice.uniform(*LATENCY_S))
            raise ConnectionRefusedError(f"nobody listens at {host}:{port}")
        while self.is_cut(caller, door.machine) or self.is_cut(door.machine, caller):
            await self._healed.wait()  # for longer than the caller does, mostly
        await asyncio.sleep(self.latency_s(caller, door.machine))
        if self.doors.get((host, port)) is not door or not door.machine.is_alive:
            raise ConnectionRefusedError(f"nobody listens at {host}:{port}")
        near = _Transport(self, caller, context, door.machine)
        far = _Transport(self, door.machine, door.context.copy(), caller)
        near._other, far._other = far, near
        asyncio.get_running_loop().call_soon(self._accept, door, far, near, context=far._context)
        protocol = make()
        near.attach(protocol, far)
        return near, protocol

    def _accept(self, door: _Door, far: _Transport, near: _Transport) -> None:
        if not far._is_lost:
            far.attach(door.make(), near)

    # ------------------------------------------------------------------ what goes wrong

    def latency_s(self, source: Machine, target: Machine) -> float:
        if (source.name in self.slow or target.name in self.slow) and self._dice.random() < 0.3:
            return self._dice.uniform(*SLOW_S)
        return self._dice.uniform(*LATENCY_S)

    def is_cut(self, source: Machine, target: Machine) -> bool:
        return bool(self._cuts) and (source.name, target.name) in self._cuts

    def cut(self, source: str, target: str) -> None:
        """Nothing gets from the one to the other any more."""
        self._cuts.add((source, target))

    def heal(self, source: str | None = None, target: str | None = None) -> None:
        """One way, or all of them."""
        self._cuts -= {(source, target)} if source is not None else self._cuts.copy()
        self._healed.set()
        self._healed = asyncio.Event()
        for side in tuple(self.connections):
            if side._held and not self.is_cut(side.machine, side.remote):
                asyncio.get_running_loop().call_later(self._dice.uniform(0, AGAIN_S), side.flush)

    def reset_one(self) -> None:
        """One connection breaks, for both sides."""
        if self.connections:
            side = self._dice.choice(self.connections)
            side.reset()
            if side._other is not None:
                side._other.reset()

    def machine_died(self, machine: Machine, *, silently: bool) -> None:
        """`silently`: its host died with it, and nobody is told."""
        for address, door in tuple(self.doors.items()):
            if door.machine is machine:
                del self.doors[address]
        for side in tuple(self.connections):
            if side.machine is machine:
                side.vanish()
                self.connections.remove(side)
                if side._other is not None and not silently:
                    side._other.reset()
