"""`rowbox` with one rule switched off, to show that a test would notice: mutants.py NAME serve ..."""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from rocksdict import WriteOptions

from rowbox.cacheserver.node.tenure import EpochOwnership, LeasedOwnership
from rowbox.cacheserver.stores.hbase import store as hbase
from rowbox.cacheserver.stores.port import RowMutation, Store
from rowbox.cacheserver.stores.rocksdb import options as rocksdb_options
from rowbox.cacheserver.stores.rocksdb import store as rocksdb
from rowbox.cli.main import main
from rowbox.mailbox.aggregate.mailbox import Mailbox

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
    """Each store confirms a write some time before it makes it."""
    _confirm_early(rocksdb.RocksStore)
    _confirm_early(hbase.HBaseStore)


def _confirm_early(kind: type[Store]) -> None:
    honest = kind.mutate
    late: set[asyncio.Task[None]] = set()

    async def write_later(store: Store, mutations: Sequence[RowMutation], timestamp_ms: int) -> None:
        await asyncio.sleep(_DELAY_S)
        await honest(store, mutations, timestamp_ms)

    async def mutate(self: Store, mutations: Sequence[RowMutation], timestamp_ms: int) -> None:
        task = asyncio.get_running_loop().create_task(write_later(self, mutations, timestamp_ms))
        late.add(task)
        task.add_done_callback(late.discard)

    kind.mutate = mutate  # type: ignore[method-assign]


def _without_lease() -> None:
    """The owner answers without a look at its lease, as if nobody could have taken over."""
    LeasedOwnership.check = EpochOwnership.check  # type: ignore[method-assign]


def _without_fence() -> None:
    """Every message that is read counts, whoever wrote it."""

    def counts(self: Mailbox, epoch: int, version: int, as_of: int) -> bool:
        return True

    Mailbox.counts = counts  # type: ignore[method-assign]


_RULES: Final[Mapping[str, Callable[[], None]]] = {
    "without-sync": _without_sync,
    "confirming-early": _confirming_early,
    "without-lease": _without_lease,
    "without-fence": _without_fence,
}

if __name__ == "__main__":
    _RULES[sys.argv.pop(1)]()
    main()
