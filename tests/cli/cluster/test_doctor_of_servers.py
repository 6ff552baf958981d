"""What `rowbox doctor` says of the servers that share the mailboxes: of real listeners, beside a store in memory."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.clocks import wall_clock_us
from rowbox.cacheserver.rpc.calls import Handlers
from rowbox.cacheserver.rpc.endpoint import TcpEndpoint
from rowbox.cacheserver.rpc.handshake import Identity
from rowbox.cacheserver.rpc.listener import Listener
from rowbox.cacheserver.shardmap.shard_map import ShardMap
from rowbox.cli.serving.cluster.peers import MAP, cluster_tls
from rowbox.cli.verbs.cluster import doctor, handle
from rowbox.cli.verbs.cluster.doctor import examine_certificate, examine_servers
from rowbox.hbase_schema.doctor.diagnosis import State
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.settings.config import ClusterSettings, Settings, StoreSettings
from tests.cli.cluster.shared_store import URL, SharedStore, shared
from tests.links.certificates import made_certificate

__all__ = ["shared"]

SECRET = bytes(range(32))


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(doctor, "ANSWER_S", 0.3)
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_bytes(SECRET)
    return Settings(store=StoreSettings(url=URL), cluster=ClusterSettings(secret_file=str(path)))


@asynccontextmanager
async def listening(
    shared: SharedStore, secret: bytes = SECRET, name: str = "inc-a", knows: int | None = None
) -> AsyncIterator[None]:
    """The server a, at its address in the map; b and c are listed without one."""
    listener = Listener(Identity("rowbox", name), secret, Handlers())
    bound = await listener.listen(TcpEndpoint("127.0.0.1", 0))

    def at_its_address(standing: ShardMap) -> ShardMap:
        nodes = [replace(one, peer=str(bound) if one.node_id == "a" else "") for one in standing.nodes]
        return standing.next().listing(nodes)

    try:
        await shared.desk().change(lambda seen: at_its_address(seen.map))
        listener.publish(MAP, (await shared.standing_now()).version if knows is None else knows)
        yield
    finally:
        await listener.close()


async def found(settings: Settings) -> dict[str, tuple[State, str]]:
    return {one.subject.split(" at ")[0]: (one.state, one.finding) for one in await examine_servers(settings)}


def test_a_server_that_answers_and_knows_the_map_is_well(shared: SharedStore, settings: Settings) -> None:
    async def story() -> None:
        async with listening(shared):
            said = await found(settings)
        assert said["cluster secret"][0] is State.OK
        assert said["servers"] == (State.OK, "All is well: 3 of 3 nodes own 64 of 64 shards, map version 2")
        assert said["server a"][0] is State.OK
        assert "knows the secret, and version 2 of the map" in said["server a"][1]
        assert said["peer addresses"][0] is State.WRONG, "a has an address, b and c have none"

    asyncio.run(story())


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ({"secret": bytes(32)}, "its cluster.secret_file or this one's has another secret"),
        ({"name": "inc-other"}, "another server than a listens there"),
        ({"knows": 1}, "goes by version 1 of the map, and 2 stands"),
    ],
)
def test_what_is_wrong_with_a_server_is_said(
    shared: SharedStore, settings: Settings, server: dict[str, Any], said: str
) -> None:
    async def story() -> None:
        async with listening(shared, **server):
            state, finding = (await found(settings))["server a"]
        assert state is State.WRONG
        assert said in finding

    asyncio.run(story())


def test_a_server_where_nobody_listens_is_said_with_what_to_look_at(shared: SharedStore, settings: Settings) -> None:
    async def story() -> None:
        async with listening(shared):
            pass
        state, finding = (await found(settings))["server a"]
        assert state is State.WRONG
        assert "may this machine reach the port?" in finding

    asyncio.run(story())


def test_a_secret_that_others_can_read_is_wrong_and_nobody_is_called(shared: SharedStore, settings: Settings) -> None:
    Path(settings.cluster.secret_file).chmod(0o644)
    said = asyncio.run(found(settings))
    assert said["cluster secret"][0] is State.WRONG
    assert "is open to other accounts" in said["cluster secret"][1]
    assert said["servers"][0] is State.OK, "the map needs no secret"
    assert not any(subject.startswith("server ") for subject in said)


def test_a_server_that_listens_for_others_needs_a_secret(shared: SharedStore, settings: Settings) -> None:
    without = replace(settings, cluster=ClusterSettings(peer_listen="127.0.0.1:1"))
    state, finding = asyncio.run(found(without))["cluster secret"]
    assert (state, "cluster.secret_file" in finding) == (State.WRONG, True)


def test_a_clock_that_is_off_is_wrong(shared: SharedStore, settings: Settings) -> None:
    for node, ahead_s in (("a", 0), ("b", 3_600), ("c", 0)):
        shared.says[node] = {"clock_us": wall_clock_us() + ahead_s * US_PER_S}
    state, finding = asyncio.run(found(settings))["clocks of servers"]
    assert (state, finding.partition(" is about ")[0]) == (State.WRONG, "b")
    shared.says["b"] = shared.says["a"]
    assert asyncio.run(found(settings))["clocks of servers"][0] is State.OK


def test_the_last_beat_of_a_server_that_died_tells_nothing_of_its_clock(
    shared: SharedStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = wall_clock_us() - 3_600 * US_PER_S
    shared.beat("a", clock_us=long_ago)
    shared.beats.clear()
    slept_s = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal slept_s
        slept_s += seconds

    monkeypatch.setattr(handle, "_sleep", sleep)
    monkeypatch.setattr(handle, "_now_s", lambda: slept_s)
    said = asyncio.run(found(settings))
    assert said["servers"][0] is State.WRONG
    assert "clocks of servers" not in said


def test_a_redis_that_does_not_answer_is_wrong_and_said_to_matter_little(
    shared: SharedStore, settings: Settings
) -> None:
    away = replace(settings, cluster=ClusterSettings(redis_url="redis://127.0.0.1:1/0"))
    state, finding = asyncio.run(found(away))["redis"]
    assert (state, "nothing else depends on it" in finding) == (State.WRONG, True)


@pytest.mark.parametrize(
    ("days", "authority", "state", "said"),
    [
        (90, "ca", State.OK, "ends in 90 days"),
        (5, "ca", State.WRONG, "replace the file and restart"),
        (-0.5, "ca", State.WRONG, "certificate has expired"),
        (90, "other-ca", State.WRONG, "no other server takes this certificate"),
    ],
)
def test_a_certificate_is_judged_as_another_server_would(
    tmp_path: Path, days: float, authority: str, state: State, said: str
) -> None:
    ours = made_certificate(tmp_path, "ca", days=1000)
    made_certificate(tmp_path, "other-ca", days=1000)
    made_certificate(tmp_path, "node", ours, days)
    cluster = ClusterSettings(
        tls_certificate=str(tmp_path / "node.pem"),
        tls_key=str(tmp_path / "node.key"),
        tls_authority=str(tmp_path / f"{authority}.pem"),
    )
    tls = cluster_tls(cluster)
    assert tls is not None
    found = examine_certificate(tls, cluster, time.time())
    assert found.state is state
    assert said in found.finding
