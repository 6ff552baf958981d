"""Opening a store's folder, or making it.

One process owns a folder: the lock is taken before RocksDB looks at anything, because RocksDB moves the owner's info
log away before it finds out that there is an owner.

A folder is made in place (it may be a mount point), so a marker stands in it until all is on disk. A marker found at an
open means that the making was killed: nothing was ever confirmed, so it begins anew.
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
"""Linux, as ext4, XFS, Btrfs and F2FS answer it."""
_NOT_A_STORE = frozenset({LOCK, "lost+found"})


class FolderLock:
    """The right to write in a folder, held as long as this process lives or until `release`.

    `left` and `place` tell a folder from a copy of it: see _begin_history_if_put_back.
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
        """Where the last run held it whose place the database knows, and which one that was."""
        self._run = token_hex(8)
        self.place = self._place(self._run)
        """The same of this one."""
        self._say(run_before)

    def name_run(self) -> None:
        """To be called once the database knows `place`."""
        self._say(self._run)

    def release(self) -> None:
        """Ends the right; again, nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _say(self, run: str) -> None:
        """In place and in one write, no shorter than before: a kill leaves the old text or this one."""
        text = f"{os.getpid():>10} {run}".encode()
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))
        os.fsync(self._file)

    def _said(self) -> tuple[str, str]:
        """The process that wrote it last, and the name of the run."""
        process, run, *_ = [*os.pread(self._file, 100, 0).decode("ascii", "replace").split(), "?", "?"]
        return process, run

    def _place(self, run: str) -> bytes:
        return f"{os.fstat(self._file).st_ino} {_generation(self._file)} {run}".encode()


def _generation(descriptor: int) -> int:
    """What tells a file from an earlier one with its inode number; 0 where the file system does not say."""
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, _FS_IOC_GETVERSION, bytes(8))[:4], sys.byteorder)
    except OSError:
        return 0


def open_for_writing(folder: Path, shards: int, memory: RocksMemory) -> tuple[Database, FolderLock]:
    """The store in `folder`, made with `shards` shards if there is none; see RocksStore.open for the errors."""
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
    """What a killed backup left, and a killed restore, where it is known by now to be of no use: a store stands."""
    remove_leftover(checkpoint_of(folder))
    if (folder / "CURRENT").exists():
        remove_leftover(restoring_of(folder))


def _check_is_to_be_served(folder: Path) -> None:
    """Neither a backup, which would be none afterwards, nor the empty place of a store that is being restored."""
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
    """A view of the store in `folder` as of now and its SHARDS, also beside its owner; `scratch` takes its info log."""
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
    """Begins another history of the store (stores/history.py) where its folder is not as the last owner left it.

    Each process that opens the folder writes the name of its run into the database, then the same into the lock file,
    and into the database which file that is. A folder that was copied has another file there; a database that was put
    back under the file that was there knows another run. So a copy shows itself, but for one of the whole device: a
    volume or a machine that was set back to a snapshot. A process that dies between the two writes leaves no copy: the
    database knows the place before its own as well, and no copy of an earlier time has the file's run as that one.
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
    """The database's SHARDS; closes it if it is not what it should be."""
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
    """Opens and recovers. A write-ahead log that ends within a record is what a kill leaves; all else is damage.

    RocksDB's modes: *absolute* refuses both, *point in time* (rocksdict's default) accepts both and drops every record
    behind the damage, *tolerate corrupted tail* tells them apart, but takes a damaged length in the log's last 32 KiB
    for a torn end (tried, all three). So: absolute, and tolerate only after a look of our own at the end.
    """
    try:
        return Database(folder, memory, DBRecoveryMode.absolute_consistency(), AccessType.read_write())
    except Exception:
        if not ends_torn(folder):
            raise
    return Database(folder, memory, DBRecoveryMode.tolerate_corrupted_tail_records(), AccessType.read_write())
