"""Lets a verb that makes something large remove it when a signal ends the verb, as it does at Ctrl-C."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

_ENDS: Final = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def cleans_up() -> Iterator[None]:
    """Within it, SIGTERM and SIGHUP raise SystemExit with the exit code that shells give a signal (128 + N).

    A signal that was ignored before, as by `nohup`, stays ignored. Outside the main thread, which alone handles
    signals, this does nothing.
    """
    is_main = threading.current_thread() is threading.main_thread()
    taken = [number for number in _ENDS if is_main and signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)
