"""One process at a time: where the suite runs in several (pytest -n), each finds what has to be fetched first."""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Waits until no other process of this account is in a block of this name. The system lets go of a dead one's."""
    path = Path(tempfile.gettempdir()) / f"rowbox-tests-{name}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
