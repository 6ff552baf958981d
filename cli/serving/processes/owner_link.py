"""How API processes speak to the owner of the mailboxes: over a Unix socket, with the protocol of peers."""

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from rowbox.cacheserver.ephemeral.store import EphemeralStore
from rowbox.cacheserver.link_counts import LinkCounts
from rowbox.cacheserver.port import MailboxPort
from rowbox.cacheserver.remote.ephemeral import ephemeral_calls
from rowbox.cacheserver.remote.mailboxes import mailbox_calls
from rowbox.cacheserver.rpc.calls import Lane
from rowbox.cacheserver.rpc.credit import WINDOWS, Window, Windows
from rowbox.cacheserver.rpc.endpoint import UnixEndpoint
from rowbox.cacheserver.rpc.handshake import Identity
from rowbox.cacheserver.rpc.listener import Listener, serving_counts
from rowbox.cacheserver.rpc.wire import LinkTiming
from rowbox.cli.serving.processes.control import Begin
from rowbox.cli.serving.processes.owner_socket import owner_socket
from rowbox.mailbox.errors import StoreUnusable
from rowbox.mailbox.settings.config import Settings

TIMING: Final = LinkTiming(beat_s=15.0)
"""A Unix socket ends with its process, so a silent one is an owner that is busy or was paused, and comes back."""
SECRET_BYTES: Final = 32
POLL_BYTES: Final = 1024
"""Of what one long poll asks: more than a token, a cursor and a userId have."""
_CLUSTER: Final = "api-processes"
_SPARE_S: Final = 30.0


class OwnerLink:
    """What an API process has to know to be served."""

    def __init__(self, path: Path, secret: bytes, counts: LinkCounts) -> None:
        self._path = path
        self._secret = secret
        self.counts = counts
        """Of the links of all API processes."""

    def begin(self, settings: Settings, name: str) -> Begin:
        """The first message for a process of this name. Each start of a process is an incarnation of its own."""
        incarnation = f"{name}-{secrets.token_hex(8)}"
        return Begin(name, settings, str(self._path), _CLUSTER, incarnation, self._secret)


@asynccontextmanager
async def owner_link(
    settings: Settings, port: MailboxPort, ephemeral: EphemeralStore | None
) -> AsyncIterator[OwnerLink]:
    """Serves `port` and `ephemeral` to API processes while this is entered. StoreUnusable: there is no place for the
    socket.
    """
    handlers = mailbox_calls(port)
    if ephemeral is not None:
        handlers.merge(ephemeral_calls(ephemeral))
    secret = secrets.token_bytes(SECRET_BYTES)
    owner = Identity(_CLUSTER, f"owner-{secrets.token_hex(8)}")
    listener = Listener(
        owner,
        secret,
        handlers,
        windows=_windows(settings),
        timing=TIMING,
        ends_level=logging.DEBUG,  # that a process has ended, place.py says
        counts=serving_counts("processes"),
    )
    with owner_socket() as path:
        try:
            await listener.listen(UnixEndpoint(path))
        except OSError as error:
            raise StoreUnusable(f"{path}: {error.strerror or error}; name another folder in TMPDIR") from error
        try:
            yield OwnerLink(path, secret, listener.counts)
        finally:
            await listener.close()


def answer_s(settings: Settings) -> float:
    """Seconds that an API process waits for an answer of the owner: longer than the owner takes by its own limits."""
    return (settings.commit.timeout_ms + settings.commit.delivery_wait_ms) / 1000 + _SPARE_S


def _windows(settings: Settings) -> Windows:
    """What one process may ask at once: so much that the owner's own limits refuse first."""
    requests = Window(settings.commit.queue_commands + settings.cache.load_queue, settings.commit.queue_bytes)
    waits = Window(settings.poll.max_per_server, settings.poll.max_per_server * POLL_BYTES)
    return {**WINDOWS, Lane.REQUESTS: requests, Lane.WAITS: waits}
