"""`rowbox serve`: puts mailboxes, HTTP and signals together into one process."""

import asyncio
import gc
import logging
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import click

from rowbox.api.app import build_admin_app, build_app
from rowbox.api.auth.authenticator import Authenticator, make_authenticator
from rowbox.api.auth.insecure import InsecureAuthenticator
from rowbox.api.auth.shared_secrets import ReadSecrets
from rowbox.api.edge.local_only import admin_guard_of
from rowbox.api.edge.server import Server, connection_limits
from rowbox.api.http import request_id
from rowbox.api.http.bodies import bodies_of
from rowbox.api.http.connections import Connections
from rowbox.api.http.drain import Drain
from rowbox.api.operator.calls import Operator
from rowbox.api.telemetry.counters import HttpCounters
from rowbox.cli import logs
from rowbox.cli.data_dir import prepare_data_dir
from rowbox.cli.options import with_settings
from rowbox.cli.secret import load_all, load_or_create
from rowbox.cli.serving.backends import Backend, backend
from rowbox.cli.serving.descriptors import raise_open_files, within
from rowbox.cli.serving.keys_upkeep import KeysUpkeep
from rowbox.cli.serving.ready import as_json, as_text, ready_of
from rowbox.cli.serving.uncaught import ends_logged, log_uncaught
from rowbox.mailbox.errors import RowboxError, StoreUnusable
from rowbox.mailbox.settings.config import LoadedSettings, Settings

log = logging.getLogger(__name__)

SWITCH_INTERVAL_S: Final = 0.0005
"""How long, at most, the write thread waits for the GIL after it waited for the disk. With uvloop no difference to
Python's 5 ms could be measured under load, because uvloop lets go of the GIL in each turn; asyncio's own loop would
make commits wait."""
GC_THRESHOLDS: Final = (50_000, 20, 50)
"""Thresholds of the garbage collector. Mailboxes are many objects that live long and form no cycles. With Python's own
thresholds (700, 10, 10) the collector walks over them again and again: 17% to 21% of a busy owner's CPU, with pauses of
a quarter second (docs/benchmarks.md)."""


@click.command("serve")
@with_settings()
def command(loaded: LoadedSettings) -> None:
    """Run the server: HTTP API and owner of all mailboxes in one process, over the embedded store or over HBase.

    Prints where it listens when it is ready; on a terminal, or with --demo-tokens, links and tokens to try it as well.
    SIGTERM or Ctrl-C finishes what has begun and stops. Of several servers over one HBase store one owns the
    mailboxes; the others answer 503 and take over when it stops or falls silent.

    Reads and writes the store. The first start makes the data directory, in it the secret that signs tokens (also with
    an HBase store) and the embedded store.
    """
    server = loaded.settings.server
    logs.set_up(server.log_format, request_id.REQUEST_ID.get, level=logs.LEVELS[server.log_level])
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GC_THRESHOLDS)
    log_uncaught()
    with ends_logged(server.log_format):
        _run(_serve(*within(loaded, raise_open_files())))


def _run(main: Coroutine[object, object, None]) -> None:
    """Runs `main` on uvloop where that is installed, on asyncio's own loop otherwise."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main)


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
    async with backend(settings, on_broken) as mailboxes, _listening(settings, mailboxes, hangup) as server:
        for note in notes:  # only now, so that a start that is refused prints one line, which says why
            log.info("%s", note)
        await _first_of(mailboxes.ready(), stop.wait())
        if not stop.is_set():
            _announce(_ready_lines(settings, secret, server))
        await stop.wait()
        log.info("stopping: %s", "the store has failed" if failures else "finishing what has begun")
    if failures:
        raise failures[0]


def _ready_lines(settings: Settings, secret: bytes, server: Server) -> Iterable[str]:
    now, is_terminal = time.time(), sys.stdout.isatty()
    ready = ready_of(settings, secret, server.port, server.admin_port, now, is_terminal=is_terminal)
    return as_json(ready, now) if settings.server.log_format == "json" else as_text(ready)


def _announce(lines: Iterable[str]) -> None:
    gc.collect()
    gc.freeze()  # objects of the start live as long as the process, so the collector need not look at them again
    for line in lines:
        click.echo(line)


async def _first_of(*awaitables: Coroutine[object, object, object]) -> None:
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def _listening(settings: Settings, mailboxes: Backend, hangup: asyncio.Event) -> AsyncIterator[Server]:
    """The HTTP server: it listens when this is entered, and is stopped when it is left."""
    counters, drain = HttpCounters(), Drain()
    ids = request_id.request_ids(secrets.token_hex(4))
    bodies, connections = bodies_of(settings.server), Connections(connection_limits(settings.server))
    read_secrets = partial(load_all, Path(settings.server.data_dir))
    authenticator = _authenticator(settings, read_secrets)
    app = build_app(mailboxes.port, authenticator, settings, counters, drain, ids, bodies)
    upkeep = KeysUpkeep(authenticator.keys, hangup)
    sources = [*mailboxes.sources, connections.samples, bodies.samples, upkeep.samples]
    operator = Operator(mailboxes.calls, read_secrets, time.time)
    admin = build_admin_app(
        mailboxes.port,
        counters,
        drain,
        ids,
        operator,
        sources=sources,
        guard=admin_guard_of(settings.server),
        keys=authenticator.keys,
    )
    server = Server(app, admin, mailboxes.port, settings.server, drain, ids, connections)
    try:
        await _listen(server)
        log.info("listening on port %d, health and metrics on port %d", server.port, server.admin_port)
        async with upkeep:
            yield server
    finally:
        await server.stop()


async def _listen(server: Server) -> None:
    try:
        await server.start()
    except OSError as error:
        raise StoreUnusable(
            f"cannot listen on {error.filename}: {error.strerror}; give another host or port"
        ) from error


def _authenticator(settings: Settings, read_secrets: ReadSecrets) -> Authenticator:
    if settings.server.insecure_dev:
        log.warning("no authentication: every caller is whom he says he is (--insecure-dev)")
        return InsecureAuthenticator(settings.server.host)
    return make_authenticator(settings.auth, read_secrets, time.time, time.monotonic)
