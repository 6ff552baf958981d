"""`rowbox cluster`: the state of a whole cluster, in one screen."""

import asyncio
import sys
import time
from collections import deque
from pathlib import Path

import click
import orjson
from rich.console import Console, RenderableType
from rich.live import Live

from rowbox.api.auth.operator import page_token
from rowbox.cacheserver.shardmap.overview import Overview, as_fields, changes_between
from rowbox.cli.admin_address import admin_address
from rowbox.cli.options import with_settings
from rowbox.cli.secret import load
from rowbox.cli.tables import width
from rowbox.cli.verbs.cluster.handle import opened_desk
from rowbox.cli.verbs.cluster.screen import MOST_EVENTS, screen
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.settings.config import LoadedSettings, Settings

EVERY_S = 1.0
PATIENCE_S = 1.0
"""After that the screen says that the store does not answer."""


@click.group()
def command() -> None:
    """Show the state of a cluster."""


@command.command("status")
@with_settings("server.data_dir", "store.url")
@click.option("--watch", is_flag=True, help="Go on, with what changes, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(loaded: LoadedSettings, *, watch: bool, as_json: bool) -> None:
    """Show who owns how much, what moves, and what is wrong, in one screen. Exit 1 where something is wrong.

    Reads the cluster's row in the store, whether servers run or not, and writes nothing. The settings for leases must
    be the servers'.
    """
    if watch and as_json:
        raise click.UsageError("--watch is for people, --json for programs: give one of them")
    if watch:
        try:
            asyncio.run(_watch(loaded.settings))
        except KeyboardInterrupt:
            return
    overview = asyncio.run(_overview(loaded.settings))
    if as_json:
        click.echo(orjson.dumps(as_fields(overview), option=orjson.OPT_INDENT_2))
    else:
        Console(width=width()).print(screen(overview, (), "", columns=width()))
    sys.exit(1 if overview.wrong else 0)


@command.command("page")
@with_settings("server.data_dir", "server.admin_host", "server.admin_port")
def page(loaded: LoadedSettings) -> None:
    """Print a link to the page of the cluster, at the admin port of the server on this machine.

    The link opens the page for twelve hours: whoever has it can drain nodes. Reads the secret in the data
    directory, and writes nothing.
    """
    host, port = admin_address(loaded.settings)
    token = page_token(load(Path(loaded.settings.server.data_dir)), time.time())
    click.echo(f"http://{f'[{host}]' if ':' in host else host}:{port}/admin#token={token}")


async def _overview(settings: Settings) -> Overview:
    async with opened_desk(settings, "cluster status") as desk:
        return desk.overview(await desk.look_twice())


async def _watch(settings: Settings) -> None:
    """Draws the screen each second. A store that does not answer is said on top of it, above what was seen last."""
    events: deque[str] = deque(maxlen=MOST_EVENTS)
    async with opened_desk(settings, "cluster status") as desk:
        seen = await desk.look()
        overview = desk.overview(seen)
        console = Console()

        def drawn(note: str, *, is_old: bool = False) -> RenderableType:
            return screen(overview, events, note, columns=console.width, lines=console.height, is_old=is_old)

        with Live(drawn("Ctrl-C ends this"), console=console, auto_refresh=False, screen=True) as live:
            answered_s = time.monotonic()
            while True:
                await asyncio.sleep(EVERY_S)
                look = asyncio.ensure_future(desk.look())
                try:
                    while not (await asyncio.wait([look], timeout=PATIENCE_S))[0]:
                        live.update(drawn(_silent(answered_s), is_old=True), refresh=True)
                    before, seen = seen, look.result()
                except RowboxError as error:
                    live.update(drawn(f"{_silent(answered_s)}: {error}", is_old=True), refresh=True)
                    continue
                finally:
                    look.cancel()
                answered_s = time.monotonic()
                overview = desk.overview(seen)
                said = changes_between(before.map, seen.map)
                events.extendleft(f"{time.strftime('%H:%M:%S')}  {one}" for one in reversed(said))
                live.update(drawn(f"as of {time.strftime('%H:%M:%S')}; Ctrl-C ends this"), refresh=True)


def _silent(answered_s: float) -> str:
    return f"The store has not answered for {time.monotonic() - answered_s:.0f} s, and what follows is as old"
