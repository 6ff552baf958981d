"""A listener and a peer over a real socket, and a caller that knows the secret and keeps no rule."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from rowbox.cacheserver.rpc import frames
from rowbox.cacheserver.rpc.calls import CallSpec, Handlers, Inbound, Lane
from rowbox.cacheserver.rpc.credit import WINDOWS, Windows
from rowbox.cacheserver.rpc.endpoint import Endpoint, UnixEndpoint
from rowbox.cacheserver.rpc.handshake import Calling, Identity, Session
from rowbox.cacheserver.rpc.listener import Listener
from rowbox.cacheserver.rpc.peer import Peer
from rowbox.cacheserver.rpc.wire import LinkTiming
from tests.support.virtual_time import settle

SECRET = b"the secret of the cluster, 32 bytes and more"
API, OWNER = Identity("chat", "api-1"), Identity("chat", "owner-1")
READ = CallSpec("read", str, str, Lane.REQUESTS, writes=False)
WRITE = CallSpec("write", str, str, Lane.REQUESTS, writes=True)
WAIT = CallSpec("wait", str, str, Lane.WAITS, writes=False)
BLOB = CallSpec("blob", bytes, bytes, Lane.MOVES, writes=False)


class Parked:
    """A handler that says what it was asked, and answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.inbound: list[Inbound] = []
        self.answers: dict[str, asyncio.Future[str]] = {}

    def __call__(self, asked: str, inbound: Inbound) -> "asyncio.Future[str]":
        self.asked.append(asked)
        self.inbound.append(inbound)
        answer = self.answers[asked] = asyncio.get_running_loop().create_future()
        return answer

    def answer_all(self) -> None:
        for asked, answer in self.answers.items():
            if not answer.done():
                answer.set_result(asked.upper())


def handlers_of(parked: Parked) -> Handlers:
    """READ answers in the turn, BLOB as well; WRITE and WAIT when `parked` is told to."""
    handlers = Handlers()
    handlers.add(READ, lambda asked, _: asked.upper())
    handlers.add(BLOB, lambda asked, _: asked)
    handlers.add(WRITE, parked)
    handlers.add(WAIT, parked)
    return handlers


class Linked:
    """Both sides. `parked` is the handler of WRITE and WAIT."""

    def __init__(self, endpoint: Endpoint, peer: Peer, listener: Listener, parked: Parked) -> None:
        self.endpoint = endpoint
        self.peer = peer
        self.listener = listener
        self.parked = parked

    def read(self, asked: str, timeout_s: float = 5.0) -> "asyncio.Future[str]":
        return self.peer.call(READ, asked, timeout_s=timeout_s)

    def write(self, asked: str, timeout_s: float = 5.0) -> "asyncio.Future[str]":
        return self.peer.call(WRITE, asked, timeout_s=timeout_s)

    def wait(self, asked: str, timeout_s: float = 5.0) -> "asyncio.Future[str]":
        return self.peer.call(WAIT, asked, timeout_s=timeout_s)

    def cut(self) -> None:
        """Ends the connection from the listener's side, at once."""
        for link in self.listener.links():
            link.wire.give_up("cut by the test")


@asynccontextmanager
async def linked(
    folder: Path,
    *,
    endpoint: Endpoint | None = None,
    handlers: Callable[[Parked], Handlers] = handlers_of,
    windows: Windows = WINDOWS,
    timing: LinkTiming | None = None,
    is_up: bool = True,
    **peer: Any,
) -> AsyncIterator[Linked]:
    """Both sides for the time of the block; with a link, unless `is_up` is False."""
    parked = Parked()
    listener = Listener(OWNER, SECRET, handlers(parked), windows=windows, timing=timing)
    bound = await listener.listen(endpoint if endpoint is not None else UnixEndpoint(folder / "in" / "a.sock"))
    calling = Peer(bound, API, SECRET, timing=timing, **peer)
    try:
        if is_up:
            calling.start()
            await calling.up()
        yield Linked(bound, calling, listener, parked)
    finally:
        await calling.close()
        await listener.close()
        await settle()


class Unruly:
    """A caller that has proven itself and says what it likes. It reads only when it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: Session) -> None:
        self.reader = reader
        self.writer = writer
        self.session = session

    def say(self, message: bytes) -> None:
        self.writer.write(len(message).to_bytes(4) + message)

    def say_frames(self, *parts: bytes) -> None:
        self.say(frames.message_of(parts))

    async def next_frames(self) -> list[frames.Frame]:
        """The next message that is more than a beat."""
        while True:
            found = frames.frames_of(await _message(self.reader))
            if found != [frames.Beat()]:
                return found

    async def is_cut_off(self) -> bool:
        """Returns when the other side has ended the connection; whatever it said before is passed over."""
        try:
            while await self.reader.read(1 << 20):
                pass
        except ConnectionError:
            pass
        return True


async def _message(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4)))


@asynccontextmanager
async def connection(endpoint: Endpoint) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that has said nothing yet."""
    assert isinstance(endpoint, UnixEndpoint)
    reader, writer = await asyncio.open_unix_connection(str(endpoint.path))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await settle()


@asynccontextmanager
async def unruly(endpoint: Endpoint, identity: Identity = API) -> AsyncIterator[Unruly]:
    """A caller that has proven itself."""
    async with connection(endpoint) as (reader, writer):
        handshake = Calling(identity, SECRET, secrets.token_bytes(32))
        writer.write(len(handshake.hello).to_bytes(4) + handshake.hello)
        proof = handshake.challenged(await _message(reader), b"")
        writer.write(len(proof).to_bytes(4) + proof)
        yield Unruly(reader, writer, handshake.welcomed(await _message(reader)))


def decoded(value: bytes) -> Any:
    return msgspec.msgpack.decode(value)
