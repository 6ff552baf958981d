"""What no other process has at the same time, where the suite runs in several (pytest -n): a block, and a port."""

import fcntl
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Waits until no other process of this account is in a block of this name. The system lets go of a dead one's.

    So each finds what has to be fetched first.
    """
    path = Path(tempfile.gettempdir()) / f"rowbox-tests-{name}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def own_port() -> Iterator[int]:
    """A port of 127.0.0.1 that stays ours: nobody answers there, until a server of the test listens at it, and again.

    It is bound, and not listening. A port that was only looked for is the next process's that asks for any: beside us,
    or while a server that was killed comes back. (On Linux two may bind one port if both say SO_REUSEADDR, as servers
    do, and neither listens yet.)
    """
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
