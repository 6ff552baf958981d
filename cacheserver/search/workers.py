"""The threads in which indexes are read and written: two for an owner, begun with its first search."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeVar

THREADS: Final = 2
"""One index may be written while another is asked. More would take the processor from everything else."""

_T = TypeVar("_T")


class Workers(Protocol):
    """Where what blocks is done."""

    def run(self, work: Callable[[], _T]) -> Awaitable[_T]:
        """Has `work` done, and gives what it returns or raises. Cancelling it stops the waiting alone."""
        ...

    def begin(self, work: Callable[[], object]) -> None:
        """Has `work` done, which raises nothing, and does not wait for it."""
        ...

    async def close(self, last: Callable[[], object]) -> None:
        """Waits for all that was begun, and then does `last`; nothing where nothing was begun."""
        ...


class WorkerThreads:
    """Workers that are threads."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="rowbox-search")
        self._has_begun = False

    def run(self, work: Callable[[], _T]) -> Awaitable[_T]:
        """See Workers."""
        self._has_begun = True
        return asyncio.get_running_loop().run_in_executor(self._executor, work)

    def begin(self, work: Callable[[], object]) -> None:
        """See Workers."""
        self._has_begun = True
        self._executor.submit(work)

    async def close(self, last: Callable[[], object]) -> None:
        """See Workers."""
        if self._has_begun:
            self._executor.submit(last)
            await asyncio.to_thread(self._executor.shutdown)
