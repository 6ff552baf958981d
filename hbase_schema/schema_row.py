"""The schema's version and the number of shards that a table was made with, in SCHEMA_ROW of the table's family `i`.

`rowbox schema apply` writes them when the table is as planned; a server reads them when it opens the store. The same
row holds the history of the store (cacheserver/stores/history.py), in an embedded store too.
"""

from collections.abc import Iterable
from typing import NamedTuple

from rowbox.hbase_schema.families import SCHEMA_VERSION
from rowbox.mailbox.errors import StoreDamaged, StoreUnusable, StoreVersionMismatch

VERSION_QUALIFIER = b"version"
SHARDS_QUALIFIER = b"shards"
HISTORY_QUALIFIER = b"history"
HISTORY_BYTES = 16
SCHEMA_QUALIFIERS = (SHARDS_QUALIFIER, VERSION_QUALIFIER)


class SchemaRow(NamedTuple):
    """The schema's version and the number of shards."""

    version: int
    shards: int

    def columns(self) -> list[tuple[bytes, bytes]]:
        """Its qualifiers and values. Values are decimal text, so that an operator can read them in HBase's shell."""
        return [(SHARDS_QUALIFIER, b"%d" % self.shards), (VERSION_QUALIFIER, b"%d" % self.version)]


def decode_schema_row(columns: Iterable[tuple[bytes, bytes]]) -> SchemaRow | None:
    """The schema in `columns` of SCHEMA_ROW. None where the version is missing: it is written last, when all is done.

    StoreDamaged where the values are not two numbers.
    """
    values = dict(columns)
    if VERSION_QUALIFIER not in values:
        return None
    try:
        return SchemaRow(int(values[VERSION_QUALIFIER]), int(values[SHARDS_QUALIFIER]))
    except (KeyError, ValueError) as error:
        raise StoreDamaged(f"the schema's row does not read back: {values!r}") from error


def require_schema(columns: Iterable[tuple[bytes, bytes]], table: str) -> SchemaRow:
    """The schema in `columns`, which has to be one that this Rowbox can serve.

    StoreUnusable where there is none; StoreVersionMismatch where it is of another version.
    """
    found = decode_schema_row(columns)
    if found is None:
        raise StoreUnusable(f"table {table} holds no schema of Rowbox; make it with: rowbox schema apply")
    if found.version != SCHEMA_VERSION:
        found_and_needed = f"schema version {found.version}, this Rowbox needs {SCHEMA_VERSION}"
        raise StoreVersionMismatch(f"table {table} has {found_and_needed}; see: rowbox schema plan")
    return found


def encode_history(history: bytes) -> bytes:
    """`history` as it is stored: hexadecimal text."""
    return history.hex().encode()


def decode_history(value: bytes) -> bytes:
    """The inverse of `encode_history`; StoreDamaged where `value` is no id."""
    try:
        history = bytes.fromhex(value.decode("ascii"))
    except ValueError as error:
        raise StoreDamaged(f"the store's history does not read back: {value!r}") from error
    if len(history) != HISTORY_BYTES:
        raise StoreDamaged(f"the store's history does not read back: {value!r}")
    return history
