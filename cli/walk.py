"""Shared by the verbs that walk a whole store: opening it beside a server that may run, and a bar of progress."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rowbox.cacheserver.stores.hbase.store import HBaseStore
from rowbox.cacheserver.stores.port import StoreReader
from rowbox.cacheserver.stores.rocksdb.view import open_reader
from rowbox.cli.data_dir import store_folder
from rowbox.hbase_schema.families import ttl_ms
from rowbox.mailbox.errors import BadRequest
from rowbox.mailbox.settings.config import Settings, parse_store_url

ShowShards = Callable[[str, int], None]
"""Updates the bar: what is being done, and how many shards are done."""


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[StoreReader]:
    """The store that `settings` name, for reading only, closed in the end. A server that runs on it is not disturbed.

    An embedded store is read as it was when it was opened, whatever is written meanwhile; a cluster's store is read as
    it is at each read. Raises what opening the store raises: a cluster's store that is away is not waited for.
    """
    address = parse_store_url(settings.store.url)
    store: StoreReader
    if address is None:
        store = open_reader(store_folder(settings), ttl_ms(settings.store))
    else:
        store = await HBaseStore.open(address, settings.hbase, kept=settings.store)
    try:
        yield store
    finally:
        await store.close()


def place(settings: Settings) -> str:
    """Where the store is, for people: its folder, or its URL."""
    url = settings.store.url
    return str(store_folder(settings)) if parse_store_url(url) is None else url


def require_embedded(settings: Settings, verb: str, instead: str) -> None:
    """BadRequest where the store is not the embedded one. Its text says what to do `instead` of the verb."""
    if parse_store_url(settings.store.url) is not None:
        raise BadRequest(f"{verb} is for the embedded store; for HBase {instead}")


@contextmanager
def shard_bar(shards: int) -> Iterator[ShowShards]:
    """A progress bar on stderr where that is a terminal, no bar elsewhere. It is erased in the end."""
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
