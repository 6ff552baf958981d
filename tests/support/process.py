"""A process inside the test's own: its tasks are known, so that it can be killed like a real one.

Every task that is created in the process's context belongs to it. A kill cancels them all, and whatever its leftovers
(callbacks, `finally` blocks) try to start afterwards is cancelled before its first step.
"""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

_T = TypeVar("_T")
_current: contextvars.ContextVar["Process | None"] = contextvars.ContextVar("process", default=None)


class ConnectionLost(Exception):
    """The process died while somebody waited for its answer."""


class Process:
    """A process that can be killed. `install` the task factory in the running loop before making one."""

    def __init__(self) -> None:
        self.is_alive = True
        self.tasks: dict[asyncio.Task[Any], None] = {}
        """In the order in which they began: a kill ends them in this order, in each run of the test."""
        self._context = contextvars.copy_context()
        self._context.run(_current.set, self)

    async def call(self, request: Coroutine[Any, Any, _T]) -> _T:
        """Runs `request` inside the process; ConnectionLost when it dies meanwhile. Leaving does not cancel it."""
        task = asyncio.get_running_loop().create_task(request, context=self._context)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not self.is_alive:
                raise ConnectionLost from None
            task.cancel()
            raise

    def run(self, function: Callable[..., None], *arguments: Any) -> None:
        """Calls a function inside the process: what it begins belongs to the process."""
        self._context.copy().run(function, *arguments)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Begins something inside the process, whose end is nobody's business."""
        task = asyncio.get_running_loop().create_task(work, context=self._context)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def kill(self, spared: Iterable[asyncio.Task[Any]] = ()) -> None:
        """Ends all tasks of the process at once, but for `spared`, which are out of its hands already."""
        self.is_alive = False
        dying = [task for task in self.tasks if task not in set(spared)]
        for task in dying:
            task.cancel()
        await asyncio.gather(*dying, return_exceptions=True)


def _new_task(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, _T], **options: Any) -> asyncio.Task[_T]:
    task = asyncio.Task(coro, loop=loop, **options)
    context: contextvars.Context | None = options.get("context")
    process = context.get(_current) if context is not None else _current.get()
    if process is not None:
        process.tasks[task] = None
        task.add_done_callback(process.tasks.pop)
        if not process.is_alive:
            task.cancel()
    return task


def current_process() -> Process | None:
    """The process in whose context this is called."""
    return _current.get()


def process_of(context: contextvars.Context) -> Process | None:
    """The process that a context belongs to."""
    return context.get(_current)


def install() -> None:
    """From now on the running loop's tasks belong to the process in whose context they are made."""
    asyncio.get_running_loop().set_task_factory(_new_task)  # type: ignore[arg-type]  # typeshed names its third argument
