"""`rowbox backup`: a copy of an embedded store, made while its server runs, or while none does."""

import asyncio
from pathlib import Path
from typing import Final

import click

from rowbox import __version__
from rowbox.cacheserver.stores.files.beside import utc_text
from rowbox.cacheserver.stores.rocksdb.backup import make_backup
from rowbox.cacheserver.stores.rocksdb.database import StoreIdentity
from rowbox.cacheserver.stores.rocksdb.view import open_reader
from rowbox.cli.data_dir import as_the_server, existing_store
from rowbox.cli.interrupted import cleans_up
from rowbox.cli.operator import NoServer, ask_server
from rowbox.cli.options import with_settings
from rowbox.cli.secret import FILE
from rowbox.cli.serving.backends import CHECKPOINT, open_embedded
from rowbox.cli.sizes import size_text
from rowbox.cli.walk import require_embedded
from rowbox.hbase_schema.families import SCHEMA_VERSION
from rowbox.mailbox.errors import StoreLocked
from rowbox.mailbox.settings.config import LoadedSettings, Settings

CHECKPOINT_S: Final = 300.0
"""How long the verb waits for the server's checkpoint. The server flushes its memtables for it: about a second of work,
on a device that may be busy or slow."""


@click.command("backup")
@click.argument("to", type=click.Path(path_type=Path))
@with_settings("server.data_dir", "server.admin_host", "server.admin_port", "store.url")
def command(loaded: LoadedSettings, to: Path) -> None:
    """Copy the embedded store as of now to the folder TO, which must not be there yet, or be empty.

    Works beside the server, which goes on serving, and without one. TO holds everything that was confirmed before; it
    is whole, or not there. On the file system of the data folder it takes no room at first (files that never change
    are hard links); a device that is lost takes such a backup along, so copy it to another one. Put it back with
    `rowbox restore`.

    The token secret and rowbox.toml are not in it: keep them apart, as you keep other secrets. Reads the store, and
    writes TO, and in the data directory when the last backup was made.
    """
    settings = loaded.settings
    require_embedded(settings, "rowbox backup", "take a snapshot of the table (docs/how-to/backup-and-restore.md)")
    store = existing_store(settings)
    with cleans_up(), as_the_server(store):
        made = make_backup(
            store,
            to.absolute(),
            __version__,
            lambda folder: _make_checkpoint(settings, folder),
            lambda folder: asyncio.run(_identify(folder)),
        )
    click.echo(
        f"{to}: the store as of {utc_text(made.as_of_us)}, {len(made.files)} files, {size_text(made.size_bytes)}. "
        f"Not in it: {FILE}, rowbox.toml."
    )


def _make_checkpoint(settings: Settings, folder: Path) -> None:
    """Has the server make a checkpoint in `folder`. Where no server has the store open, this process makes it."""
    try:
        asyncio.run(_make_it_here(settings, folder))
    except StoreLocked as locked:
        try:
            ask_server(settings, CHECKPOINT, b"", CHECKPOINT_S)
        except NoServer as error:
            raise StoreLocked(f"{locked}; or, where that is a server, name its --admin-port: {error}") from error


async def _make_it_here(settings: Settings, folder: Path) -> None:
    store = open_embedded(settings)
    try:
        await store.checkpoint(folder)
    finally:
        await store.close()


async def _identify(folder: Path) -> StoreIdentity:
    store = open_reader(folder, {})
    try:
        await store.verify()
        return StoreIdentity(SCHEMA_VERSION, store.shards)
    finally:
        await store.close()
