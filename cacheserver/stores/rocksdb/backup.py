"""A backup of an embedded store: a folder TO with the store as of one moment. It is opened once before it counts.

    TO/store/        the files of a checkpoint, and what the store remembers of the time (clock_file.py)
    TO/store/rowbox.backup    lists the files of the backup, with their sizes; a folder without it is no backup, and one
                              whose files differ from it is damaged

It is made beside TO under a name that begins with a dot, and renamed when all of it is on the disk, so TO is whole or
not there. Files that RocksDB never changes are hard links to the store's files, which take no time and no room, where
both are on one file system. Elsewhere they are copied.

Verbs read the folder as a data folder (`rowbox check --data-dir TO`), but no server starts on it; a restore copies it.
"""

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from rowbox.cacheserver.clocks import wall_clock_us
from rowbox.cacheserver.stores.files import clock_file
from rowbox.cacheserver.stores.files.beside import CONTENTS, INSIDE, LastBackup, checkpoint_of, note_backup
from rowbox.cacheserver.stores.files.disk import free_bytes
from rowbox.cacheserver.stores.files.durable_files import (
    copy_new,
    link_or_copy,
    scratch_folder,
    sync_folder,
    told,
    write_new,
)
from rowbox.cacheserver.stores.rocksdb.database import StoreIdentity
from rowbox.mailbox.errors import BadRequest, StoreDamaged, StoreFull, StoreUnusable

_FORMAT: Final = 1
_NEVER_CHANGED: Final = ".sst"

MakeCheckpoint = Callable[[Path], None]
"""A function that makes a checkpoint of the store in a folder that does not exist yet. Everything that was confirmed
before the call is in it."""
Identify = Callable[[Path], StoreIdentity]
"""A function that opens the store in a folder without changing it, and returns what it was made with."""


class Contents(msgspec.Struct, frozen=True):
    """What is in a backup. Everything that was confirmed by `as_of_us`, in microseconds since the epoch, is in it.
    `files` has the size in bytes of each file by its name.
    """

    format: int
    as_of_us: int
    rowbox: str
    schema_version: int
    shards: int
    files: dict[str, int]

    @property
    def size_bytes(self) -> int:
        return sum(self.files.values())


class _Made(msgspec.Struct):
    """The fields that the list of every format has."""

    format: int
    rowbox: str


def make_backup(store: Path, to: Path, version: str, checkpoint: MakeCheckpoint, identify: Identify) -> Contents:
    """Makes a backup of the store in `to`, an absolute path. It is durable when this returns. `version` is Rowbox's.

    BadRequest where `to` cannot be used; StoreLocked while another backup of the store is being made; StoreFull and
    StoreUnusable where the backup cannot be made; and what `checkpoint` and `identify` raise. After an error nothing of
    the backup is left.
    """
    with told(f"no backup was made in {to}"):
        _check_target(store, to)
    busy = f"a backup of {store}, or one to {to}, is being made: wait for it"
    with (
        told(f"no backup was made in {to}"),
        scratch_folder(checkpoint_of(store), busy) as made,
        scratch_folder(to.with_name(f".{to.name}.partial"), busy) as draft,
    ):
        as_of_us = wall_clock_us()
        checkpoint(made / INSIDE)
        _check_room(made / INSIDE, draft)
        (draft / INSIDE).mkdir(0o700)
        _fill(draft / INSIDE, made / INSIDE, store)
        contents = _described(draft / INSIDE, as_of_us, version, _identified(draft / INSIDE, store, identify))
        write_new(draft / INSIDE / CONTENTS, msgspec.json.encode(contents))
        sync_folder(draft / INSIDE)
        sync_folder(draft)
        draft.rename(to)
        sync_folder(to.parent)
    with told(f"the backup is in {to}, but the store does not know of it"):
        note_backup(store, LastBackup(as_of_us, str(to)))
    return contents


def read_contents(backup: Path) -> Contents:
    """What is in the backup; all its files are there. BadRequest where it is no backup, StoreDamaged where files are
    missing or have other sizes.
    """
    path = backup / INSIDE / CONTENTS
    try:
        text = path.read_bytes()
        made = msgspec.json.decode(text, type=_Made)  # decoded first, because a later format may have any other fields
        if made.format != _FORMAT:
            raise BadRequest(f"the backup in {backup} was made by Rowbox {made.rowbox}, in a format of later: use that")
        contents = msgspec.json.decode(text, type=Contents)
    except FileNotFoundError as error:
        raise BadRequest(f"{backup} is no backup that `rowbox backup` made: there is no {path}") from error
    except OSError as error:
        raise StoreUnusable(f"the backup in {backup} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise StoreDamaged(f"the backup in {backup} is damaged: {path} does not read back: {error}") from error
    for name, size_bytes in contents.files.items():
        _check_file(backup, name, size_bytes)
    return contents


def _check_file(backup: Path, name: str, size_bytes: int) -> None:
    path = backup / INSIDE / name
    found = path.stat().st_size if path.is_file() else None
    if Path(name).name != name or found != size_bytes:
        what = "is not there" if found is None else f"has {found:,} bytes and not {size_bytes:,}"
        raise StoreDamaged(f"the backup in {backup} is not whole: {path} {what}. Take another one, or copy it again.")


def _check_target(store: Path, to: Path) -> None:
    place = to.resolve()
    if any(place.is_relative_to(folder.resolve()) for folder in (store.parent, store)):
        raise BadRequest(f"{to} is in the data folder: whatever takes that takes the backup along; name another place")
    if not to.parent.is_dir():
        raise BadRequest(f"{to.parent} is no folder: make it (or mount it) first")
    if to.is_symlink() or (to.exists() and not to.is_dir()) or (to.is_dir() and any(to.iterdir())):
        raise BadRequest(f"{to} is there already: name a folder that is not there, or is empty")
    if to.is_mount():
        raise BadRequest(f"{to} is a mount point: name a folder in it that is not there yet")
    if store.stat().st_uid != os.geteuid():
        raise StoreUnusable(f"{store} belongs to another user: run this as the user that runs the server")


def _check_room(checkpoint: Path, draft: Path) -> None:
    """StoreFull where the files would have to be copied and do not fit. To be called before anything is copied."""
    if _is_one_file_system(checkpoint, draft):
        return
    needed = sum(path.stat().st_size for path in checkpoint.iterdir())
    if needed > (free := free_bytes(draft)):
        raise StoreFull(f"no backup was made: it takes {needed >> 20:,} MiB, {draft.parent} has {free >> 20:,} left")


def _is_one_file_system(checkpoint: Path, draft: Path) -> bool:
    return checkpoint.stat().st_dev == draft.stat().st_dev


def _fill(draft: Path, checkpoint: Path, store: Path) -> None:
    for path in sorted(checkpoint.iterdir()):
        place = link_or_copy if path.suffix == _NEVER_CHANGED else copy_new
        place(path, draft / path.name)
    clock = store / clock_file.NAME
    if clock.exists():  # a server replaces the file as a whole, so it is never read in the middle of a change
        copy_new(clock, draft / clock_file.NAME)


def _identified(draft: Path, store: Path, identify: Identify) -> StoreIdentity:
    """What the store in `draft` was made with. StoreDamaged where it does not open: then the store itself is damaged,
    most likely.
    """
    try:
        return identify(draft)
    except StoreDamaged as error:
        look = f"rowbox check --data-dir {shlex.quote(str(store.parent))}"
        raise StoreDamaged(f"no backup was made: what {store} gave does not open; look at it by `{look}`") from error


def _described(draft: Path, as_of_us: int, version: str, identity: StoreIdentity) -> Contents:
    files = {path.name: path.stat().st_size for path in sorted(draft.iterdir())}
    return Contents(_FORMAT, as_of_us, version, identity.schema_version, identity.shards, files)
