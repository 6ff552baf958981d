"""`rowbox stats`: counts what is in the store, and shows the room that it takes."""

import asyncio
from typing import NamedTuple

import click
import orjson

from rowbox.cacheserver.check.census import Census, take_census
from rowbox.cacheserver.stores.port import StoreStats
from rowbox.cli.options import with_settings
from rowbox.cli.sizes import size_text
from rowbox.cli.times import time_text
from rowbox.cli.walk import opened, place, shard_bar
from rowbox.mailbox.settings.config import LoadedSettings, Settings


class Figures(NamedTuple):
    """What was counted, and the sizes in bytes that the store reports; -1 where it reports none."""

    census: Census
    store: StoreStats


@click.command("stats")
@with_settings("server.data_dir", "store.url")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; sizes in bytes, times in microseconds.")
def command(loaded: LoadedSettings, *, as_json: bool) -> None:
    """Say what is in the store: mailboxes, conversations, messages, and the room they take.

    Reads only, and may run beside the server: it sees an embedded store as it was when it began, and of an HBase store
    each mailbox as it is when it is counted.
    """
    figures = asyncio.run(_gather(loaded.settings))
    click.echo(_as_json(figures) if as_json else _as_text(figures, place(loaded.settings)))


async def _gather(settings: Settings) -> Figures:
    async with opened(settings) as store:
        census = Census(store.shards)
        with shard_bar(store.shards) as show:
            async for census in take_census(store):
                show("counting", census.shards_done)
        return Figures(census, await store.stats())


def _as_text(figures: Figures, where: str) -> str:
    census, store = figures
    lines = {
        "Store": where,
        "Shards": f"{census.shards:,}",
        "Mailboxes": f"{census.mailboxes:,}",
        "Groups": f"{census.groups:,}" if census.groups else "",
        "Deleted users": f"{census.erased:,}" if census.erased else "",
        "Conversations": f"{census.conversations:,} (one in each participant's mailbox)",
        "Messages": f"{census.messages:,} (one copy in each participant's mailbox)",
        "Foreign rows": f"{census.foreign_rows:,} (`rowbox check` names them)" if census.foreign_rows else "",
        "Oldest message": _time(census.oldest_us),
        "Newest message": _time(census.newest_us),
        "On disk": size_text(store.disk_bytes),
        "Block cache": size_text(store.block_cache_bytes),
        "Memtables": size_text(store.memtable_bytes),
    }
    return "\n".join(f"{name:<15} {value}" for name, value in lines.items() if value)


def _as_json(figures: Figures) -> bytes:
    census, store = figures
    return orjson.dumps(
        {
            "shards": census.shards,
            "mailboxes": census.mailboxes,
            "groups": census.groups,
            "deletedUsers": census.erased,
            "conversations": census.conversations,
            "messages": census.messages,
            "foreignRows": census.foreign_rows,
            "oldestMessage": census.oldest_us,
            "newestMessage": census.newest_us,
            "diskBytes": _known(store.disk_bytes),
            "blockCacheBytes": _known(store.block_cache_bytes),
            "memtableBytes": _known(store.memtable_bytes),
        },
        option=orjson.OPT_INDENT_2,
    )


def _known(size_bytes: int) -> int | None:
    return size_bytes if size_bytes >= 0 else None


def _time(sent_us: int | None) -> str:
    return "none" if sent_us is None else time_text(sent_us)
