"""Puts a backup (backup.py) in a store's place, as a whole or not at all.

    1. the backup is copied to store.restoring, so that the backup stays as it is, whatever happens to the store
    2. the copy is opened, and begins another history
    3. the store that is there, if there is one, is moved aside, and the copy takes its name

A kill before step 3 leaves the store that was there. A kill in the middle of step 3 leaves no store; a server that is
started then refuses to start (folder.py), because it would begin an empty one. A second restore does all steps anew.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from rowbox.cacheserver.stores.files.beside import INSIDE, replaced_of, restoring_of
from rowbox.cacheserver.stores.files.disk import free_bytes
from rowbox.cacheserver.stores.files.durable_files import copy_new, scratch_folder, sync_folder, told
from rowbox.cacheserver.stores.rocksdb.backup import Contents, read_contents
from rowbox.cacheserver.stores.rocksdb.folder import FolderLock
from rowbox.hbase_schema.families import SCHEMA_VERSION
from rowbox.mailbox.errors import BadRequest, StoreFull, StoreUnusable, StoreVersionMismatch

BeginHistory = Callable[[Path], None]
"""A function that opens the store in a folder, begins another history of it, and closes it."""


class Restored(NamedTuple):
    """A restore that is done. `replaced` is the folder to which the store before it was moved; None without one."""

    contents: Contents
    replaced: Path | None


def restore_backup(
    backup: Path, store: Path, shards: int, begin_history: BeginHistory, *, replaces: bool, min_free_bytes: int
) -> Restored:
    """Makes `store` from `backup`, durably. With `replaces` a store that is there is moved aside. `min_free_bytes` stay
    free on the device.

    BadRequest, StoreDamaged and StoreVersionMismatch where the backup cannot be used; StoreLocked while a server has
    the store open, or another restore is at work; StoreFull, StoreUnusable, and what `begin_history` raises. After an
    error the store that was there is still there.
    """
    contents = read_contents(backup)
    _check_fits(contents, backup, shards)
    with told(f"nothing was restored to {store}"), ExitStack() as held:
        _check_can_be_replaced(store)
        if not store.parent.exists():
            store.parent.mkdir(0o700, parents=True)
        busy = f"a backup is being restored to {store}: wait for it"
        draft = held.enter_context(scratch_folder(restoring_of(store), busy))
        stands = _stands(store, replaces=replaces)
        if stands:
            lock = FolderLock(store)
            held.callback(lock.release)
        _check_room(contents, draft, min_free_bytes)
        (draft / INSIDE).mkdir(0o700)
        for name in contents.files:
            copy_new(backup / INSIDE / name, draft / INSIDE / name)
        begin_history(draft / INSIDE)
        sync_folder(draft / INSIDE)
        replaced = replaced_of(store) if stands else None
        if replaced is not None:
            store.rename(replaced)
        (draft / INSIDE).rename(store)
        sync_folder(store.parent)
    return Restored(contents, replaced)


def _check_fits(contents: Contents, backup: Path, shards: int) -> None:
    if contents.schema_version != SCHEMA_VERSION:
        raise StoreVersionMismatch(
            f"the backup in {backup} has schema version {contents.schema_version}, this Rowbox has {SCHEMA_VERSION}: "
            f"restore it with Rowbox {contents.rowbox}"
        )
    if contents.shards != shards:
        raise StoreVersionMismatch(
            f"the backup in {backup} has {contents.shards} shards, the settings say {shards}: set shards = "
            f"{contents.shards} (it is fixed for a store's life)"
        )


def _check_can_be_replaced(store: Path) -> None:
    """BadRequest where a rename, after all the copying, could not replace `store`: where it is a mount point or a link.
    A link could be replaced, but the store would then be on another device.
    """
    if store.is_symlink() or store.is_mount():
        what = "link" if store.is_symlink() else "mount point"
        raise BadRequest(
            f"{store} is a {what}, and a folder is to take its place: let {store.parent} be the {what} in its stead, "
            "or name another --data-dir"
        )


def _stands(store: Path, *, replaces: bool) -> bool:
    """Whether a store is there, damaged or not. BadRequest where there is one and `replaces` is False."""
    if not store.exists() or (store.is_dir() and not any(store.iterdir())):
        return False
    if store.stat().st_uid != os.geteuid():
        raise StoreUnusable(f"{store} belongs to another user: run this as the user that runs the server")
    if not replaces:
        raise BadRequest(f"there is a store in {store}: say --replace to have it moved aside, or name another folder")
    return True


def _check_room(contents: Contents, draft: Path, min_free_bytes: int) -> None:
    if contents.size_bytes + min_free_bytes > (free := free_bytes(draft)):
        raise StoreFull(
            f"nothing was restored: it takes {contents.size_bytes >> 20:,} MiB, {min_free_bytes >> 20:,} stay free "
            f"(store.min_free_bytes), {draft.parent} has {free >> 20:,} left"
        )
