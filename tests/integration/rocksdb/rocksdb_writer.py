"""The other process of the RocksDB tests: writes commits and says each number once it is confirmed.

    rocksdb_writer.py FOLDER [FIRST [COUNT [FSIZE]]]

After COUNT commits it waits to be killed. FSIZE: no file may grow beyond that many bytes once the store is open, which
is a device that fails in the middle of a write.
"""

import asyncio
import resource
import signal
import sys
from itertools import count, islice
from pathlib import Path

from rowbox.cacheserver.stores.port import Put, RowMutation
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.hbase_schema.families import Family
from rowbox.mailbox.errors import RowboxError

MIB = 1 << 20


def _say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def _group(number: int) -> list[RowMutation]:
    puts = [Put(family, b"%08d" % number, b"v" * 100) for family in (Family.INDEX, Family.MESSAGES, Family.LOG)]
    return [RowMutation(b"0001/user%02d" % row, puts) for row in range(4)]


def _limit_files(size_bytes: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that the write fails instead
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


async def main(folder: Path, first: int = 0, commits: int | None = None, file_bytes: int | None = None) -> None:
    store = RocksStore.open(
        folder,
        64,
        {},
        block_cache_bytes=4 * MIB,
        memtable_bytes=4 * MIB,
        min_free_bytes=0,
        on_broken=lambda error: _say("on_broken", error.code),
    )
    _say("ready")
    if file_bytes is not None:
        _limit_files(file_bytes)
    for number in islice(count(first), commits):
        try:
            await store.mutate(_group(number), 1_000_000 + number)
        except RowboxError as error:
            _say("failed", type(error).__name__)
            await _print_refusals(store)
            break
        _say(number)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def _print_refusals(store: RocksStore) -> None:
    calls = [store.mutate(_group(0), 1), store.get_row(b"0001/user00", [Family.INDEX]), store.verify()]
    errors = await asyncio.gather(*calls, return_exceptions=True)
    _say(*(type(error).__name__ for error in errors))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *(int(argument) for argument in sys.argv[2:])))
