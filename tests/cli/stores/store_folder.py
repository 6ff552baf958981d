"""A data directory that a real owner wrote, for the verbs that read one."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.ownership import Ownership
from rowbox.cacheserver.port import Send
from rowbox.cacheserver.stores.port import Store
from rowbox.cacheserver.stores.rocksdb.store import RocksStore
from rowbox.cli.serving.backends import open_embedded
from rowbox.mailbox.settings.config import Settings, load

Work = Callable[[RocksStore, Settings], Awaitable[None]]


def settings_of(data_dir: Path) -> Settings:
    return load({"server.data_dir": str(data_dir)}, {}, "[store]\nshards = 64").settings


def in_store(data_dir: Path, work: Work) -> None:
    """Opens the store of a data directory as the server does, and has something done in it."""
    settings = settings_of(data_dir)

    async def run() -> None:
        store = open_embedded(settings)
        try:
            await work(store, settings)
        finally:
            await store.close()

    asyncio.run(run())


async def nothing(store: RocksStore, settings: Settings) -> None:
    """Leaves an empty store."""


async def three_messages(store: Store, settings: Settings, ownership: Ownership | None = None) -> None:
    """Alice to bob, bob to alice, carol to alice."""
    owner = Owner(store, settings, ownership=ownership)
    await owner.start()
    for number, (sender, recipient) in enumerate((("alice", "bob"), ("bob", "alice"), ("carol", "alice"))):
        await owner.send(Send(sender, recipient, f"number {number}", f"c{number}"))
    await owner.delivery.idle()
    await owner.close()
