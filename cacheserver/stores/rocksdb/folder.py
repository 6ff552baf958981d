"""Opening a store's folder, or making it.

One process owns a folder. It locks the folder before RocksDB looks at anything, because RocksDB moves the owner's info
log away before it finds out that there is an owner.

A new store is made in its final folder, which may be a mount point, so a marker file stands there until all of it is on
disk. A marker that is found at an open means that the process which made the store was killed. Nothing was ever
confirmed then, so the store is made anew.
"""

import fcntl
import logging
import os
import shlex
import sys
from pathlib import Path
from secrets import token_hex

from rocksdict import AccessType, DBRecoveryMode

from rowbox.cacheserver.stores.files.beside import checkpoint_of, is_backup, restoring_of
from rowbox.cacheserver.stores.files.durable_files import remove_leftover, sync_folder
from rowbox.cacheserver.stores.files.private import close_folder, holds, make_folder
from rowbox.cacheserver.stores.history import new_history
from rowbox.cacheserver.stores.rocksdb.database import Database, StoreIdentity, verified
from rowbox.cacheserver.stores.rocksdb.errors import damaged, locked, opening_error
from rowbox.cacheserver.stores.rocksdb.options import RocksMemory
from rowbox.cacheserver.stores.rocksdb.wal import ends_torn
from rowbox.hbase_schema.families import SCHEMA_VERSION
from rowbox.mailbox.errors import RowboxError, StoreUnusable

_log = logging.getLogger(__name__)

LOCK = "rowbox.lock"
_UNFINISHED = "rowbox.unfinished"
_FS_IOC_GETVERSION = 0x80087601
"""Linux's ioctl for the generation of a file, which ext4, XFS, Btrfs and F2FS answer."""
_NOT_A_STORE = frozenset({LOCK, "lost+found"})


class FolderLock:
    """The right to write in a folder, held until `release` or until this process ends.

    `left` and `place` tell a folder from a copy of it, for _begin_history_if_put_back.
    """

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            process, _ = self._said()
            self.release()
            raise locked(folder, f"process {process}") from error
        _, run_before = self._said()
        self.left = self._place(run_before)
        """The lock file (inode and generation) and the name of the last run that had called `name_run`."""
        self._run = token_hex(8)
        self.place = self._place(self._run)
        """The lock file (inode and generation) and the name of this run."""
        self._say(run_before)

    def name_run(self) -> None:
        """Writes the name of this run into the lock file. To be called when the database knows `place`."""
        self._say(self._run)

    def release(self) -> None:
        """Gives the right back. A second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _say(self, run: str) -> None:
        """Writes this process's id and the name `run` into the lock file. One write in place, no shorter than the text
        before it, so that a kill leaves the old text or the new one.
        """
        text = f"{os.getpid():>10} {run}".encode()
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))
        os.fsync(self._file)

    def _said(self) -> tuple[str, str]:
        """The process that wrote into the lock file last, and the name of the run that it wrote."""
        process, run, *_ = [*os.pread(self._file, 100, 0).decode("ascii", "replace").split(), "?", "?"]
        return process, run

    def _place(self, run: str) -> bytes:
        return f"{os.fstat(self._file).st_ino} {_generation(self._file)} {run}".encode()


def _generation(descriptor: int) -> int:
    """A number that tells a file from an earlier one with the same inode; 0 where the file system does not give one."""
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, _FS_IOC_GETVERSION, bytes(8))[:4], sys.byteorder)
    except OSError:
        return 0


def open_for_writing(folder: Path, shards: int, memory: RocksMemory) -> tuple[Database, FolderLock]:
    """Opens the store in `folder`, or makes one with `shards` shards. Errors as of RocksStore.open."""
    _check_is_to_be_served(folder)
    try:
        make_folder(folder)
        lock = FolderLock(folder)
        close_folder(folder)
        _remove_leftovers(folder)
    except OSError as error:
        raise StoreUnusable(f"no store can be opened in {folder}: {error.strerror}") from error
    try:
        database = _make_or_open(folder, shards, memory)
        _begin_history_if_put_back(database, lock)
        return database, lock
    except BaseException as error:
        lock.release()
        if isinstance(error, RowboxError) or not isinstance(error, Exception):
            raise
        raise opening_error(error, folder) from error


def _remove_leftovers(folder: Path) -> None:
    """Removes what a killed backup and a killed restore left. To be called when a store is there, because what the
    restore left is then of no use.
    """
    remove_leftover(checkpoint_of(folder))
    if (folder / "CURRENT").exists():
        remove_leftover(restoring_of(folder))


def _check_is_to_be_served(folder: Path) -> None:
    """Raises where `folder` is a backup, which a server would change, or the place of a restore under way."""
    if is_backup(folder):
        raise StoreUnusable(
            f"{folder.parent} is a backup: put it in a store's place, rowbox restore {shlex.quote(str(folder.parent))} "
            "--data-dir FOLDER"
        )
    if not (folder / "CURRENT").exists() and restoring_of(folder).exists():
        raise StoreUnusable(
            f"a restore to {folder} is at work, or was interrupted: run `rowbox restore` again; to begin an empty "
            f"store in its place, remove {restoring_of(folder)}"
        )


def open_for_reading(folder: Path, memory: RocksMemory, scratch: Path) -> tuple[Database, int]:
    """Opens a view of the store in `folder` as of now, also beside its owner; returns it with its number of shards.

    `scratch` is a folder for the view's own info log. Errors as of RocksStore.open.
    """
    if not holds(folder, "CURRENT"):
        raise StoreUnusable(f"there is no store in {folder}: name the folder that the server was started with")
    try:
        database = Database(folder, memory, DBRecoveryMode.point_in_time(), AccessType.secondary(str(scratch)))
        return database, _verified(database, None)
    except RowboxError:
        raise
    except Exception as error:
        raise opening_error(error, folder) from error


def _make_or_open(folder: Path, shards: int, memory: RocksMemory) -> Database:
    names = {path.name for path in folder.iterdir()} - _NOT_A_STORE
    if not names or _UNFINISHED in names:
        return _make(folder, names, shards, memory)
    if "CURRENT" not in names:
        raise damaged(folder, "it holds files, but not RocksDB's CURRENT")
    database = _open(folder, memory)
    _verified(database, shards)
    return database


def _begin_history_if_put_back(database: Database, lock: FolderLock) -> None:
    """Begins another history of the store (cacheserver/stores/history.py) where its folder was put back from a copy.

    Each process that opens the folder first writes its place (the lock file's inode and generation, and the name of its
    run) into the database, and then its run into the lock file. In a folder that was copied the lock file is another
    file. Where the database was put back under the lock file that was there, the lock file names another run than the
    database. Only a copy of the whole device is not noticed: a volume or a machine that was set back to a snapshot.

    A process that dies between the two writes is not taken for a copy, because the database also knows the place before
    its own, and no copy of an earlier time has the lock file's run as that one.
    """
    try:
        known = database.places()
        history = None if lock.left in known else new_history()
        if known and history is not None:
            _log.warning("the store in %s was put back from a copy: its clients begin anew", database.folder)
        database.note_place(lock.place, lock.left, history)
        lock.name_run()
    except BaseException:
        database.close()
        raise


def _verified(database: Database, shards: int | None) -> int:
    """The database's number of shards. Errors as of `verified`; then the database is closed."""
    try:
        return verified(database, shards).shards
    except BaseException:
        database.close()
        raise


def _make(folder: Path, leftovers: set[str], shards: int, memory: RocksMemory) -> Database:
    marker = folder / _UNFINISHED
    marker.touch()
    sync_folder(folder)
    for name in leftovers - {_UNFINISHED}:
        (folder / name).unlink()
    database = Database(folder, memory, DBRecoveryMode.absolute_consistency(), AccessType.read_write(), create=True)
    database.write_identity(StoreIdentity(SCHEMA_VERSION, shards))
    marker.unlink()
    sync_folder(folder)
    return database


def _open(folder: Path, memory: RocksMemory) -> Database:
    """Opens the database and recovers it from its write-ahead log. A log that ends within a record is what a kill
    leaves; any other fault in it is damage.

    Of RocksDB's recovery modes, *absolute* refuses both. *Point in time* (rocksdict's default) accepts both, and drops
    every record behind the damage. *Tolerate corrupted tail* tells them apart, but takes a damaged length in the log's
    last 32 KiB for a torn end. All three were tried. So the log is opened in absolute mode, and in the tolerant one
    only after `ends_torn` has found that the log ends within a record.
    """
    try:
        return Database(folder, memory, DBRecoveryMode.absolute_consistency(), AccessType.read_write())
    except Exception:
        if not ends_torn(folder):
            raise
    return Database(folder, memory, DBRecoveryMode.tolerate_corrupted_tail_records(), AccessType.read_write())
