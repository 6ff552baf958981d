"""What the verbs share that walk a whole store: opening it beside a server that may run, and a bar of progress."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rowbox.cacheserver.stores.rocksdb_view import RocksView, open_reader
from rowbox.cli.data_dir import store_folder
from rowbox.hbase_schema.families import ttl_ms
from rowbox.mailbox.config import Settings

ShowShards = Callable[[str, int], None]
"""Shows what is being done, and how many shards are done."""


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[RocksView]:
    """The embedded store as of now. It is only read; a server may be running on it and is not disturbed."""
    view = open_reader(store_folder(settings), ttl_ms(settings.store))
    try:
        yield view
    finally:
        await view.close()


@contextmanager
def shard_bar(shards: int) -> Iterator[ShowShards]:
    """A bar on stderr where that is a terminal, nothing elsewhere. It is gone in the end."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as bar:
        task = bar.add_task("shards", total=shards)
        yield lambda what, done: bar.update(task, description=what, completed=done)
