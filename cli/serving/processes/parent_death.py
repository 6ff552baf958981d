"""A process that ends with its parent, however that ends: Linux sends it SIGKILL then (prctl, PR_SET_PDEATHSIG).

An API process must not outlive its server by a moment. It would go on accepting connections at a port that the next
server shares with it, for mailboxes that it cannot reach.
"""

import ctypes
import os
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def end_with(parent: int) -> None:
    """From now on this process is killed when the thread of `parent` that started it ends. OSError.

    SystemExit where the parent has ended already.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    if os.getppid() != parent:
        raise SystemExit(1)
