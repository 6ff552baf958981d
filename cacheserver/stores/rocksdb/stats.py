"""Figures about an open RocksDB, for people and metrics."""

from pathlib import Path

from rowbox.cacheserver.stores.rocksdb.database import SEPARATOR, Database
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import META_START

_SAMPLED_CELLS = 1000
_KEYS = "rocksdb.estimate-num-keys"


def disk_bytes(folder: Path) -> int:
    """What the folder's files take; a file that goes away meanwhile counts as nothing."""
    total = 0
    for path in folder.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def rows_estimate(database: Database) -> int:
    """How many mailboxes there are: exact below a thousand cells, else by the cells per row of the first thousand.

    Every mailbox has a cell in `i`, and RocksDB knows about how many cells a family has.
    """
    index = database.families[Family.INDEX]
    cells = index.iter()
    cells.seek_to_first()
    seen: set[bytes] = set()
    sampled = 0
    while cells.valid() and sampled < _SAMPLED_CELLS:
        row = cells.key().partition(SEPARATOR)[0]
        if row.startswith(META_START):
            break  # behind every mailbox stands what the store knows of itself
        seen.add(row)
        sampled += 1
        cells.next()
    if sampled < _SAMPLED_CELLS:
        return len(seen)
    return len(seen) * (index.property_int_value(_KEYS) or sampled) // sampled
