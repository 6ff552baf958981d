"""`rowbox restore`: puts a backup in an embedded store's place."""

import asyncio
import logging
import shlex
from pathlib import Path

import click

from rowbox.cacheserver.clocks import wall_clock_us
from rowbox.cacheserver.node.put_back import end_restore
from rowbox.cacheserver.stores.files.beside import utc_text
from rowbox.cacheserver.stores.files.clock_file import ClockFile
from rowbox.cacheserver.stores.rocksdb.restore import restore_backup
from rowbox.cli.data_dir import as_the_server, store_folder
from rowbox.cli.interrupted import cleans_up
from rowbox.cli.options import with_settings
from rowbox.cli.secret import FILE
from rowbox.cli.serving.backends import open_embedded
from rowbox.cli.walk import require_embedded
from rowbox.hbase_schema.doctor.cluster import judge_remembered
from rowbox.hbase_schema.doctor.diagnosis import State
from rowbox.mailbox.settings.config import LoadedSettings, Settings


@click.command("restore")
@click.argument("backup", type=click.Path(path_type=Path))
@with_settings("server.data_dir", "store.url")
@click.option("--replace", is_flag=True, help="Move the store that is there aside (it is not removed).")
def command(loaded: LoadedSettings, backup: Path, *, replace: bool) -> None:
    """Put what `rowbox backup` made in BACKUP in the place of the embedded store. Its server must be stopped.

    The backup is copied, and stays as it is. The store begins another history: what clients know of the time after the
    backup resets. What was sent in that time is lost. All of it is done, or nothing: after a kill run it again.

    Reads BACKUP, and writes the data directory.
    """
    settings = loaded.settings
    require_embedded(settings, "rowbox restore", "put the snapshot back, then: rowbox restored")
    store = store_folder(settings)
    with cleans_up(), as_the_server(store):
        done = restore_backup(
            backup.absolute(),
            store,
            settings.store.shards,
            lambda folder: asyncio.run(_begin_history(settings, folder)),
            replaces=replace,
            min_free_bytes=settings.store.min_free_bytes,
        )
        clock = judge_remembered(asyncio.run(ClockFile(store).read()), wall_clock_us())
    click.echo(f"The store in {store} is as of {utc_text(done.contents.as_of_us)}, in another history.")
    if done.replaced is not None:
        click.echo(f"The one that was there is in {done.replaced}: remove it when all is well.")
    if clock.state is State.WRONG:
        click.echo(f"Before it is served: {clock.finding} --data-dir {shlex.quote(settings.server.data_dir)}")
    if not (Path(settings.server.data_dir) / FILE).exists():
        click.echo(f"Put {FILE} beside it, if you kept it: without it tokens signed with it end.")


async def _begin_history(settings: Settings, folder: Path) -> None:
    logging.disable(logging.WARNING)  # whoever runs this knows already that the store was put back from a copy
    try:
        store = open_embedded(settings, folder=folder)
    finally:
        logging.disable(logging.NOTSET)
    try:
        await store.verify()
        await end_restore(store)
    finally:
        await store.close()
