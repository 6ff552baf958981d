"""`rowbox serve`: the all-in-one server. The composition root: store, owner, HTTP, signals, one process."""

import asyncio
import gc
import logging
import resource
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import click

from rowbox.api import request_id
from rowbox.api.app import build_admin_app, build_app
from rowbox.api.auth import Authenticator, make_authenticator
from rowbox.api.counters import HttpCounters
from rowbox.api.drain import Drain
from rowbox.api.insecure import InsecureAuthenticator
from rowbox.api.server import Server
from rowbox.cacheserver.owner import Owner
from rowbox.cacheserver.samples import StoreStatistics, owner_samples
from rowbox.cacheserver.stores.rocksdb import OnBroken, RocksStore
from rowbox.cli import logs
from rowbox.cli.data_dir import store_folder
from rowbox.cli.options import with_settings
from rowbox.cli.ready import ready_lines
from rowbox.cli.secret import load_or_create
from rowbox.hbase_schema.families import ttl_ms
from rowbox.mailbox.config import Loaded, Settings
from rowbox.mailbox.errors import RowboxError, StoreUnusable

log = logging.getLogger(__name__)

SWITCH_INTERVAL_S: Final = 0.0005
"""How long the thread that waited for the disk then waits for the GIL, at most. With uvloop no difference to Python's
5 ms could be measured under load (it lets go in each turn of its loop); asyncio's own loop would make commits wait."""
GC_THRESHOLDS: Final = (50_000, 20, 50)
"""Mailboxes are many objects that live long and form no cycles. With Python's own thresholds (700, 10, 10) the
collector walks over them again and again: 17% to 21% of a busy owner's CPU, with pauses of a quarter second
(docs/benchmarks.md)."""


@click.command("serve")
@with_settings()
def command(loaded: Loaded) -> None:
    """Run the server on the embedded store: HTTP API, owner of all mailboxes and RocksDB in one process.

    Prints where it listens when it is ready. SIGTERM or Ctrl-C finishes what has begun and stops.
    """
    settings = loaded.settings
    logs.set_up(settings.server.log_format, request_id.REQUEST_ID.get)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GC_THRESHOLDS)
    _raise_open_files()
    _run(_serve(settings))


def _raise_open_files() -> None:
    """As many open files as the system allows: each connection is one, and each file of the store."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _run(main: Coroutine[object, object, None]) -> None:
    """Runs `main` on uvloop where that is installed, on asyncio's own loop otherwise."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main)


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    failures: list[RowboxError] = []

    def on_broken(error: StoreUnusable) -> None:
        failures.append(error)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    secret = load_or_create(Path(settings.server.data_dir))
    async with _running(settings, secret, on_broken) as server:
        gc.collect()
        gc.freeze()  # what stands now stands for ever: the collector need not look at it again
        for line in ready_lines(settings, secret, server.port, server.admin_port, time.time()):
            click.echo(line)
        await stop.wait()
        log.info("stopping: %s", "the store has failed" if failures else "finishing what has begun")
    if failures:
        raise failures[0]


@asynccontextmanager
async def _running(settings: Settings, secret: bytes, on_broken: OnBroken) -> AsyncIterator[Server]:
    """Everything that runs, closed in the reverse order."""
    async with AsyncExitStack() as stack:
        store = _open_store(settings, on_broken)
        stack.push_async_callback(store.close)
        owner = Owner(store, settings)
        stack.push_async_callback(owner.close)
        await owner.start()
        store.purge.start()
        stats = StoreStatistics(store)
        stack.push_async_callback(stats.close)
        await stats.start()
        server = _server(settings, secret, owner, stats)
        stack.push_async_callback(server.stop)
        await _listen(server, settings)
        yield server


async def _listen(server: Server, settings: Settings) -> None:
    try:
        await server.start()
    except OSError as error:
        address = f"{settings.server.host}:{settings.server.port} or :{settings.server.admin_port}"
        raise StoreUnusable(f"cannot listen on {address}: {error.strerror}; give other ports") from error


def _open_store(settings: Settings, on_broken: OnBroken) -> RocksStore:
    return RocksStore.open(
        store_folder(settings),
        settings.store.shards,
        ttl_ms(settings.store),
        block_cache_bytes=settings.store.block_cache_bytes,
        memtable_bytes=settings.store.memtable_bytes,
        min_free_bytes=settings.store.min_free_bytes,
        on_broken=on_broken,
    )


def _server(settings: Settings, secret: bytes, owner: Owner, stats: StoreStatistics) -> Server:
    counters, drain = HttpCounters(), Drain()
    ids = request_id.request_ids(secrets.token_hex(4))
    app = build_app(owner, _authenticator(settings, secret), settings, counters, drain, ids)
    sources = (lambda: owner_samples(owner), stats.samples)
    admin = build_admin_app(owner, counters, drain, ids, sources=sources)
    return Server(app, admin, owner, settings.server, drain, ids)


def _authenticator(settings: Settings, secret: bytes) -> Authenticator:
    if settings.server.insecure_dev:
        log.warning("no authentication: every caller is whom he says he is (--insecure-dev)")
        return InsecureAuthenticator(settings.server.host)
    return make_authenticator(settings.auth, secret, time.time, time.monotonic)
