"""How RocksDB is set up, and why.

memory    All families share one block cache and one write buffer manager. Index blocks live in the cache too, because
          else they would grow with the data, outside every bound. When the memtables together reach their budget, some
          are flushed.
no bloom  Every hot read is a range (a page, a log, a row, the copies of a message), and a bloom filter answers only for
          whole keys. Without one, a probe for a range's first key needs exactly the blocks that the range begins with;
          reads.py relies on this.
recovery  rocksdict's default drops confirmed rows behind a damaged record without a word, so folder.py sets the mode.
LZ4       rocksdict's wheel has it. Blocks are 16 KiB, so a page of messages lies in one or two of them.
"""

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    WriteBufferManager,
    WriteOptions,
)

STALLED = "Result incomplete"
_BLOCK_BYTES = 16 << 10
_TABLE_FORMAT = 5
_LOG_BYTES = 4 << 20
_LOG_FILES = 4
_SYNC_STEP_BYTES = 1 << 20
_TOMBSTONE_WINDOW = 1024
_TOMBSTONE_TRIGGER = 512


ALL_FILES = -1
"""The value of max_open_files that keeps all files open. A secondary reader needs it, because the owner deletes files.
The owner opens files again as they are needed: with all of them open, a growing store would one day have no descriptor
left for a new memtable's log, and end."""


class RocksMemory:
    """The memory that one open RocksDB may use. Its families share it."""

    def __init__(self, block_cache_bytes: int, memtable_bytes: int, max_open_files: int = ALL_FILES) -> None:
        self.cache = Cache(block_cache_bytes)
        # Writes do not stall during a flush. set_max_write_buffer_number bounds the memory that they take meanwhile.
        self.write_buffers = WriteBufferManager(memtable_bytes, False)
        self.memtable_bytes = memtable_bytes
        self.max_open_files = max_open_files


def database_options(memory: RocksMemory, recovery: DBRecoveryMode, *, create: bool) -> Options:
    """The options of the database and of its default column family."""
    options = family_options(memory)
    options.create_if_missing(create)
    options.create_missing_column_families(create)
    options.set_wal_recovery_mode(recovery)
    options.set_write_buffer_manager(memory.write_buffers)
    options.set_max_total_wal_size(2 * memory.memtable_bytes)  # families that rarely flush keep no old logs alive
    options.set_max_open_files(memory.max_open_files)
    options.set_bytes_per_sync(_SYNC_STEP_BYTES)  # a flush does not hand the device 64 MiB at once beside our fsyncs
    options.set_max_log_file_size(_LOG_BYTES)
    options.set_keep_log_file_num(_LOG_FILES)
    options.set_stats_dump_period_sec(0)
    options.enable_statistics()
    return options


def family_options(memory: RocksMemory) -> Options:
    """The options of every column family."""
    table = BlockBasedOptions()
    table.set_block_cache(memory.cache)
    table.set_block_size(_BLOCK_BYTES)
    table.set_format_version(_TABLE_FORMAT)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options = Options(raw_mode=True)
    options.set_block_based_table_factory(table)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(memory.memtable_bytes // 2)
    options.set_max_write_buffer_number(2)
    # The purge leaves runs of tombstones at the beginnings of rows: files full of them are compacted soon.
    options.add_compact_on_deletion_collector_factory(_TOMBSTONE_WINDOW, _TOMBSTONE_TRIGGER, 0.0)
    return options


def write_options(*, sync: bool) -> WriteOptions:
    """The options of one write. Where RocksDB would make it wait, it fails with `STALLED` and writes nothing."""
    options = WriteOptions()
    options.sync = sync
    options.no_slowdown = True
    return options
