"""Figures about an open RocksDB, for people and metrics."""

from pathlib import Path

from rowbox.cacheserver.stores.rocksdb.database import SEPARATOR, Database
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import META_START

_SAMPLED_CELLS = 1000
_KEYS = "rocksdb.estimate-num-keys"


def disk_bytes(folder: Path) -> int:
    """The bytes that the folder's files take on the disk. A file that is removed meanwhile counts as nothing."""
    total = 0
    for path in folder.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def rows_estimate(database: Database) -> int:
    """How many mailboxes there are, about. It is exact below a thousand cells in `i`.

    Every mailbox has cells in `i`. RocksDB estimates how many cells the family has, and the first thousand of them show
    how many a mailbox has.
    """
    index = database.families[Family.INDEX]
    cells = index.iter()
    cells.seek_to_first()
    seen: set[bytes] = set()
    sampled = 0
    while cells.valid() and sampled < _SAMPLED_CELLS:
        row = cells.key().partition(SEPARATOR)[0]
        if row.startswith(META_START):
            break  # the rows of `meta/` sort behind every mailbox
        seen.add(row)
        sampled += 1
        cells.next()
    if sampled < _SAMPLED_CELLS:
        return len(seen)
    return len(seen) * (index.property_int_value(_KEYS) or sampled) // sampled
