"""RocksDB's options for the ceilings: those of cacheserver/stores/rocksdb/options.py that cost time or bytes."""

from typing import Any

import rocksdict as rocks


def options(config: dict[str, Any]) -> rocks.Options:
    """Options for a database and for a column family. `config` has memtable_bytes and cache_bytes."""
    table, made = rocks.BlockBasedOptions(), rocks.Options(raw_mode=True)
    table.set_block_cache(rocks.Cache(config["cache_bytes"]))
    table.set_block_size(16 << 10)
    table.set_format_version(5)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    made.set_block_based_table_factory(table)
    made.set_compression_type(rocks.DBCompressionType.lz4())
    made.set_write_buffer_manager(rocks.WriteBufferManager(config["memtable_bytes"], False))
    made.set_write_buffer_size(config["memtable_bytes"] // 2)
    made.set_max_total_wal_size(2 * config["memtable_bytes"])
    made.set_max_write_buffer_number(2)
    made.set_bytes_per_sync(1 << 20)
    made.enable_statistics()
    made.create_missing_column_families(True)
    return made
