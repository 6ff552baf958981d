"""`rowbox restored`: the last step of a restore that was made by the operator's own means."""

import asyncio

import click

from rowbox.cacheserver.node.put_back import end_restore
from rowbox.cacheserver.stores.hbase.store import HBaseStore
from rowbox.cacheserver.stores.port import Store
from rowbox.cli.data_dir import as_the_server, existing_store
from rowbox.cli.options import with_settings
from rowbox.cli.serving.backends import open_embedded
from rowbox.cli.walk import place
from rowbox.mailbox.settings.config import LoadedSettings, Settings, parse_store_url


@click.command("restored")
@with_settings("server.data_dir", "store.url")
@click.option("--yes", is_flag=True, help="Do it: every client fetches its mailbox anew, once.")
def command(loaded: LoadedSettings, *, yes: bool) -> None:
    """End a restore: say that the store was put back from a copy.

    Run it after a backup or a snapshot was put back by whatever means, and before clients come. From then on what
    clients know of the lost time resets. Without it a client that was given something in the lost time can miss, for
    ever, what is written in its place. Where nothing was put back it does no harm but the load of all clients fetching
    anew.

    An embedded store must not be in use. Servers of an HBase store should be stopped; one that runs is replaced. The
    settings must be the server's. Reads and writes what the store says of its history, and of an HBase store's owner.
    """
    where = place(loaded.settings)
    if not yes:
        raise click.UsageError(f"this makes every client of the store in {where} fetch anew; say --yes to do it")
    history = asyncio.run(_end_restore(loaded.settings))
    click.echo(
        f"The store in {where} has begun another history, {history.hex()}: what clients know from before resets."
    )


async def _end_restore(settings: Settings) -> bytes:
    address = parse_store_url(settings.store.url)
    if address is not None:
        return await _end_restore_of(await HBaseStore.open(address, settings.hbase))
    with as_the_server(existing_store(settings)):
        return await _end_restore_of(open_embedded(settings))


async def _end_restore_of(store: Store) -> bytes:
    try:
        return await end_restore(store)
    finally:
        await store.close()
