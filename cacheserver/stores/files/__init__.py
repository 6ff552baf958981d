"""The files of an embedded store that are none of RocksDB's, and files that are whole or not there."""
