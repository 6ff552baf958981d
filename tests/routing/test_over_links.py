"""The router over real links, in this process: the targets are scripted, and everything between is what ships."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from rowbox.cacheserver.port import FetchMessages, Page, Send, SendResult
from rowbox.cacheserver.remote.mailboxes import mailbox_calls, owner_calls, revocation_calls
from rowbox.cacheserver.routing.deliveries import Deliveries
from rowbox.cacheserver.routing.hints import Hints
from rowbox.cacheserver.routing.in_turn import InTurn
from rowbox.cacheserver.routing.router import Router
from rowbox.cacheserver.routing.targets import Targets
from rowbox.cacheserver.rpc.endpoint import UnixEndpoint
from rowbox.cacheserver.rpc.handshake import Identity
from rowbox.cacheserver.rpc.listener import Listener
from rowbox.cacheserver.shardmap.shard_map import ListedNode, empty_map
from rowbox.cacheserver.shardmap.view import MapView
from rowbox.cli.serving.cluster.peers import BEAT, MAP, Peers, number_of
from rowbox.mailbox.errors import NotTheOwner
from rowbox.mailbox.message import Message
from rowbox.mailbox.revocation import Bearer
from tests.links.linked import SECRET
from tests.routing.scripted import PATIENCE_S, ScriptedTarget, comes_to, sent
from tests.support.virtual_time import settle, virtual_time

ME = Identity("chat", "api-1")
EMPTY = Page([], is_delta=True, token="t")


class Server:
    """One process that owns mailboxes, as far as others see it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.path = folder / name / "peers.sock"
        self.owner = ScriptedTarget(name)
        self.listener = self._made()

    def _made(self) -> Listener:
        in_turn = InTurn(self.owner)
        handlers = mailbox_calls(in_turn)
        handlers.merge(owner_calls(in_turn))
        handlers.merge(revocation_calls(in_turn))
        return Listener(Identity("chat", self.name), SECRET, handlers)

    async def listen(self) -> None:
        await self.listener.listen(UnixEndpoint(self.path))

    async def restart(self) -> None:
        await self.listener.close()
        self.listener = self._made()
        await self.listen()

    @property
    def listed(self) -> ListedNode:
        return ListedNode(self.name, self.name, f"unix:{self.path}")


class Cluster:
    """Two servers, of which `gives` makes one the owner of everything, and a router of a process that owns nothing."""

    def __init__(self, folder: Path) -> None:
        self.servers = {name: Server(name, folder) for name in ("a", "b")}
        self.view = MapView()
        self.wanted = 0
        self.view.on_wanted = self._is_wanted
        self.hints = Hints(self.view, [])
        self.heard: list[tuple[str, int]] = []
        """The beats of which it was told, and by whom."""
        self.peers = Peers(
            lambda: ME,
            SECRET,
            self.view,
            self.hints.heard,
            heard_beat=lambda name, beat: self.heard.append((name, beat)),
        )
        self.targets = Targets(self.view, self.peers.connect)
        self.peers.stirred = self.targets.stir
        self.router = Router(self.view, self.targets, patience_s=PATIENCE_S, random=Random(7))
        self.standing = empty_map(1).listing([server.listed for server in self.servers.values()])

    def __getitem__(self, name: str) -> ScriptedTarget:
        return self.servers[name].owner

    def gives(self, name: str) -> int:
        self.standing = self.standing.next().giving([0], name)
        self.view.show(self.standing)
        for server in self.servers.values():
            server.listener.publish(MAP, self.standing.version)
        return self.standing.version

    def send(self, name: str) -> "asyncio.Task[SendResult]":
        return asyncio.ensure_future(self.router.send(Send("ann", "bob", "hello", name)))

    def _is_wanted(self) -> None:
        self.wanted += 1


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Cluster]:
    made = Cluster(folder)
    for server in made.servers.values():
        await server.listen()
    made.targets.start()
    try:
        yield made
    finally:
        await made.targets.close()
        for server in made.servers.values():
            await server.listener.close()
        await settle()


def test_writes_keep_their_order_over_links(tmp_path: Path) -> None:
    @virtual_time
    async def run() -> None:
        async with cluster(tmp_path) as made:
            version = made.gives("a")
            sending = [made.send(name) for name in "123"]
            await comes_to(lambda: made["a"].names == ["1", "2", "3"])
            made["a"].asked[0].says(NotTheOwner("closing", map_version=version))
            await settle()
            sending.append(made.send("4"))
            for asked in made["a"].asked[1:]:
                asked.says(NotTheOwner("closing", map_version=version))
            await settle()
            assert made["b"].names == []
            made.gives("b")
            await comes_to(lambda: made["b"].names == ["1", "2", "3", "4"])
            for asked in made["b"].asked:
                asked.says(sent())
            assert await asyncio.gather(*sending) == [sent()] * 4
            assert made["a"].names == ["1", "2", "3"]

    run()


def test_a_link_that_is_lost_is_made_again_and_the_write_sent_again_in_a_higher_turn(tmp_path: Path) -> None:
    @virtual_time
    async def run() -> None:
        async with cluster(tmp_path) as made:
            made.gives("a")
            sending = made.send("1")
            await comes_to(lambda: made["a"].names == ["1"])
            await made.servers["a"].restart()
            made.servers["a"].listener.publish(MAP, made.view.version)
            await comes_to(lambda: made["a"].names == ["1", "1"])
            first, second = (asked.request for asked in made["a"].asked)
            assert (first.entropy, first.routed.router) == (second.entropy, second.routed.router)
            assert first.routed.turn < second.routed.turn
            made["a"].asked[1].says(sent(first.entropy, duplicate=True))
            assert await sending == sent(first.entropy)

    run()


def test_what_a_server_has_applied_is_heard(tmp_path: Path) -> None:
    @virtual_time
    async def run() -> None:
        async with cluster(tmp_path) as made:
            version = made.gives("a")
            await comes_to(lambda: all(target.map_version == version for target in made.targets.remote.values()))
            assert not made.wanted
            made.servers["b"].listener.publish(MAP, version + 1)
            await comes_to(lambda: made.wanted > 0)

    run()


def test_reads_deliveries_and_judgements_go_over_links(tmp_path: Path) -> None:
    @virtual_time
    async def run() -> None:
        async with cluster(tmp_path) as made:
            made.gives("a")
            reading = asyncio.ensure_future(made.router.fetch_messages(FetchMessages("ann", token="t", wait_ms=5_000)))
            await comes_to(lambda: len(made["a"].asked) == 1)
            made["a"].asked[0].says(EMPTY)
            assert await reading == EMPTY
            messages = (Message(bytes(16), bytes(16), "ann", ("ann", "bob"), "hello"),)
            delivered = Deliveries(made.view, made.targets).deliver("bob", messages)
            await comes_to(lambda: len(made["a"].asked) == 2)
            assert made["a"].asked[1].request == ("bob", messages)
            made["a"].asked[1].says(1)
            assert await delivered == 1
            judged = asyncio.ensure_future(made.router.judges.judge(Bearer("root")))
            await comes_to(lambda: len(made["a"].asked) == 3)
            made["a"].asked[2].says(None)
            await judged

    run()


def test_another_incarnation_at_the_address_is_not_asked(tmp_path: Path) -> None:
    @virtual_time
    async def run() -> None:
        async with cluster(tmp_path) as made:
            impostor = ListedNode("c", "c", made.servers["a"].listed.peer)
            made.standing = made.standing.listing([impostor])
            made.gives("c")
            sending = made.send("1")
            await asyncio.sleep(2)
            assert made["a"].asked == []
            made.gives("b")
            await comes_to(lambda: made["b"].names == ["1"])
            made["b"].asked[0].says(sent())
            assert await sending == sent()

    run()


def test_an_address_that_is_none_harms_nobody_else(tmp_path: Path) -> None:
    @virtual_time
    async def run() -> None:
        async with cluster(tmp_path) as made:
            made.standing = made.standing.listing([ListedNode("c", "c", "no address")])
            made.gives("a")
            sending = made.send("1")
            await comes_to(lambda: made["a"].names == ["1"])
            made["a"].asked[0].says(sent())
            assert await sending == sent()

    run()


def test_a_beat_is_heard_of_by_those_who_are_told_and_stirs_nobody(tmp_path: Path) -> None:
    @virtual_time
    async def run() -> None:
        async with cluster(tmp_path) as made:
            made.gives("a")
            await comes_to(lambda: [target.is_up for target in made.targets.remote.values()] == [True, True])
            stirred = asyncio.ensure_future(made.targets.stirred())
            listener = made.servers["a"].listener
            listener.tell([ME.incarnation, "somebody without a link"], BEAT, 7)
            listener.tell(["another"], BEAT, 8)
            await comes_to(lambda: made.heard == [("a", 7)])
            await settle()
            assert made.heard == [("a", 7)]
            assert not stirred.done(), "thousands may wait for an owner"
            stirred.cancel()

    run()


def test_what_is_published_and_is_no_version_is_none() -> None:
    assert number_of(None) == number_of(b"") == number_of(b"\xa1x") == 0
    assert number_of(b"\x07") == 7
