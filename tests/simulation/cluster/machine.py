"""Machines inside the test's own process: each can be stopped like a process by SIGSTOP, go on, and die.

Whatever runs on the loop in a machine's context belongs to it: steps of its tasks, its timers, what its connections
receive. While it is suspended none of that runs, and all of it comes in its order when it goes on, long after its time.
What has left it (a call on its way to the store, bytes on a wire) goes on meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context as _Context
from contextvars import copy_context
from heapq import heappop, heappush
from typing import Any, TypeVar

from tests.support.process import ConnectionLost, Process, current_process, process_of
from tests.support.virtual_time import Deadlock, TimeSelector, VirtualTimeLoop

_T = TypeVar("_T")
ENDS_S = 1.0
MOST_TURNS = 100_000
"""Of the loop, in one moment."""


class Machine(Process):
    """A process that can also be suspended. `name` is its address on the network."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.is_suspended = False
        self.is_held = False
        """Whether none of its steps are to run: it is suspended, or dead for good."""
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

    def new_context(self) -> _Context:
        """For something that arrives from elsewhere."""
        return self._context.copy()

    def suspend(self) -> None:
        self.is_suspended = True
        self._hold()

    def wake(self) -> None:
        """Goes on with everything that had to wait, in its order."""
        self.is_suspended = False
        self._let_run()

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
        self._hold()

    def let_go(self) -> None:
        """Has its cancelled tasks take their last step."""
        self.is_alive = False
        self._let_run()

    def _hold(self) -> None:
        self.is_held = True
        _loop().holds = True

    def _let_run(self) -> None:
        self.is_held = False
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
    if not isinstance(machine, Machine) or not machine.is_held:
        return False
    machine.stop(handle)
    return True


class _Soon(asyncio.Handle):
    """A step of the loop, made without asking whether the loop debugs: hundreds of millions are made in a long run."""

    __slots__ = ()

    def __init__(self, callback: Callable[..., object], args: Any, loop: Any, context: _Context | None) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


class _Later(_Soon):
    """A timer. It has what is asked of an asyncio.TimerHandle."""

    __slots__ = ("when_s",)
    when_s: float

    def when(self) -> float:
        """See asyncio.TimerHandle."""
        return self.when_s


class _NoSockets(TimeSelector):
    """Time alone: nothing here has a socket."""


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
        self.holds = False
        """Whether a machine was ever held: before that no step has to be asked whose it is."""
        self._timers: list[tuple[float, int, _Later]] = []
        """A heap. Timers that are due at the same time go off in the order in which they were set."""
        self._serial = 0
        self._turns = 0
        """Since time has passed."""

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: _Context | None = None
    ) -> asyncio.Handle:
        handle = _Soon(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: _Context | None = None
    ) -> _Later:
        timer = _Later(callback, args, self, context)
        timer.when_s = when
        self._serial += 1
        heappush(self._timers, (when, self._serial, timer))
        return timer

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: _Context | None = None
    ) -> _Later:
        return self.call_at(self._jumping.now_s + delay, callback, *args, context=context)

    def _run_once(self) -> None:
        """A turn of the loop, as asyncio has it, without sockets: where nothing is runnable, time jumps to a timer."""
        ready: deque[asyncio.Handle] = self._ready  # type: ignore[attr-defined]
        timers, clock = self._timers, self._jumping
        while timers and timers[0][2]._cancelled:
            heappop(timers)
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            if not timers:
                raise Deadlock("nothing is runnable, and nothing ever will be")
            if timers[0][0] > clock.now_s:
                clock.now_s, self._turns = timers[0][0], 0
        self._turns += 1
        if self._turns > MOST_TURNS:
            raise Deadlock("something goes round and round, and time does not pass")
        while timers and timers[0][0] <= clock.now_s:
            ready.append(heappop(timers)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled and not (self.holds and _is_held(handle)):
                handle._run()

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
