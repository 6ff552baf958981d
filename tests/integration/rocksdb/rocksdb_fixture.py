"""A RocksDB store for the tests that treat its folder badly."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from rowbox.cacheserver.stores.port import Put, RowMutation, StoreReader
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.hbase_schema.families import Family

SHARDS = 64
MIB = 1 << 20


def open_store(folder: Path, **changed: Any) -> RocksStore:
    """A small store; `changed` are RocksStore.open's arguments."""
    arguments: dict[str, Any] = {
        "shards": SHARDS,
        "ttl_ms": {},
        "block_cache_bytes": 4 * MIB,
        "memtable_bytes": 4 * MIB,
        "min_free_bytes": 0,
    }
    return RocksStore.open(folder, **(arguments | changed))


@asynccontextmanager
async def opened(folder: Path, **changed: Any) -> AsyncIterator[RocksStore]:
    store = open_store(folder, **changed)
    try:
        yield store
    finally:
        await store.close()


def group(number: int, rows: int = 4, value: bytes = b"v" * 100) -> list[RowMutation]:
    """The rows of commit `number`: each in three families, so that a part of a commit would be seen."""
    puts = [Put(family, b"%08d" % number, value) for family in (Family.INDEX, Family.MESSAGES, Family.LOG)]
    return [RowMutation(b"0001/user%02d" % row, puts) for row in range(rows)]


async def numbers(store: StoreReader, rows: int = 4) -> list[int]:
    """Which commits are there, each in all its rows and families; fails where one is there in part."""
    families = [Family.INDEX, Family.MESSAGES, Family.LOG]
    read = [await store.get_row(mutation.row, families) for mutation in group(0, rows)]
    found = [[int(qualifier) for qualifier, _ in columns] for row in read for columns in row.values()]
    assert all(one == found[0] for one in found)
    return found[0]


def files(folder: Path, *patterns: str) -> dict[str, bytes]:
    """The folder's files by name; with `patterns` those that match one."""
    return {path.name: path.read_bytes() for pattern in patterns or ("*",) for path in folder.glob(pattern)}


@contextmanager
def writer(folder: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that has the store open (rocksdb_writer.py); killed at the end."""
    program = Path(__file__).with_name("rocksdb_writer.py")
    with subprocess.Popen(
        [sys.executable, str(program), str(folder), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def rest(process: "subprocess.Popen[str]") -> list[str]:
    """All it said after the last `line`, once it has ended. Not `communicate`: that skips what `line` read ahead."""
    assert process.stdout is not None
    return process.stdout.read().split()
