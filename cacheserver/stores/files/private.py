"""Folders and files for the server's own account only: mailboxes lie in them, and what signs tokens.

New files are private by the process's umask (cli/main.py), because RocksDB makes most of them. What an earlier build
left open is closed when it is opened; what belongs to another account cannot be, and is said.
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
"""What the group and everybody else may do."""
UMASK: Final = OTHERS
_log = logging.getLogger(__name__)


def make_folder(folder: Path) -> None:
    """`folder`, for this account alone where it is not there yet. OSError."""
    folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)


def is_open_to_others(path: Path) -> bool:
    """Whether any account but its owner's may do anything with it. OSError."""
    return bool(path.stat().st_mode & OTHERS)


def holds(folder: Path, name: str) -> bool:
    """Whether `name` is in `folder`. StoreUnusable where this account may not look into it."""
    try:
        return (folder / name).exists()
    except OSError as error:
        account = f"account {os.geteuid()} cannot look into {folder} ({error.strerror})"
        raise StoreUnusable(f"{account}: run this as the account of the server") from error


def close_folder(folder: Path) -> None:
    """Takes `folder` and the files in it from all accounts but their owner's; one line in the log where they were open.

    Where one belongs to somebody else it stays as it is, and the line says what to do. Files only: no folder in it.
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
