"""An open RocksDB: its families, what identifies it, and its orderly end.

A column is a key of its family's column family::

    row 00 qualifier  ->  write time in ms (8 bytes, big-endian)  payload

No row key holds a zero byte, so keys sort by row and then by qualifier. The default column family holds what the store
was made with, its schema version and its SHARDS, and the place where it was opened last (rocksdb_folder).

rocksdict keeps a database (and its lock) open as long as any object made from it lives: handles, iterators, snapshots,
families. So everything of that kind stays in here, or does not outlive one call.
"""

import logging
from pathlib import Path
from typing import NamedTuple

from rocksdict import AccessType, Checkpoint, ColumnFamily, DBRecoveryMode, Options, Rdict, WriteBatch, WriteOptions

from rowbox.cacheserver.stores.rocksdb.errors import damaged
from rowbox.cacheserver.stores.rocksdb.options import RocksMemory, database_options, family_options
from rowbox.hbase_schema.families import SCHEMA_VERSION, Family
from rowbox.hbase_schema.keys import SCHEMA_ROW
from rowbox.hbase_schema.schema_row import HISTORY_QUALIFIER, encode_history
from rowbox.mailbox.errors import StoreVersionMismatch

_log = logging.getLogger(__name__)

SEPARATOR = b"\x00"
ROW_END = b"\x01"
"""A row's keys are those from row + SEPARATOR to before row + ROW_END."""
WRITE_TIME_BYTES = 8

_VERSION_KEY = b"schema_version"
_SHARDS_KEY = b"shards"
_PLACE_KEY = b"place"
_PLACE_BEFORE_KEY = b"place_before"
_HISTORY_KEY = SCHEMA_ROW + SEPARATOR + HISTORY_QUALIFIER
_NO_TIME = bytes(WRITE_TIME_BYTES)
"""Of a column in a family that keeps everything."""


class StoreIdentity(NamedTuple):
    """What a store was made with."""

    schema_version: int
    shards: int


class Database:
    """RocksDB with our families. Methods block and raise rocksdict's exceptions."""

    def __init__(
        self, folder: Path, memory: RocksMemory, recovery: DBRecoveryMode, access: AccessType, *, create: bool = False
    ) -> None:
        self.folder = folder
        self.memory = memory
        self.options: Options = database_options(memory, recovery, create=create)
        names = [str(family) for family in Family] if create else Rdict.list_cf(str(folder), self.options)
        others = {name: family_options(memory) for name in names if name != "default"}
        self.rocks = Rdict(str(folder), self.options, others, access)
        known = [family for family in Family if create or family in names]
        self.families: dict[Family, Rdict] = {family: self.rocks.get_column_family(family) for family in known}
        self.handles: dict[Family, ColumnFamily] = {
            family: self.rocks.get_column_family_handle(family) for family in known
        }

    def write_identity(self, identity: StoreIdentity) -> None:
        self.rocks.put(_VERSION_KEY, b"%d" % identity.schema_version)
        self.rocks.put(_SHARDS_KEY, b"%d" % identity.shards)
        self.rocks.flush()

    def identity(self) -> StoreIdentity | None:
        """None when the folder is some other program's."""
        version, shards = self.rocks.get(_VERSION_KEY), self.rocks.get(_SHARDS_KEY)
        return None if version is None or shards is None else StoreIdentity(int(version), int(shards))

    def places(self) -> list[bytes]:
        """What the last owner noted: its place, and the one before; none where no owner ever did."""
        noted = [self.rocks.get(key) for key in (_PLACE_KEY, _PLACE_BEFORE_KEY)]
        return [place for place in noted if isinstance(place, bytes)]

    def note_place(self, place: bytes, before: bytes, history: bytes | None) -> None:
        """Notes where this owner has it and where it was `before`, durably; in the same write the store's new history,
        where it begins one.
        """
        batch = WriteBatch(raw_mode=True)
        batch.put(_PLACE_KEY, place)
        batch.put(_PLACE_BEFORE_KEY, before)
        if history is not None:
            batch.put(_HISTORY_KEY, _NO_TIME + encode_history(history), self.handles[Family.INDEX])
        options = WriteOptions()
        options.sync = True
        self.rocks.write(batch, options)

    def checkpoint(self, folder: Path) -> None:
        """Makes `folder`, which is not there: the database as of now, files that never change as hard links.

        Flushing lets go of the GIL, the checkpoint (rocksdict 0.3.29) does not: so all is flushed before, and what it
        flushes again, and copies of the write-ahead log, is what was written meanwhile.
        """
        for family in (self.rocks, *self.families.values()):
            family.flush(True)
        Checkpoint(self.rocks).create_checkpoint(str(folder))

    def sync_count(self) -> int:
        """How often RocksDB has fsynced its write-ahead log, by its own statistics (0.3 ms)."""
        for line in (self.options.get_statistics() or "").splitlines():
            if line.startswith("rocksdb.wal.synced "):
                return int(line.rpartition(" ")[2])
        return -1

    def close(self) -> None:
        """Gives everything back. What could not be flushed is in the write-ahead log: the next open reads it there."""
        self.handles.clear()
        failures = []
        for part in (*self.families.values(), self.rocks):
            try:
                part.close()  # flushes first
            except Exception as error:  # noqa: BLE001 - rocksdict has no type of its own
                failures.append(str(error))
        if failures:  # as a rule all for one reason: one line, because another one says what to do
            _log.warning("the store in %s was closed without a flush: %s", self.folder, failures[0])
        self.families.clear()


def verified(database: Database, shards: int | None) -> StoreIdentity:
    """The identity of `database`; StoreVersionMismatch unless it is ours and (where given) has `shards` shards."""
    identity = database.identity()
    if identity is None:
        raise damaged(database.folder, "it does not say what it was made with; is it a Rowbox store?")
    if identity.schema_version != SCHEMA_VERSION:
        raise StoreVersionMismatch(
            f"the store in {database.folder} has schema version {identity.schema_version}, this Rowbox has "
            f"{SCHEMA_VERSION}: run the Rowbox it was made with, or name another folder"
        )
    if shards not in {None, identity.shards}:
        raise StoreVersionMismatch(
            f"the store in {database.folder} was made with {identity.shards} shards, the settings say {shards}: "
            f"set shards = {identity.shards} (it is fixed for a store's life), or name another folder"
        )
    if missing := [family.name for family in Family if family not in database.families]:
        raise damaged(database.folder, f"it lacks the families {', '.join(missing)}")
    return identity
