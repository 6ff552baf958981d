"""How a process of the server runs Python: its event loop, its garbage collector, its threads."""

import asyncio
import gc
import sys
from collections.abc import Coroutine
from typing import Final

SWITCH_INTERVAL_S: Final = 0.0005
"""How long, at most, the write thread waits for the GIL after it waited for the disk. With uvloop no difference to
Python's 5 ms could be measured under load, because uvloop lets go of the GIL in each turn; asyncio's own loop would
make commits wait."""
GC_THRESHOLDS: Final = (50_000, 20, 50)
"""Thresholds of the garbage collector. Mailboxes are many objects that live long and form no cycles. With Python's own
thresholds (700, 10, 10) the collector walks over them again and again: 17% to 21% of a busy owner's CPU, with pauses of
a quarter second (docs/benchmarks.md)."""


def tune() -> None:
    """Sets thresholds and intervals. To be called once, before the loop runs."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GC_THRESHOLDS)


def run(main: Coroutine[object, object, None]) -> None:
    """Runs `main` on uvloop where that is installed, on asyncio's own loop otherwise."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main)


def started() -> None:
    """To be called when the process is ready: what it has made so far lives as long as it does, so the collector need
    not look at that again.
    """
    gc.collect()
    gc.freeze()
