"""Where links are made: sockets in folders of one's own, TCP with a seal, TLS with certificates of the cluster."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rowbox.cacheserver.rpc import frames, seal
from rowbox.cacheserver.rpc.endpoint import TcpEndpoint, Tls, UnixEndpoint, load_tls, parse_endpoint
from rowbox.cacheserver.rpc.listener import Listener
from rowbox.cacheserver.rpc.peer import Peer
from rowbox.mailbox.errors import LinkLost, MessageTooLarge, StoreOutcomeUnknown
from tests.links.certificates import made_certificates
from tests.links.linked import API, BLOB, OWNER, READ, SECRET, Parked, handlers_of, linked
from tests.support.virtual_time import settle, virtual_time

LOOPBACK = TcpEndpoint("127.0.0.1", 0)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("unix:/run/rowbox/a.sock", UnixEndpoint(Path("/run/rowbox/a.sock"))),
        ("cache-1.example:7400", TcpEndpoint("cache-1.example", 7400)),
        ("[2001:db8::1]:7400", TcpEndpoint("2001:db8::1", 7400)),
    ],
)
def test_an_endpoint_reads_as_it_is_written(text: str, shown: UnixEndpoint | TcpEndpoint) -> None:
    assert parse_endpoint(text) == shown
    assert str(shown) == text


@pytest.mark.parametrize(
    "text", ["", "unix:a.sock", "host", "host:", ":7400", "host:65536", "host:-1", "::1:7400", "h:²"]
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no HOST:PORT|absolute|brackets"):
        parse_endpoint(text)


@virtual_time
async def test_a_socket_is_not_made_where_others_can_enter(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o755)  # whatever umask the tests run under
    listener = Listener(OWNER, SECRET, handlers_of(Parked()))
    with pytest.raises(PermissionError, match="chmod 700"):
        await listener.listen(UnixEndpoint(folder / "a.sock"))
    await listener.close()


@virtual_time
async def test_a_folder_that_is_made_for_a_socket_is_private_and_a_socket_that_was_left_there_is_replaced(
    tmp_path: Path,
) -> None:
    for _ in range(2):
        async with linked(tmp_path) as both:
            assert await both.read("hello") == "HELLO"
            assert (tmp_path / "in").stat().st_mode & 0o777 == 0o700


class Between:
    """Whoever stands between two processes on a network: passes bytes on, changed by `change`."""

    def __init__(self) -> None:
        self.server: asyncio.Server | None = None
        self.passed = 0
        self.change_at = -1
        self.repeat_at = -1
        self._writers: list[asyncio.StreamWriter] = []

    async def listen(self, to_port: int) -> int:
        async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", to_port)
            self._writers += [writer, there_writer]
            await asyncio.gather(self._pass(reader, there_writer), self._pass(there_reader, writer, changes=False))

        self.server = await asyncio.start_server(met, "127.0.0.1", 0)
        port: int = self.server.sockets[0].getsockname()[1]
        return port

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, changes: bool = True) -> None:
        try:
            while True:
                size = await reader.readexactly(4)
                message = bytearray(await reader.readexactly(int.from_bytes(size)))
                if changes:
                    self.passed += 1
                    if self.passed == self.change_at:
                        message[-1] ^= 1
                writer.write(size + message)
                if changes and self.passed == self.repeat_at:
                    writer.write(size + message)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def close(self) -> None:
        assert self.server is not None
        self.server.close()
        for writer in self._writers:
            writer.transport.abort()
        await settle()


@asynccontextmanager
async def through_a_stranger() -> AsyncIterator[tuple[Peer, Listener, Between, Parked]]:
    parked, between = Parked(), Between()
    listener = Listener(OWNER, SECRET, handlers_of(parked))
    bound = await listener.listen(LOOPBACK)
    assert isinstance(bound, TcpEndpoint)
    peer = Peer(TcpEndpoint("127.0.0.1", await between.listen(bound.port)), API, SECRET)
    peer.start()
    await peer.up()
    try:
        yield peer, listener, between, parked
    finally:
        await peer.close()
        await listener.close()
        await between.close()


@virtual_time
async def test_a_link_over_tcp_is_sealed(tmp_path: Path) -> None:
    async with linked(tmp_path, endpoint=LOOPBACK) as both:
        assert await both.read("hello") == "HELLO"
        (link,) = both.listener.links()
        assert link.wire._seals is not None
    async with linked(tmp_path) as both:
        (link,) = both.listener.links()
        assert link.wire._seals is None


@virtual_time
async def test_the_largest_call_goes_over_a_sealed_link(tmp_path: Path) -> None:
    async with linked(tmp_path, endpoint=LOOPBACK) as both:
        head = len(frames.call(2, BLOB.name, 5_000, 0, bytes(100_000))) - 100_000
        blob = bytes(frames.MOST_MESSAGE_BYTES - frames.HEADER_BYTES - 1 - head)
        assert await both.peer.call(BLOB, blob, timeout_s=5.0) == blob
        with pytest.raises(MessageTooLarge):
            both.peer.call(BLOB, blob + b"x", timeout_s=5.0)


@virtual_time
async def test_no_key_seals_two_messages_under_one_nonce(tmp_path: Path) -> None:
    """GMAC would give its key away: so each direction of each link has a key of its own, and counts from its begin."""
    sealed: list[tuple[bytes, bytes]] = []

    class Recorded:
        def __init__(self, key: bytes) -> None:
            self._key = key
            self.decrypt = AESGCM(key).decrypt

        def encrypt(self, nonce: bytes, data: bytes, message: bytes) -> bytes:
            sealed.append((self._key, nonce))
            return AESGCM(self._key).encrypt(nonce, data, message)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seal, "AESGCM", Recorded)
        async with linked(tmp_path, endpoint=LOOPBACK) as both:
            for number in range(1, 4):
                await both.peer.up()
                assert await both.read("hello") == "HELLO"
                assert both.peer.links == number
                both.cut()
                await settle()
    assert len(set(sealed)) == len(sealed) >= 2 * 3
    assert len({key for key, _ in sealed}) == 2 * 3


@pytest.mark.parametrize("what", ["change", "repeat"])
def test_what_a_stranger_changes_or_repeats_is_never_done(what: str) -> None:
    """Without the seal the first would be a forged call, and the second the same write twice."""

    @virtual_time
    async def never_done() -> None:
        async with through_a_stranger() as (peer, _, between, parked):
            assert await peer.call(READ, "hello", timeout_s=5) == "HELLO"
            setattr(between, f"{what}_at", between.passed + 1)
            waiting = peer.call(READ, "paid: 10", timeout_s=5)
            if what == "change":
                with pytest.raises(LinkLost):
                    await waiting
            else:
                await asyncio.wait([waiting])
            await settle()
            assert parked.asked == []
            await asyncio.sleep(0.5)
            await peer.up()
            assert peer.links == 2

    never_done()


def tls_of(folder: Path, name: str, authority: str) -> Tls:
    return load_tls(folder / f"{name}.pem", folder / f"{name}.key", folder / f"{authority}.pem")


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """Of a cluster (`ca`): node-1 and node-2; of somebody else's (`other-ca`): stranger."""
    return made_certificates(tmp_path)


async def test_a_link_over_tls_needs_no_seal_and_both_sides_show_a_certificate_of_the_cluster(
    certificates: Path,
) -> None:
    listener = Listener(OWNER, SECRET, handlers_of(Parked()))
    bound = await listener.listen(TcpEndpoint("127.0.0.1", 0, tls_of(certificates, "node-1", "ca")))
    assert isinstance(bound, TcpEndpoint)
    peer = Peer(bound._replace(tls=tls_of(certificates, "node-2", "ca")), API, SECRET)
    stranger = Peer(bound._replace(tls=tls_of(certificates, "stranger", "other-ca")), API, SECRET)
    plain = Peer(bound._replace(tls=None), API, SECRET)
    for one in (peer, stranger, plain):
        waiting = one.call(READ, "hello", timeout_s=20)
        one.start()
        if one is peer:
            assert await waiting == "HELLO"
            assert [link.wire._seals for link in listener.links()] == [None]
        else:
            with pytest.raises((LinkLost, StoreOutcomeUnknown)):
                await waiting
    for one in (peer, stranger, plain):
        await one.close()
    await listener.close()


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b""], ids=["what is no TLS", "nothing"])
def test_a_stranger_without_tls_keeps_its_place_no_longer_than_others(certificates: Path, said: bytes) -> None:
    """A scan of ports, a check of health by TCP. Where TLS fails, asyncio tells the protocol nothing of the end."""

    @virtual_time
    async def no_longer() -> None:
        listener = Listener(OWNER, SECRET, handlers_of(Parked()))
        bound = await listener.listen(TcpEndpoint("127.0.0.1", 0, tls_of(certificates, "node-1", "ca")))
        assert isinstance(bound, TcpEndpoint)
        try:
            for _ in range(3):
                reader, writer = await asyncio.open_connection("127.0.0.1", bound.port)
                writer.write(said)
                while await reader.read(1_000):
                    pass
                writer.close()
            assert asyncio.get_running_loop().time() < 3 * 2.5
            await asyncio.sleep(2.5)
            assert (len(listener._strangers), listener.refused) == (0, 3)
        finally:
            await listener.close()

    no_longer()


async def test_a_proof_that_another_node_passes_on_is_refused(certificates: Path) -> None:
    """A node whose certificate is good stands in between: it decrypts, and passes the handshake on."""
    listener = Listener(OWNER, SECRET, handlers_of(Parked()))
    bound = await listener.listen(TcpEndpoint("127.0.0.1", 0, tls_of(certificates, "node-1", "ca")))
    assert isinstance(bound, TcpEndpoint)
    evil = tls_of(certificates, "node-2", "ca")

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", bound.port, ssl=evil.calling, server_hostname="")
        try:
            await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer))
        finally:
            there[1].transport.abort()
            writer.transport.abort()

    between = await asyncio.start_server(met, "127.0.0.1", 0, ssl=evil.listening)
    port = between.sockets[0].getsockname()[1]
    peer = Peer(TcpEndpoint("127.0.0.1", port, tls_of(certificates, "node-2", "ca")), API, SECRET)
    waiting = peer.call(READ, "hello", timeout_s=20)
    peer.start()
    with pytest.raises(LinkLost):
        await waiting
    assert listener.peers == ()
    assert listener.refused > 0
    await peer.close()
    await listener.close()
    between.close()


def test_files_that_are_no_certificates_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("nothing")
    with pytest.raises(ssl.SSLError):
        load_tls(tmp_path / "x.pem", tmp_path / "x.pem", tmp_path / "x.pem")
    with pytest.raises(FileNotFoundError):
        load_tls(tmp_path / "y.pem", tmp_path / "y.pem", tmp_path / "y.pem")
