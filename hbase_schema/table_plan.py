"""The table as it should be made, as data: its families with HBase's own attributes, and where it is split.

Pure. The names and values are those of HBase's shell (`alter 't', {NAME => 'm', TTL => 604800}`). Thrift2 carries the
same ones, so nothing is translated between this module and a cluster.

Why each attribute is as it is: docs/adr/0011-how-tables-are-made.md.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from rowbox.hbase_schema.families import Family, ttl_ms
from rowbox.hbase_schema.keys import META_START, shard_range
from rowbox.mailbox.settings.config import StoreSettings

FOREVER_S: Final = (1 << 31) - 1
"""The TTL, in seconds, of families that keep cells for ever: 68 years, the longest that HBase knows."""
DEFAULT_REGIONS: Final = 16

Attributes = Mapping[str, str]
"""HBase's attributes of a column family, by their names in its shell."""


class Compression(StrEnum):
    """The compressions of a family's files. A cluster refuses one for which its servers have no library."""

    NONE = "NONE"
    GZ = "GZ"
    SNAPPY = "SNAPPY"
    LZ4 = "LZ4"
    ZSTD = "ZSTD"


class TablePlan(NamedTuple):
    """One table, and the number of shards that its rows are spread over."""

    table: str
    shards: int
    families: Mapping[Family, Attributes]
    split_points: tuple[bytes, ...]
    """The first row keys of all regions but the first, in ascending order."""


def plan_table(
    table: str, settings: StoreSettings, *, regions: int = DEFAULT_REGIONS, compression: Compression = Compression.NONE
) -> TablePlan:
    """The table that `settings` ask for, with `regions` regions of shards, at most one for each shard."""
    ttl = ttl_ms(settings)
    families = {family: _attributes(family, ttl.get(family), compression) for family in Family}
    return TablePlan(table, settings.shards, families, split_points(settings.shards, regions))


def split_points(shards: int, regions: int) -> tuple[bytes, ...]:
    """The row keys that cut `shards` into `regions` parts, equal but for one shard, and the key before `meta/`.

    The rows of `meta/` have a region of their own, so that leases and the map do not wait behind the mailboxes of a
    busy region, and do not move when that region splits.
    """
    firsts = [number * shards // regions for number in range(1, regions)]
    return (*(shard_range(range(first, first + 1))[0] for first in firsts), META_START)


def _attributes(family: Family, family_ttl_ms: int | None, compression: Compression) -> Attributes:
    return {
        "VERSIONS": "1",
        "MIN_VERSIONS": "0",
        "KEEP_DELETED_CELLS": "FALSE",
        "TTL": str(FOREVER_S if family_ttl_ms is None else ttl_s(family_ttl_ms)),
        "BLOOMFILTER": "ROW",
        "DATA_BLOCK_ENCODING": "FAST_DIFF",
        "COMPRESSION": compression.value,
        "BLOCKSIZE": str(64 * 1024),
        "BLOCKCACHE": "true",
        "IN_MEMORY": "true" if family is Family.INDEX else "false",
    }


def ttl_s(duration_ms: int) -> int:
    """A TTL in seconds, as HBase counts them, rounded up so that no cell is gone before its time."""
    return min(-(-duration_ms // 1000), FOREVER_S)
