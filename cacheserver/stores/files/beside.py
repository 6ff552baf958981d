"""What is of an embedded store and none of RocksDB's: beside its folder, in the data folder, and in it.

store/rowbox.checkpoint    what a backup is made of, while it is made: on the store's own device, whatever is mounted or
                    linked where, because only there the server links files in place of copying them
store.restoring     what a restore makes; while no store stands, no new one is made beside it
store.replaced-...  a store that a restore moved aside; the operator's to remove
store.last-backup   when the last backup was made, and where it was put

The first two are left by a kill; the next start removes them.
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
"""The folder inside a checkpoint, a backup and a restore in which the files lie: a backup reads like a data folder."""

CONTENTS: Final = "rowbox.backup"
"""The file in a backup's store that says what belongs to it (rocksdb/backup.py)."""


class LastBackup(msgspec.Struct, frozen=True):
    """`as_of_us`: what was confirmed by then is in it; microseconds. `folder`: where it was put."""

    as_of_us: int
    folder: str


def utc_text(time_us: int) -> str:
    """A time for people: 2026-11-27T12:00:00Z."""
    return f"{datetime.fromtimestamp(time_us // US_PER_S, UTC):%Y-%m-%dT%H:%M:%SZ}"


def checkpoint_of(store: Path) -> Path:
    return store / "rowbox.checkpoint"


def restoring_of(store: Path) -> Path:
    return store.with_name(f"{store.name}.restoring")


def replaced_of(store: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Path:
    """A name that nothing has."""
    name = f"{store.name}.replaced-{now():%Y%m%dT%H%M%SZ}"
    names = (store.with_name(name if number == 1 else f"{name}-{number}") for number in count(1))
    return next(path for path in names if not path.exists())


def is_backup(store: Path) -> bool:
    """Whether it is one that `rowbox backup` made, and nobody restored."""
    return (store / CONTENTS).exists()


def last_backup(store: Path) -> LastBackup | None:
    """None where none was made, or where what stands does not read back: it is no more than a note."""
    with suppress(OSError, msgspec.DecodeError, msgspec.ValidationError):
        return msgspec.json.decode(_note_of(store).read_bytes(), type=LastBackup)
    return None


def note_backup(store: Path, backup: LastBackup) -> None:
    """Durably. OSError."""
    write_whole(_note_of(store), msgspec.json.encode(backup))


def _note_of(store: Path) -> Path:
    return store.with_name(f"{store.name}.last-backup")
