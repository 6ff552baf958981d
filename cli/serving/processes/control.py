"""What a server and one of its API processes tell one another, beside the requests, over a pair of connected sockets.

The process inherits its end, so nobody else can speak on it, and either side sees at once that the other one has ended.
The first message is Begin. It holds all that the process has to know, so the process reads neither command line nor
environment, and the secret of the link stands in neither.

    server                          API process
      Begin  ------------------->     connects to the owner, listens
             <-------------------   Listening; or Failed, and its end
      Ask    ------------------->
             <-------------------   Counts
      Reload ------------------->     reads its keys again
      Drain  ------------------->     stops as a server does
             <-------------------   Counts, and its end
"""

import asyncio
import socket
from typing import Final, Self, TypeAlias

import msgspec

from rowbox.api.telemetry.combined import Report
from rowbox.mailbox.settings.config import Settings

MOST_BYTES: Final = 4 << 20
"""Of one message: a report of some hundred series has 30 KB."""
_LENGTH_BYTES: Final = 4


class Begin(msgspec.Struct, frozen=True, tag=True):
    """The first message. `settings` are this process's part of the server's; `server.port` is never 0.

    `owner` is the path of the socket at which the owner of the mailboxes listens. `cluster`, `incarnation` and `secret`
    are what the link's handshake is about.
    """

    name: str
    settings: Settings
    owner: str
    cluster: str
    incarnation: str
    secret: bytes


class Ask(msgspec.Struct, frozen=True, tag=True):
    """Asks for a Counts."""


class Reload(msgspec.Struct, frozen=True, tag=True):
    """Has the keys read again, as SIGHUP does."""


class Drain(msgspec.Struct, frozen=True, tag=True):
    """Has the process stop: it finishes what has begun."""


class Listening(msgspec.Struct, frozen=True, tag=True):
    """The process accepts connections."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The process cannot start; `why` is one line for an operator."""

    why: str


class Counts(msgspec.Struct, frozen=True, tag=True):
    """All that the process has counted, and what its keys say of its health."""

    report: Report = Report()
    unready: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


Message: TypeAlias = Begin | Ask | Reload | Drain | Listening | Failed | Counts
_DECODER: Final = msgspec.msgpack.Decoder(Message)


class Channel:
    """One end. Messages are small and few, so that sending one does not wait."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Self:
        """The channel over this end of the pair, which it closes in the end."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def send(self, message: Message) -> None:
        """Sends. Does nothing where the other side has ended: `receive` says so."""
        if not self._writer.is_closing():
            self._writer.write(framed(message))

    async def receive(self) -> Message | None:
        """The next message. None: the other side has ended."""
        try:
            length = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES))
            if length > MOST_BYTES:
                return None
            message: Message = _DECODER.decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError, msgspec.DecodeError):
            return None
        return message

    async def close(self) -> None:
        """Sends what is left, and closes."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return


def framed(message: Message) -> bytes:
    """A message as it is sent: its length, and msgpack."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(_LENGTH_BYTES) + body
