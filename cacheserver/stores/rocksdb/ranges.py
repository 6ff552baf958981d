"""Reads ranges of columns from an open RocksDB, as of one moment. Blocking; raises rocksdict's exceptions.

Tests showed that rocksdict 0.3.29 behaves like this:

- An iterator that meets a damaged block just ends, and only `status()` says so. Its own `items()` never asks (432 of
  2,000 keys and no word), so every range here asks for the status at its end.
- An iterator made from a snapshot does not keep to the snapshot. One made from the database keeps to the moment at
  which it was made.
- An iterator does not keep its upper bound alive: once the ReadOptions are gone it ends anywhere. So Cells holds both.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rocksdict import Rdict, RdictIter, ReadOptions

from rowbox.cacheserver.stores.port import Column
from rowbox.cacheserver.stores.rocksdb.database import ROW_END, SEPARATOR, WRITE_TIME_BYTES, Database
from rowbox.hbase_schema.families import Family

SLICE_BYTES = 256 * 1024
SLICE_CELLS = 1000
"""The most bytes and the most cells that one slice looks at. Either takes about a millisecond."""


class Cells(NamedTuple):
    """A bounded iterator, and the options that hold its bound. They must live equally long."""

    iterator: RdictIter
    options: ReadOptions


def cells_before(source: Rdict, stop: bytes) -> Cells:
    """The cells with key < `stop`, as of now."""
    options = ReadOptions()
    options.set_iterate_upper_bound(stop)
    return Cells(source.iter(options), options)


def columns_from(
    bounded: Cells, start: bytes, skip: int, oldest_write_time: bytes, limit: int | None = None
) -> list[Column]:
    """The first `limit` unexpired columns from key `start` on. The first `skip` bytes of a key are the row's, and left
    off.
    """
    cells = bounded.iterator
    cells.seek(start)
    found: list[Column] = []
    while len(found) != limit and cells.valid():
        value = cells.value()
        if value[:WRITE_TIME_BYTES] >= oldest_write_time:
            found.append((cells.key()[skip:], value[WRITE_TIME_BYTES:]))
        cells.next()
    cells.status()
    return found


class Slice(NamedTuple):
    """The next columns of a range, and the key with which it goes on, None at its end."""

    columns: list[Column]
    next_key: bytes | None


def slice_from(bounded: Cells, start: bytes, skip: int, oldest_write_time: bytes, limit: int, room_bytes: int) -> Slice:
    """The unexpired columns from key `start` on: at most `limit`, and none after the first that exceeds `room_bytes`.

    A slice also ends when it has looked at SLICE_BYTES or SLICE_CELLS, expired columns included.
    """
    cells = bounded.iterator
    cells.seek(start)
    found: list[Column] = []
    left_bytes, left_cells = SLICE_BYTES, SLICE_CELLS
    while cells.valid():
        if len(found) == limit or room_bytes < 0 or left_bytes < 0 or left_cells == 0:
            key: bytes = cells.key()
            return Slice(found, key)
        value = cells.value()
        left_bytes -= len(value)
        left_cells -= 1
        if value[:WRITE_TIME_BYTES] >= oldest_write_time:
            found.append((cells.key()[skip:], value[WRITE_TIME_BYTES:]))
            room_bytes -= len(value) - WRITE_TIME_BYTES
        cells.next()
    cells.status()
    return Slice(found, None)


def row_columns(cells: Cells, row: bytes, oldest_write_time: bytes, limit: int | None = None) -> list[Column]:
    """The first `limit` unexpired columns of a row, all where `limit` is None. `cells` must end with the row."""
    return columns_from(cells, row + SEPARATOR, len(row) + 1, oldest_write_time, limit)


def rows_at_one_moment(database: Database, row: bytes, families: Sequence[Family]) -> dict[Family, Cells]:
    """The row's cells in all `families` as of one moment: no write came between the making of the iterators.

    Making them takes microseconds, and a write comes at most every few hundred microseconds, so a second try is rare.
    """
    while True:
        before = database.rocks.latest_sequence_number()
        cells = {family: cells_before(database.families[family], row + ROW_END) for family in families}
        if database.rocks.latest_sequence_number() == before:
            return cells


def first_row(source: Rdict, start: bytes, stop: bytes) -> bytes | None:
    """The least row key with `start` <= key < `stop`. None where there is none."""
    bounded = cells_before(source, stop)
    cells = bounded.iterator
    cells.seek(start)
    if cells.valid():
        key: bytes = cells.key()
        return key[: key.index(SEPARATOR)]
    cells.status()
    return None


def cells_of(source: Rdict, keys: list[bytes]) -> list[bytes | None]:
    """The cells of exact keys, None for an absent one, as of one moment. Lets go of the GIL while it reads the disk."""
    found: list[bytes | None] = source.get(list[bytes | str | int | float | bool](keys)) or []
    return found
