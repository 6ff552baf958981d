"""Machines inside the test's own process: each can be stopped like a process by SIGSTOP, go on, and die.

Whatever runs on the loop in a machine's context belongs to it: steps of its tasks, its timers, what its connections
receive. While it is suspended none of that runs, and all of it comes in its order when it goes on, long after its time.
What has left it (a call on its way to the store, bytes on a wire) goes on meanwhile.
"""

import asyncio
import contextvars
import heapq
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.support.process import ConnectionLost, Process, current_process, process_of
from tests.support.virtual_time import Deadlock, TimeSelector, VirtualTimeLoop

_T = TypeVar("_T")
_Context = contextvars.Context
ENDS_S = 1.0


class Machine(Process):
    """A process that can also be suspended. `name` is its address on the network."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.is_suspended = False
        self.is_ending = False
        self._stopped: list[asyncio.Handle] = []
        _loop().machines.append(self)

    @property
    def runs(self) -> bool:
        return self.is_alive and not self.is_suspended

    async def call(self, request: Coroutine[Any, Any, _T]) -> _T:
        """See Process."""
        if not self.is_alive:
            request.close()
            raise ConnectionLost
        return await super().call(request)

    def suspend(self) -> None:
        self.is_suspended = True

    def wake(self) -> None:
        """Goes on with everything that had to wait, in its order."""
        self.is_suspended = False
        stopped, self._stopped = self._stopped, []
        _loop().go_on_with(stopped)

    def stop(self, handle: asyncio.Handle) -> None:
        """Keeps what is to run when the machine goes on. Of a dead one nothing ever does."""
        if self.is_alive:
            self._stopped.append(handle)

    async def die(self) -> None:
        """Ends at once, suspended or not: its tasks take one more step, which ends them."""
        dying = tuple(self.tasks)
        for task in dying:
            task.cancel()
        self.let_go()
        await asyncio.gather(*dying, return_exceptions=True)
        self.is_ending = False

    def let_go(self) -> None:
        """Has its cancelled tasks take their last step."""
        self.is_alive, self.is_ending = False, True
        stopped, self._stopped = self._stopped, []
        _loop().go_on_with(stopped)


def _loop() -> "MachinesLoop":
    loop = asyncio.get_running_loop()
    assert isinstance(loop, MachinesLoop)
    return loop


def here() -> Machine | None:
    """The machine in whose context this is called."""
    process = current_process()
    return process if isinstance(process, Machine) else None


def _is_held(handle: asyncio.Handle) -> bool:
    machine = process_of(handle._context)  # type: ignore[attr-defined]
    if not isinstance(machine, Machine) or machine.runs or machine.is_ending:
        return False
    machine.stop(handle)
    return True


class _Soon(asyncio.Handle):
    __slots__ = ()

    def _run(self) -> None:
        if not _is_held(self):
            super()._run()


class _Later(asyncio.TimerHandle):
    __slots__ = ()

    def _run(self) -> None:
        if not _is_held(self):
            super()._run()


class _NoSockets(TimeSelector):
    """Time alone: nothing here has a socket, and to ask the kernel costs as much as a step."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("nothing is runnable, and nothing ever will be")
        if timeout > 0:
            self.now_s += timeout
        return []


class Connector:
    """What a MachinesLoop asks for connections (network.py)."""

    async def connect(self, make: Callable[[], asyncio.Protocol], host: str, port: int) -> tuple[Any, Any]:
        raise NotImplementedError

    def listen(self, make: Callable[[], asyncio.Protocol], host: str, port: int) -> Any:
        raise NotImplementedError


class MachinesLoop(VirtualTimeLoop):
    """A loop in virtual time whose machines can be suspended, and whose connections are those of `network`."""

    network: Connector

    def __init__(self) -> None:
        super().__init__(_NoSockets())
        self.machines: list[Machine] = []

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: _Context | None = None
    ) -> asyncio.Handle:
        handle = _Soon(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: _Context | None = None
    ) -> asyncio.TimerHandle:
        timer = _Later(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: _Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def go_on_with(self, handles: list[asyncio.Handle]) -> None:
        self._ready.extend(handles)  # type: ignore[attr-defined]

    async def create_connection(  # type: ignore[override]
        self, make: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> tuple[Any, Any]:
        return await self.network.connect(make, host, port)

    async def create_server(  # type: ignore[override]
        self, make: Callable[[], asyncio.Protocol], host: str, port: int, **_: Any
    ) -> Any:
        return self.network.listen(make, host, port)


def run_machines(main: Coroutine[Any, Any, _T]) -> _T:
    """Runs `main` to its end, in virtual time. What is left then is ended, if it lets itself be ended."""
    loop = MachinesLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(_end_all())
        loop.close()


async def _end_all() -> None:
    for machine in _loop().machines:
        machine.let_go()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=ENDS_S)
