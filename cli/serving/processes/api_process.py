"""What an API process does: `python -m` this module, with the descriptor of its channel and the id of its server.

It is a server without mailboxes and without a port for the operator. It asks the owner in the process that started it,
and says what it counts when it is asked. It ends when its server does, however that ends.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Final, NoReturn

from rowbox.api.edge.server import Server
from rowbox.api.http import request_id
from rowbox.api.telemetry.combined import report_of
from rowbox.api.telemetry.metrics import process_samples
from rowbox.cacheserver.remote.ephemeral import RemoteEphemeral
from rowbox.cacheserver.remote.mailboxes import RemoteMailboxes
from rowbox.cacheserver.rpc.endpoint import UnixEndpoint
from rowbox.cacheserver.rpc.handshake import Identity
from rowbox.cacheserver.rpc.peer import Peer, calling_counts
from rowbox.cacheserver.stores.files.private import UMASK
from rowbox.cli import logs
from rowbox.cli.serving.api_side import api_side, listen
from rowbox.cli.serving.presence import is_alone, shared_store
from rowbox.cli.serving.processes.control import Ask, Begin, Channel, Counts, Drain, Failed, Listening, Reload
from rowbox.cli.serving.processes.owner_link import TIMING, answer_s
from rowbox.cli.serving.processes.parent_death import end_with
from rowbox.cli.serving.runtime import run, started, tune
from rowbox.cli.serving.uncaught import log_uncaught
from rowbox.mailbox.errors import RowboxError, StoreUnusable

CONNECT_S: Final = 30.0
"""How long the owner of the mailboxes, which listens already, may take to answer."""
log = logging.getLogger(__name__)


def main() -> None:
    """Ends when the server says so, or is gone. Exit code 1 where it could not start; the server was told why."""
    end_with(int(sys.argv[2]))
    os.umask(UMASK)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server's business, and it says what follows from it
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    tune()
    log_uncaught()
    run(_main(socket.socket(fileno=int(sys.argv[1]))))


async def _main(end: socket.socket) -> None:
    channel = await Channel.over(end)
    begin = await channel.receive()
    if not isinstance(begin, Begin):
        _leave()
    server = begin.settings.server
    logs.set_up(server.log_format, request_id.REQUEST_ID.get, level=logs.LEVELS[server.log_level], process=begin.name)
    try:
        await ApiProcess(begin, channel).run()
    except RowboxError as error:
        channel.send(Failed(str(error)))
        raise SystemExit(1) from error
    except Exception as error:
        log.critical("ended by a defect", exc_info=error)
        raise SystemExit(1) from error
    finally:
        await channel.close()


class ApiProcess:
    """One API process, from the first message of its server to its end."""

    def __init__(self, begin: Begin, channel: Channel) -> None:
        self._settings = begin.settings
        self._channel = channel
        self._stop = asyncio.Event()
        self._hangup = asyncio.Event()
        identity = Identity(begin.cluster, begin.incarnation)
        self._peer = Peer(
            UnixEndpoint(Path(begin.owner)),
            identity,
            begin.secret,
            timing=TIMING,
            counts=calling_counts("processes"),
        )
        self._mailboxes = RemoteMailboxes(self._peer, timeout_s=answer_s(begin.settings))
        own = RemoteEphemeral(self._peer) if is_alone(begin.settings) else None
        ephemeral = shared_store(begin.settings) or own
        self._api = api_side(self._mailboxes, begin.settings, self._hangup, ephemeral)

    async def run(self) -> None:
        """Serves until the server says Drain, or SIGTERM comes. RowboxError: it cannot listen, or reads no keys."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        api = self._api
        server = Server(
            api.app, None, self._mailboxes, self._settings.server, api.drain, api.ids, api.connections, shares_port=True
        )
        self._peer.start()
        try:
            await self._connected()
            await listen(server)
            async with api.upkeep:
                started()
                self._channel.send(Listening())
                obeying = loop.create_task(self._obey(), name="channel")
                await self._stop.wait()
                await server.stop()
                obeying.cancel()
            self._channel.send(self._counts())
        finally:
            await server.stop()
            await self._peer.close()

    async def _connected(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._peer.up()
        except TimeoutError as error:
            raise StoreUnusable(f"the owner of the mailboxes did not answer within {CONNECT_S:.0f} s") from error

    async def _obey(self) -> None:
        """Does what the server says, until the server is gone: then this process is, too."""
        while (message := await self._channel.receive()) is not None:
            if isinstance(message, Ask):
                self._channel.send(self._counts())
            elif isinstance(message, Reload):
                self._hangup.set()
            elif isinstance(message, Drain):
                self._stop.set()
        _leave()

    def _counts(self) -> Counts:
        api = self._api
        report = report_of(api.counters, [*api.sources, process_samples, self._peer.counts.samples])
        if api.keys is None:
            return Counts(report)
        return Counts(report, tuple(api.keys.unready_reasons()), tuple(api.keys.warnings()))


def _leave() -> NoReturn:
    """The server is gone without a word: there is nobody to finish anything for."""
    os._exit(1)


if __name__ == "__main__":
    main()
