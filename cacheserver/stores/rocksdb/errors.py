"""Turns RocksDB's failures into Rowbox's errors. rocksdict raises plain `Exception`s whose text is RocksDB's status.

A damaged folder is left as it is, and a person decides: no error here leads to a loss of data by itself.
"""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rowbox.cacheserver.stores.files.beside import is_backup, last_backup, utc_text
from rowbox.mailbox.errors import RowboxError, StoreDamaged, StoreLocked, StoreUnavailable, StoreUnusable

_DAMAGE = ("Corruption", "does not exist", "No such file", "not found", "Invalid argument")


def damaged(folder: Path, what: str) -> StoreDamaged:
    """The error for a store that cannot be read back as it was written.

    It names the last backup, and how to restore it.
    """
    return StoreDamaged(f"the store in {folder} is damaged: {what}. Nothing was changed. {_way_out(folder)}")


def _way_out(folder: Path) -> str:
    if is_backup(folder):
        return "It is a backup: take another one."
    last = last_backup(folder)
    backup = "BACKUP" if last is None else shlex.quote(last.folder)
    known = "a backup" if last is None else f"the backup of {utc_text(last.as_of_us)}"
    return (
        f"Put {known} in its place: `rowbox restore {backup} --replace --data-dir "
        f"{shlex.quote(str(folder.parent))}`. Without one, and "
        "accepting the loss of what cannot be read: repair a copy of it with RocksDB's `ldb repair`."
    )


def locked(folder: Path, holder: str) -> StoreLocked:
    return StoreLocked(f"the store in {folder} is open in {holder}: stop that first, or name another folder")


def opening_error(error: Exception, folder: Path) -> StoreUnusable:
    """The error for a `folder` that RocksDB does not open."""
    status = str(error)
    if "/LOCK:" in status:
        return locked(folder, "another process")
    if "No space left" in status:
        return StoreUnusable(f"no room to open the store in {folder}: free some space on its device. ({status})")
    if any(sign in status for sign in _DAMAGE):
        return damaged(folder, status)
    return StoreUnusable(f"the store in {folder} does not open: {status}")


@contextmanager
def translated_reads(folder: Path) -> Iterator[None]:
    """Turns rocksdict's exceptions inside into StoreDamaged or StoreUnavailable. Their cause keeps no traceback,
    because its frames would hold RocksDB open.
    """
    try:
        yield
    except RowboxError:
        raise
    except Exception as error:  # noqa: BLE001 - rocksdict has no type of its own
        if "Corruption" in str(error):
            raise damaged(folder, str(error)) from error.with_traceback(None)
        raise StoreUnavailable(f"the store in {folder} could not be read: {error}") from error.with_traceback(None)


def writing_error(error: Exception, folder: Path) -> StoreUnusable:
    """The error for a write that failed. Nobody knows what of it reached the disk, so the store must not be used any
    more.
    """
    return StoreUnusable(
        f"writing to the store in {folder} failed: {error}. What was confirmed is safe. "
        "See to the device (room, health, permissions), then start again."
    )
