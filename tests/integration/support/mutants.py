"""`rowbox` with one rule switched off, to show that a test would notice: mutants.py NAME serve ..."""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from rocksdict import WriteOptions

from rowbox.cacheserver.store import RowMutation
from rowbox.cacheserver.stores import rocksdb, rocksdb_options
from rowbox.cli.main import main

_DELAY_S: Final = 0.05


def command(name: str) -> tuple[str, ...]:
    """What stands for `rowbox` on a command line."""
    return (sys.executable, str(Path(__file__)), name)


def _without_sync() -> None:
    """The store confirms a write before the device has it."""
    honest = rocksdb_options.write_options

    def write_options(*, sync: bool) -> WriteOptions:
        return honest(sync=False)

    vars(rocksdb)["write_options"] = write_options


def _confirming_early() -> None:
    """The store confirms a write some time before it makes it."""
    honest = rocksdb.RocksStore.mutate
    late: set[asyncio.Task[None]] = set()

    async def write_later(store: rocksdb.RocksStore, mutations: Sequence[RowMutation], timestamp_ms: int) -> None:
        await asyncio.sleep(_DELAY_S)
        await honest(store, mutations, timestamp_ms)

    async def mutate(self: rocksdb.RocksStore, mutations: Sequence[RowMutation], timestamp_ms: int) -> None:
        task = asyncio.get_running_loop().create_task(write_later(self, mutations, timestamp_ms))
        late.add(task)
        task.add_done_callback(late.discard)

    rocksdb.RocksStore.mutate = mutate  # type: ignore[method-assign]


_RULES: Final[Mapping[str, Callable[[], None]]] = {
    "without-sync": _without_sync,
    "confirming-early": _confirming_early,
}

if __name__ == "__main__":
    _RULES[sys.argv.pop(1)]()
    main()
