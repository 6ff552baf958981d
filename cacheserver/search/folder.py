"""The folder in which an owner keeps the indexes of its mailboxes: one of its own, which ends with it.

Beside it lie those of other owners, of this process and others; what a process has left that was ended before it could
tidy up is removed. A folder belongs to whoever holds the lock in it, and the kernel gives that back however a process
ends. Whatever else lies there has another name and stays: `search.dir` may be a folder with something in it. All but
`may_hold_leftovers` blocks: it is called in a worker thread.
"""

import fcntl
import os
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final

LOCK: Final = "lock"
_NAME: Final = "indexes-{}"
_OURS: Final = re.compile(_NAME.format("[0-9a-f]{16}"))


class IndexFolder:
    """The folder of one owner, below `parent`. Made at its first `path`."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._own: Path | None = None
        self._lock = -1
        self._one_at_a_time = Lock()

    def may_hold_leftovers(self) -> bool:
        """Whether anybody has ever kept indexes here."""
        return self._parent.is_dir()

    def tidy(self) -> None:
        """Removes what processes have left that are no more. OSError."""
        if not self._parent.is_dir():
            return
        with _Locked(self._parent / LOCK):
            for folder in [entry for entry in self._parent.iterdir() if _OURS.fullmatch(entry.name)]:
                lock = _try_lock(folder / LOCK)
                if lock >= 0:
                    shutil.rmtree(folder, ignore_errors=True)
                    os.close(lock)

    def path(self) -> Path:
        """The folder. OSError."""
        with self._one_at_a_time:  # two first searches are in two threads
            if self._own is None:
                self._own = self._made()
            return self._own

    def _made(self) -> Path:
        self._parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = self._parent / _NAME.format(secrets.token_hex(8))
        with _Locked(self._parent / LOCK):
            own.mkdir(mode=0o700)
            self._lock = _try_lock(own / LOCK)
            if self._lock < 0:  # whoever tidies up would take it for one that was left
                shutil.rmtree(own, ignore_errors=True)
                raise OSError(f"the lock of {own} cannot be had")
        return own

    def free_bytes(self) -> int:
        """How much room its device has left. OSError."""
        return shutil.disk_usage(self.path()).free

    def remove(self) -> None:
        """Removes the folder with everything in it. A second call does nothing."""
        own, self._own = self._own, None
        if own is not None:
            shutil.rmtree(own, ignore_errors=True)
            os.close(self._lock)


class _Locked:
    """Holds the lock of a file, which is made where it is not there: waits for it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def __enter__(self) -> None:
        self._file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


def _try_lock(path: Path) -> int:
    """An open file whose lock is held from now on; -1 where somebody else holds it, or the file cannot be made."""
    with suppress(OSError):
        file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
        else:
            return file
    return -1
