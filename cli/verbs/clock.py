"""`rowbox clock`: shows what the store remembers of the time, and lets an operator say that the clock is right."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple

import click
import orjson

from rowbox.cacheserver.clocks import boot_clock_s, wall_clock_us
from rowbox.cacheserver.stores.clock_memory import CellMemory, ClockMemory
from rowbox.cacheserver.stores.files.clock_file import ClockFile
from rowbox.cacheserver.stores.hbase.store import HBaseStore
from rowbox.cli.data_dir import as_the_server, existing_store
from rowbox.cli.options import with_settings
from rowbox.cli.walk import place
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.clocks.clock_trust import ClockTrust, Remembered, by_word, duration
from rowbox.mailbox.errors import StoreUnavailable
from rowbox.mailbox.settings.config import LoadedSettings, Settings, parse_store_url

MOST_TRIES = 20
"""Tries of `accept`. One fails where a running server writes the store's clock in the same moment; it does so once a
minute."""
_with_store = with_settings("server.data_dir", "store.url")


@click.group()
def command() -> None:
    """Show what the store remembers of the time, or say that this machine's clock is right."""


@command.command()
@_with_store
@click.option("--json", "as_json", is_flag=True, help="One JSON object; times in microseconds.")
def show(loaded: LoadedSettings, *, as_json: bool) -> None:
    """Compare this machine's clock with the latest time that the store has seen. Exit 1 where they contradict.

    Reads only, and may run beside the server. What a server that runs finds against its clock, `/readyz?verbose` says.
    """
    found = _Found(asyncio.run(_read(loaded.settings)), wall_clock_us())
    click.echo(_as_json(found) if as_json else _as_text(found, place(loaded.settings)))
    raise SystemExit(0 if found.doubt is None else 1)


@command.command()
@_with_store
def accept(loaded: LoadedSettings) -> None:
    """Say that this machine's clock is right, as it is now. Look at it first: what has expired by it will be deleted.

    A server that runs on this store goes on with its own clock, if that agrees: at once where it was in doubt, else
    within a minute. One that is started later does so then. Reads and writes
    what the store remembers of the time.
    """
    now_us = asyncio.run(_accept(loaded.settings))
    click.echo(f"Accepted: it is {_time(now_us)}.")


class _Found(NamedTuple):
    remembered: Remembered | None
    now_us: int

    @property
    def doubt(self) -> str | None:
        """Why a server that started now would not believe the clock. None where it would."""
        doubt = ClockTrust(self.remembered, self.now_us, int(boot_clock_s() * US_PER_S)).doubt
        return None if doubt is None else str(doubt)


@asynccontextmanager
async def _memory(settings: Settings) -> AsyncIterator[ClockMemory]:
    address = parse_store_url(settings.store.url)
    if address is None:
        folder = existing_store(settings)
        with as_the_server(folder):
            yield ClockFile(folder)
        return
    store = await HBaseStore.open(address, settings.hbase)
    try:
        yield CellMemory(store)
    finally:
        await store.close()


async def _read(settings: Settings) -> Remembered | None:
    async with _memory(settings) as memory:
        return await memory.read()


async def _accept(settings: Settings) -> int:
    word = secrets.token_hex(8)
    async with _memory(settings) as memory:
        stands = await memory.read()
        for _ in range(MOST_TRIES):
            new = by_word(wall_clock_us(), word)
            stands = await memory.swap(stands, new)
            if stands is not None and stands.word == word:
                return new.latest_us
    raise StoreUnavailable("the word did not get in: what the store remembers changed with each try; try again")


def _as_text(found: _Found, where: str) -> str:
    remembered, now_us = found
    lines = {"Store": where, "This clock": _time(now_us), "Remembered": "nothing"}
    if remembered is not None:
        lines["Remembered"] = f"{_time(remembered.latest_us)} ({_apart(remembered.latest_us - now_us)})"
        if remembered.gaps:
            left_us = max(gap.left_us for gap in remembered.gaps)
            lines["Not seen"] = (
                f"{duration(remembered.unseen_us)} while no server ran; nothing expires by it for "
                f"{duration(left_us)} more of running, or until: rowbox clock accept"
            )
    lines["Verdict"] = "believed" if found.doubt is None else f"{found.doubt}; if it is right: rowbox clock accept"
    return "\n".join(f"{name:<12} {value}" for name, value in lines.items())


def _as_json(found: _Found) -> bytes:
    remembered = found.remembered
    return orjson.dumps(
        {
            "now": found.now_us,
            "remembered": None if remembered is None else remembered.latest_us,
            "unseen": 0 if remembered is None else remembered.unseen_us,
            "believed": found.doubt is None,
            "doubt": found.doubt,
        },
        option=orjson.OPT_INDENT_2,
    )


def _apart(ahead_us: int) -> str:
    return f"{duration(abs(ahead_us))} {'ahead' if ahead_us > 0 else 'ago'}"


def _time(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / US_PER_S, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
