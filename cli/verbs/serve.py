"""`rowbox serve`: puts mailboxes, HTTP and signals together into one process."""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import click

from rowbox.api.http import request_id
from rowbox.cli import logs
from rowbox.cli.data_dir import prepare_data_dir
from rowbox.cli.options import with_settings
from rowbox.cli.secret import load_or_create
from rowbox.cli.serving.api_side import Ports
from rowbox.cli.serving.backends import Backend, backend
from rowbox.cli.serving.cache_role import without_api
from rowbox.cli.serving.descriptors import raise_open_files, within
from rowbox.cli.serving.one_process import in_one_process
from rowbox.cli.serving.processes.several_processes import in_several_processes, require_linux
from rowbox.cli.serving.ready import as_json, as_text, ready_of
from rowbox.cli.serving.runtime import run, started, tune
from rowbox.cli.serving.uncaught import ends_logged, log_uncaught
from rowbox.mailbox.errors import RowboxError, StoreUnusable
from rowbox.mailbox.settings.config import LoadedSettings, Settings

log = logging.getLogger(__name__)

Listening = Callable[[Settings, Backend, asyncio.Event], AbstractAsyncContextManager[Ports]]
"""Serves HTTP over a backend within a context; the event asks for keys to be read again."""


@click.command("serve")
@with_settings()
def command(loaded: LoadedSettings) -> None:
    """Run the server: HTTP API and owner of all mailboxes, over the embedded store or over HBase.

    Both are in one process; with --api-processes N the API is served by N processes of its own, at the same port.

    Prints where it listens when it is ready; on a terminal, or with --demo-tokens, links and tokens to try it as well.
    SIGTERM or Ctrl-C finishes what has begun and stops. Several servers over one HBase store that are given
    --peer-listen and the same secret share the mailboxes, and each forwards what is not its own. Without --peer-listen
    one owns the mailboxes; the others answer 503 and take over when it stops or falls silent. --role api serves HTTP
    and owns nothing; --role cache owns mailboxes, and serves the other servers alone.

    Reads and writes the store. The first start makes the data directory, in it the secret that signs tokens (also with
    an HBase store) and the embedded store.
    """
    server = loaded.settings.server
    logs.set_up(server.log_format, request_id.REQUEST_ID.get, level=logs.LEVELS[server.log_level])
    tune()
    log_uncaught()
    with ends_logged(server.log_format):
        require_linux(loaded)
        run(_serve(*within(loaded, raise_open_files())))


async def _serve(settings: Settings, notes: Iterable[str]) -> None:
    stop = asyncio.Event()
    failures: list[RowboxError] = []

    def on_broken(error: StoreUnusable) -> None:
        failures.append(error)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    hangup = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    data_dir = Path(settings.server.data_dir)
    prepare_data_dir(data_dir)
    secret = load_or_create(data_dir)
    listening = _listening(settings)
    async with backend(settings, on_broken) as mailboxes, listening(settings, mailboxes, hangup) as ports:
        for note in notes:  # only now, so that a start that is refused prints one line, which says why
            log.info("%s", note)
        await _first_of(mailboxes.ready(), stop.wait())
        if not stop.is_set():
            _announce(_ready_lines(settings, secret, ports))
        await stop.wait()
        log.info("stopping: %s", "the store has failed" if failures else "finishing what has begun")
    if failures:
        raise failures[0]


def _listening(settings: Settings) -> Listening:
    if settings.server.role == "cache":
        return without_api
    return in_several_processes if settings.server.api_processes else in_one_process


def _ready_lines(settings: Settings, secret: bytes, ports: Ports) -> Iterable[str]:
    now, is_terminal = time.time(), sys.stdout.isatty()
    ready = ready_of(settings, secret, *ports, now, is_terminal=is_terminal)
    return as_json(ready, now) if settings.server.log_format == "json" else as_text(ready)


def _announce(lines: Iterable[str]) -> None:
    started()
    for line in lines:
        click.echo(line)


async def _first_of(*awaitables: Coroutine[object, object, object]) -> None:
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
