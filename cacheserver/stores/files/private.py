"""Folders and files that only the server's own account may read, because they hold mailboxes and the secret.

The process's umask (cli/main.py) makes new files private, because RocksDB makes most of them. Files that an earlier
build left readable for others are closed when the folder is opened. Those of another account cannot be closed; the log
says so.
"""

import logging
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from stat import S_IMODE, S_ISDIR, S_ISREG
from typing import Final

from rowbox.mailbox.errors import StoreUnusable

FOLDER_MODE: Final = 0o700
OTHERS: Final = 0o077
"""The mode bits of the group and of all other accounts."""
UMASK: Final = OTHERS
_log = logging.getLogger(__name__)


def make_folder(folder: Path) -> None:
    """Makes `folder` for this account alone, unless it exists. OSError where that fails."""
    folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)


def is_open_to_others(path: Path) -> bool:
    """Whether any account but the owner's may do anything with `path`. OSError where it cannot be looked at."""
    return bool(path.stat().st_mode & OTHERS)


def holds(folder: Path, name: str) -> bool:
    """Whether `name` is in `folder`. StoreUnusable where this account may not look into it."""
    try:
        return (folder / name).exists()
    except OSError as error:
        account = f"account {os.geteuid()} cannot look into {folder} ({error.strerror})"
        raise StoreUnusable(f"{account}: run this as the account of the server") from error


def close_folder(folder: Path) -> None:
    """Closes `folder` and the files in it to all accounts but the owner's. A line in the log tells where they were
    open.

    A file of another account stays as it is, and the line says what to do. Folders inside `folder` are not looked at.
    """
    closed, refused = 0, 0
    for path, mode in _open_parts(folder):
        try:
            path.chmod(mode & ~OTHERS)
            closed += 1
        except OSError:
            refused += 1
    if closed:
        _log.info("%s could be read by other accounts of this machine: closed (%d files and folders)", folder, closed)
    if refused:
        command = f"chmod -R go= {shlex.quote(str(folder))}"
        _log.warning("%s can be read by other accounts of this machine; as its owner: %s", folder, command)


def _open_parts(folder: Path) -> Iterator[tuple[Path, int]]:
    for path in (folder, *folder.iterdir()):
        mode = os.lstat(path).st_mode
        if mode & OTHERS and (S_ISREG(mode) or (S_ISDIR(mode) and path == folder)):
            yield path, S_IMODE(mode)
