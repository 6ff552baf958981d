"""A program: the owner of an embedded store, which serves a link on a Unix socket until it is told to stop."""

import asyncio
import signal
import sys
from pathlib import Path

from rowbox.cacheserver.remote.mailboxes import mailbox_calls
from rowbox.cacheserver.rpc.endpoint import UnixEndpoint
from rowbox.cacheserver.rpc.handshake import Identity
from rowbox.cacheserver.rpc.listener import Listener
from rowbox.cacheserver.rpc.status import StatusPublisher
from rowbox.cli.serving import runtime
from rowbox.cli.serving.backends import backend
from rowbox.mailbox.errors import StoreUnusable
from rowbox.mailbox.settings.config import RateLimitSettings, ServerSettings, Settings

SECRET = b"the secret of this measurement's link"
CLUSTER = "bench"


def settings_of(data_dir: Path) -> Settings:
    """As bench.server.rowbox starts the whole server."""
    server = ServerSettings(data_dir=str(data_dir), port=0, admin_port=0)
    return Settings(server=server, rate_limits=RateLimitSettings(enabled=False))


async def serve(data_dir: Path, socket: Path) -> None:
    """Serves until SIGTERM; prints a line when it does."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with backend(settings_of(data_dir), _broken) as mailboxes:
        await mailboxes.ready()
        listener = Listener(Identity(CLUSTER, "owner"), SECRET, mailbox_calls(mailboxes.port))
        await listener.listen(UnixEndpoint(socket))
        status = StatusPublisher(listener, mailboxes.port)
        status.loop.start()
        runtime.started()
        print("ready", flush=True)
        await stop.wait()
        await status.loop.close()
        await listener.close()


def _broken(error: StoreUnusable) -> None:
    raise error


if __name__ == "__main__":
    runtime.tune()
    runtime.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
