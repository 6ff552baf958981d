"""The names of what belongs to an embedded store and is not RocksDB's, in the store's folder and beside it.

store/rowbox.checkpoint    the checkpoint that a backup is made of, while it is made. It is in the store's folder,
                    because only on the store's own device the server can link files in place of copying them
store.restoring     the store that a restore makes. While it is there and no store is, no server makes a new store
store.replaced-...  a store that a restore moved aside, for the operator to remove
store.last-backup   when the last backup was made, and where it was put

A kill leaves the first two behind; the next start removes them.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final

import msgspec

from rowbox.cacheserver.stores.files.durable_files import write_whole
from rowbox.mailbox.clocks.clock import US_PER_S

INSIDE: Final = "store"
"""The folder inside a checkpoint, a backup and a restore that holds the files, so that they look like a data folder."""

CONTENTS: Final = "rowbox.backup"
"""The file in a backup's store that lists the backup's files (cacheserver/stores/rocksdb/backup.py)."""


class LastBackup(msgspec.Struct, frozen=True):
    """The last backup. Everything that was confirmed by `as_of_us`, in microseconds since the epoch, is in it; it was
    put into `folder`.
    """

    as_of_us: int
    folder: str


def utc_text(time_us: int) -> str:
    """A time in microseconds since the epoch as text for people: 2026-11-27T12:00:00Z."""
    return f"{datetime.fromtimestamp(time_us // US_PER_S, UTC):%Y-%m-%dT%H:%M:%SZ}"


def checkpoint_of(store: Path) -> Path:
    return store / "rowbox.checkpoint"


def restoring_of(store: Path) -> Path:
    return store.with_name(f"{store.name}.restoring")


def replaced_of(store: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Path:
    """A fresh name, beside the store, for a store that is moved aside."""
    name = f"{store.name}.replaced-{now():%Y%m%dT%H%M%SZ}"
    names = (store.with_name(name if number == 1 else f"{name}-{number}") for number in count(1))
    return next(path for path in names if not path.exists())


def is_backup(store: Path) -> bool:
    """Whether `store` is in a backup that `rowbox backup` made, and is not a restored copy of one."""
    return (store / CONTENTS).exists()


def last_backup(store: Path) -> LastBackup | None:
    """The last backup. None where none was made, or where the note of it does not read back, which harms nothing."""
    with suppress(OSError, msgspec.DecodeError, msgspec.ValidationError):
        return msgspec.json.decode(_note_of(store).read_bytes(), type=LastBackup)
    return None


def note_backup(store: Path, backup: LastBackup) -> None:
    """Notes the last backup, durably. OSError where that fails."""
    write_whole(_note_of(store), msgspec.json.encode(backup))


def _note_of(store: Path) -> Path:
    return store.with_name(f"{store.name}.last-backup")
