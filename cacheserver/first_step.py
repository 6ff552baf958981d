"""Coroutines whose first step is made at once, and that get a task only if they wait for something.

A task costs its making and two turns of the loop, and a turn a call to the kernel. Most of what is asked of an owner
is in memory and waits for nothing (docs/adr/0045-links.md has what a task made of that). Python 3.12 has eager tasks
for it; this does the same for 3.11 as well. Meanwhile a Beginning stands for the task that there is not yet, so that
`asyncio.timeout` works in a first step too.
"""

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, Generic, NamedTuple, TypeVar, cast

_T = TypeVar("_T")


class Ended(NamedTuple, Generic[_T]):
    """What a coroutine returned that waited for nothing."""

    result: _T


class Beginning:
    """What `asyncio.current_task` says during a first step: what is asked of it then, the task is asked later."""

    def __init__(self) -> None:
        self.task: asyncio.Task[Any] | None = None

    def cancel(self, msg: Any | None = None) -> bool:
        return self.task is not None and self.task.cancel(msg)

    def cancelling(self) -> int:
        return 0 if self.task is None else self.task.cancelling()

    def uncancel(self) -> int:
        return 0 if self.task is None else self.task.uncancel()


def begin(begun: Coroutine[Any, Any, _T], name: str) -> "Ended[_T] | asyncio.Task[_T]":
    """Makes the first step of a coroutine. To be called outside of any task.

    Returns what the coroutine returned, or raises what it raised, where it waited for nothing; else the task of the
    rest, which the caller owns.
    """
    loop, stands = asyncio.get_running_loop(), Beginning()
    current: Any = stands
    asyncio._enter_task(loop, current)  # noqa: SLF001 - documented for whoever has tasks of his own ("Extending")
    try:
        awaited = begun.send(None)
    except StopIteration as ended:
        return Ended(ended.value)
    finally:
        asyncio._leave_task(loop, current)  # noqa: SLF001
    stands.task = loop.create_task(_rest(begun, awaited), name=name)
    return stands.task


@coroutine
def _rest(begun: Coroutine[Any, Any, _T], awaited: Any) -> Generator[Any, Any, _T]:
    """All steps but the first: its task waits for what the coroutine waits for."""
    try:
        while True:
            try:
                sent = yield awaited
            except BaseException as error:  # noqa: BLE001 - whatever is thrown into the task is the coroutine's
                awaited = begun.throw(error)
            else:
                awaited = begun.send(sent)
    except StopIteration as ended:
        return cast("_T", ended.value)
