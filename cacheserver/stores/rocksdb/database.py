"""An open RocksDB: its families, what identifies it, and its orderly end.

Each family is a RocksDB column family, and each column is one key in it::

    row 00 qualifier  ->  write time in ms (8 bytes, big-endian)  payload

No row key holds a zero byte, so keys sort by row and then by qualifier. The default column family holds what the store
was made with (its schema version and its SHARDS) and the place where it was last opened (folder.py).

rocksdict keeps a database (and its lock) open as long as any object made from it lives: handles, iterators, snapshots,
families. So such objects stay in this module, or do not outlive one call.
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
"""The write time of a column in a family whose cells never expire."""


class StoreIdentity(NamedTuple):
    """The schema version and the number of shards that a store was made with."""

    schema_version: int
    shards: int


class Database:
    """An open RocksDB with Rowbox's families. Methods block and raise rocksdict's exceptions."""

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
        """What the store was made with. None where the folder belongs to another program."""
        version, shards = self.rocks.get(_VERSION_KEY), self.rocks.get(_SHARDS_KEY)
        return None if version is None or shards is None else StoreIdentity(int(version), int(shards))

    def places(self) -> list[bytes]:
        """The place that the last owner noted, and the place before that. Empty where no owner ever noted one."""
        noted = [self.rocks.get(key) for key in (_PLACE_KEY, _PLACE_BEFORE_KEY)]
        return [place for place in noted if isinstance(place, bytes)]

    def note_place(self, place: bytes, before: bytes, history: bytes | None) -> None:
        """Notes durably the place of this owner, and the place `before`. Where `history` is given, the same write
        begins that history of the store.
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
        """Makes `folder`, which must not exist: the database as of now, with hard links to files that never change.

        A flush lets go of the GIL, but the checkpoint of rocksdict 0.3.29 does not. So everything is flushed first; the
        checkpoint then flushes, and copies of the write-ahead log, only what was written meanwhile.
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
        """Closes the database. Cells that could not be flushed are in the write-ahead log, where the next open reads
        them.
        """
        self.handles.clear()
        failures = []
        for part in (*self.families.values(), self.rocks):
            try:
                part.close()  # flushes first
            except Exception as error:  # noqa: BLE001 - rocksdict has no type of its own
                failures.append(str(error))
        if failures:  # one line is enough: as a rule all have one reason, and another line says what to do
            _log.warning("the store in %s was closed without a flush: %s", self.folder, failures[0])
        self.families.clear()


def verified(database: Database, shards: int | None) -> StoreIdentity:
    """What `database` was made with.

    StoreDamaged where it is not a whole store of Rowbox; StoreVersionMismatch where it has another schema version, or
    not the number `shards`, where that is given.
    """
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
