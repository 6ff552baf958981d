"""The files of an embedded store that are not RocksDB's, and the writing of files that are whole or not there."""
