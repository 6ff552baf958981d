"""Where the owner of the mailboxes listens for its API processes: a Unix socket in a new folder that only this account
can enter.

The folder lies where the system keeps temporary files, because the path of a socket may have 107 bytes and that of a
data directory may be longer. The server holds a lock on it. One that is killed leaves its folder behind, and the next
server that starts finds it without a lock and removes it.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from rowbox.mailbox.errors import StoreUnusable

_PREFIX: Final = "rowbox-owner-"
_NAME: Final = "owner.sock"


@contextmanager
def owner_socket() -> Iterator[Path]:
    """The path of a socket that is not there yet. In the end its folder is removed. StoreUnusable: no folder."""
    try:
        _remove_left_behind(Path(tempfile.gettempdir()))
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = _locked(folder)
    except OSError as error:
        raise StoreUnusable(
            f"no folder for the socket of the API processes: {error}; name one in TMPDIR that can be written"
        ) from error
    try:
        yield folder / _NAME
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _remove_left_behind(where: Path) -> None:
    for path in where.glob(f"{_PREFIX}*/{_NAME}"):  # of this account alone: others' folders are closed to it
        with suppress(OSError):
            lock = _locked(path.parent)
            shutil.rmtree(path.parent, ignore_errors=True)
            os.close(lock)


def _locked(folder: Path) -> int:
    """The descriptor that holds the lock. BlockingIOError where another process does."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
