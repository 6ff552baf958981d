"""A program: the HTTP API over the link to bench.links.owner, until it is told to stop."""

import asyncio
import signal
import sys
from pathlib import Path

from bench.links.owner import CLUSTER, SECRET, settings_of
from bench.load.closed_loop import HOST
from rowbox.api.edge.server import Server
from rowbox.cacheserver.ephemeral.memory import MemoryEphemeral
from rowbox.cacheserver.remote.mailboxes import RemoteMailboxes
from rowbox.cacheserver.rpc.endpoint import UnixEndpoint
from rowbox.cacheserver.rpc.handshake import Identity
from rowbox.cacheserver.rpc.peer import Peer
from rowbox.cli.serving import runtime
from rowbox.cli.serving.api_side import api_side


async def serve(data_dir: Path, socket: Path) -> None:
    """Serves until SIGTERM; prints its address when it does."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = settings_of(data_dir)
    peer = Peer(UnixEndpoint(socket), Identity(CLUSTER, "api"), SECRET)
    peer.start()
    await peer.up()
    mailboxes = RemoteMailboxes(peer)
    api = api_side(mailboxes, settings, asyncio.Event(), MemoryEphemeral())
    server = Server(api.app, None, mailboxes, settings.server, api.drain, api.ids, api.connections)
    await server.start()
    try:
        async with api.upkeep:
            runtime.started()
            print(f"http://{HOST}:{server.port}", flush=True)
            await stop.wait()
    finally:
        await server.stop()
        await peer.close()


if __name__ == "__main__":
    runtime.tune()
    runtime.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
