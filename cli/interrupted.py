"""What ends a verb that makes something large: as by Ctrl-C, what it has made is removed."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

_ENDS: Final = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def cleans_up() -> Iterator[None]:
    """SIGTERM and SIGHUP inside leave it by a SystemExit, with the exit code that shells give a signal.

    One that is ignored, as by `nohup`, stays so. Outside the main thread, where no signal is handled, nothing changes.
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
