"""The stores: memory (tests, both kinds of store, faults on demand) and RocksDB (embedded)."""
