"""An event loop whose time jumps when nothing is runnable (the idea of trio's MockClock), and a wall clock beside it.

Nothing sleeps: `asyncio.sleep(180)` ends as soon as nobody has anything else to do, and the loop's time is 180 s later.
A loop that waits for something that can never come is a Deadlock at once, not a hang until the runner's timeout.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")

BIRTH_US = 1_800_000_000_000_000
"""The wall clock's time when the loop's is 0: January 2027, as good as any."""


class Deadlock(BaseException):
    """Nothing is runnable and no timer is set. No Exception: no code under test may take it for an error of its own."""


class TimeSelector(selectors.SelectSelector):
    """Keeps the loop's time."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0


class _JumpingSelector(TimeSelector):
    """Looks at the sockets without waiting; where the loop would wait, time passes instead."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events and timeout is None:
            raise Deadlock("nothing is runnable, and nothing ever will be")
        if not events and timeout is not None and timeout > 0:
            self.now_s += timeout
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The loop of a test in virtual time."""

    def __init__(self, selector: TimeSelector | None = None) -> None:
        self._jumping = selector if selector is not None else _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


class WallClock:
    """The time of day in a test: goes with the loop's time, and jumps where the test says so."""

    def __init__(self) -> None:
        self._ahead_us = 0

    def now_us(self) -> int:
        return BIRTH_US + self._ahead_us + int(asyncio.get_running_loop().time() * 1_000_000)

    def now_ms(self) -> int:
        return self.now_us() // 1000

    def jump(self, seconds: float) -> None:
        """Sets the clock forwards, or backwards where `seconds` is negative. No timer of the loop notices."""
        self._ahead_us += int(seconds * 1_000_000)

    def set_right(self) -> None:
        """Undoes all jumps."""
        self._ahead_us = 0


def run_virtual(main: Coroutine[Any, Any, _T]) -> _T:
    """Runs `main` to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def virtual_time(test: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, None]:
    """Makes a test of an async function, run in virtual time."""

    @functools.wraps(test)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        run_virtual(test(*args, **kwargs))

    return run


async def settle(turns: int = 50) -> None:
    """Lets everything that is runnable run, without letting time pass."""
    for _ in range(turns):
        await asyncio.sleep(0)
