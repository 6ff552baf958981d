"""TLS among the servers of a cluster, by its settings, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rowbox.cacheserver.port import FetchMessages, Send
from rowbox.cacheserver.rpc.endpoint import parse_endpoint
from rowbox.cacheserver.shardmap.shard_map import ListedNode, empty_map
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.cli.serving.cluster.peer_side import PeerSide
from rowbox.cli.serving.cluster.peers import cluster_tls
from rowbox.cli.serving.cluster.routing import Routing
from rowbox.mailbox.errors import HandoverInProgress, LinkLost, StoreUnusable
from rowbox.mailbox.settings.config import ClusterSettings, ConfigError, Settings, load
from tests.links.certificates import made_certificates
from tests.links.linked import SECRET
from tests.routing.scripted import ScriptedTarget, comes_to


def of(folder: Path, name: str, authority: str = "ca") -> ClusterSettings:
    """The settings of a server with this certificate. It is patient enough for a link to be made, and no more."""
    return ClusterSettings(
        tls_certificate=str(folder / f"{name}.pem"),
        tls_key=str(folder / f"{name}.key"),
        tls_authority=str(folder / f"{authority}.pem"),
        patience_ms=500,
    )


@asynccontextmanager
async def owning(settings: ClusterSettings) -> AsyncIterator[tuple[PeerSide, MapView, ScriptedTarget]]:
    """A server that owns everything, and a map that says so."""
    view, owner = MapView(), ScriptedTarget("cache-1")
    side = PeerSide(Settings(cluster=settings), SECRET, view, lambda: "cache-1-a", owner)
    bound = await side.listen(parse_endpoint("127.0.0.1:0", cluster_tls(settings)))
    node = ListedNode("cache-1-a", "cache-1", str(bound))
    view.show(empty_map(4).next().listing([node]).giving(range(4), node.incarnation))
    side.tell(view.version)
    try:
        yield side, view, owner
    finally:
        await side.close()


@asynccontextmanager
async def asking(settings: ClusterSettings, view: MapView) -> AsyncIterator[Routing]:
    """A server that owns nothing."""
    routing = Routing(settings, SECRET, view, lambda: "api-1-a")
    routing.start()
    try:
        yield routing
    finally:
        await routing.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made_certificates(tmp_path)


async def test_servers_with_certificates_of_one_authority_speak_tls(folder: Path) -> None:
    async with owning(of(folder, "node-1")) as (side, view, owner), asking(of(folder, "node-2"), view) as routing:
        async with asyncio.timeout(10):
            await routing.ready()
        (link,) = side.listener.links()
        assert link.wire.transport.get_extra_info("ssl_object").version() == "TLSv1.3"
        sending = asyncio.ensure_future(routing.router.send(Send("ann", "bob", "hello", "1")))
        await comes_to(lambda: bool(owner.asked))
        sending.cancel()


async def test_who_shows_none_or_one_of_another_authority_is_refused(folder: Path) -> None:
    async with owning(of(folder, "node-1")) as (side, view, owner):
        for stranger in (of(folder, "stranger", "other-ca"), ClusterSettings(patience_ms=500)):
            async with asking(stranger, view) as routing:
                with pytest.raises((HandoverInProgress, LinkLost)):
                    await routing.router.fetch_messages(FetchMessages("ann"))
        assert not owner.asked
        assert side.listener.peers == ()
        assert side.listener.counts.made == 0


async def test_who_asks_for_tls_does_not_speak_without(folder: Path) -> None:
    async with owning(ClusterSettings()) as (side, view, owner), asking(of(folder, "node-2"), view) as routing:
        with pytest.raises((HandoverInProgress, LinkLost)):
            await routing.router.fetch_messages(FetchMessages("ann"))
        assert not owner.asked
        assert side.listener.counts.made == 0


def test_files_that_cannot_be_used_stop_the_start_with_their_names(folder: Path) -> None:
    assert cluster_tls(ClusterSettings()) is None
    with pytest.raises(StoreUnusable, match=r"node-9\.pem is no file"):
        cluster_tls(of(folder, "node-9"))
    (folder / "node-1.key").write_bytes((folder / "node-2.key").read_bytes())
    with pytest.raises(StoreUnusable, match=r"node-1\.key.*cannot be used|cannot be used.*node-1\.key"):
        cluster_tls(of(folder, "node-1"))


KEYS = ("tls_certificate", "tls_key", "tls_authority")


@pytest.mark.parametrize("missing", KEYS)
def test_of_certificate_key_and_authority_all_are_given_or_none(missing: str) -> None:
    given = {f"ROWBOX_CLUSTER_{key.upper()}": "x.pem" for key in KEYS if key != missing}
    with pytest.raises(ConfigError, match=rf"cluster\.{missing}.*because cluster\.tls_"):
        load({}, given, None)
