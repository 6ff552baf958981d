"""The table as it should be made, as data: its families with HBase's own attributes, and where it is split.

Pure. The names and values are those of HBase's shell (`alter 't', {NAME => 'm', TTL => 604800}`), which are also those
that Thrift2 carries: no second vocabulary stands between this page and a cluster.

Why each attribute is as it is: docs/adr/0011-how-tables-are-made.md.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from rowbox.hbase_schema.families import Family, ttl_ms
from rowbox.hbase_schema.keys import META_START, shard_range
from rowbox.mailbox.settings.config import StoreSettings

FOREVER_S: Final = (1 << 31) - 1
"""HBase's TTL of what is kept: 68 years, and the most that it can say."""
DEFAULT_REGIONS: Final = 16

Attributes = Mapping[str, str]
"""HBase's attributes of a column family, by their names in its shell."""


class Compression(StrEnum):
    """What a family's files may be compressed with. A cluster refuses what its servers have no library for."""

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
    """The first rows of all regions but the first, ascending."""


def plan_table(
    table: str, settings: StoreSettings, *, regions: int = DEFAULT_REGIONS, compression: Compression = Compression.NONE
) -> TablePlan:
    """The table that `settings` ask for, with `regions` regions of shards, at most one for each shard."""
    ttl = ttl_ms(settings)
    families = {family: _attributes(family, ttl.get(family), compression) for family in Family}
    return TablePlan(table, settings.shards, families, split_points(settings.shards, regions))


def split_points(shards: int, regions: int) -> tuple[bytes, ...]:
    """Boundaries that cut `shards` into `regions` parts, equal but for one shard, and the one before `meta/`.

    The rows of `meta/` have a region of their own: what decides who may serve must not wait behind the mailboxes of a
    busy region, nor move when that one splits.
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
    """A TTL in HBase's seconds, rounded up: nothing is gone before its time."""
    return min(-(-duration_ms // 1000), FOREVER_S)
