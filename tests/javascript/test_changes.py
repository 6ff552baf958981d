"""The JavaScript client in Node follows all that changes over a socket, and by long polls where there is none."""

import json
import re
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from rowbox.api.auth.authenticator import issue_token
from rowbox.cli.secret import load_or_create
from tests.client.feed.test_elsewhere import address, closing, origin, telling
from tests.client.feed.test_follow_changes import body, running_wire
from tests.client.steady_server import restart, steady_server
from tests.integration.support.server_process import ServerProcess
from tests.javascript.program import Program, program
from tests.javascript.test_restarts import NOTICED_WITHIN_S, token
from tests.support.tcp_proxy import running_proxy

pytestmark = pytest.mark.integration

SOCKETS = re.escape('rowbox_sockets_open{kind="socket"}')
OVER_A_SOCKET = re.escape('rowbox_http_requests_total{method="socket",route="/v1/sendMessage",status="201"}')


async def texts_until(follower: Program, last: str) -> list[str]:
    """What came since the program began, each once: where a poll and a socket cross, a change may come twice."""
    await follower.until(lambda line: last in line.get("texts", []))
    return list(dict.fromkeys(text for line in follower.said for text in line.get("texts", [])))


async def begun(follower: Program) -> None:
    await follower.until(lambda line: line.get("isDeltaUpdate") is False)


async def test_it_follows_and_sends_over_one_socket_across_a_kill(tmp_path: Path) -> None:
    async with (
        steady_server(tmp_path) as server,
        program("changes.js", server.url, token(server, "alice")) as follower,
    ):
        await begun(follower)
        await follower.hear("over the socket")
        assert await texts_until(follower, "over the socket") == ["over the socket"]
        assert await server.metric(SOCKETS) == 1
        assert await server.metric(OVER_A_SOCKET) == 1
        texts = ["over the socket"]
        for round_ in range(2):
            await restart(server)
            for number in range(5):
                texts.append(f"{round_} {number}")
                await server.client("bob").send("alice", texts[-1], f"id-{round_}-{number}")
            assert await texts_until(follower, texts[-1]) == texts
        await follower.hear("end")
        assert await follower.ended() == 0
        assert follower.said[-1] == {"ended": True}


async def test_without_a_websocket_it_polls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWBOX_NO_SOCKET", "1")
    async with (
        steady_server(tmp_path) as server,
        program("changes.js", server.url, token(server, "alice")) as follower,
    ):
        await begun(follower)
        await follower.hear("by HTTP")
        assert await texts_until(follower, "by HTTP") == ["by HTTP"]
        await restart(server)
        await server.client("bob").send("alice", "after it", "id")
        assert await texts_until(follower, "after it") == ["by HTTP", "after it"]
        assert await server.metric(SOCKETS) == 0


async def test_a_socket_that_died_in_a_sleep_is_noticed_in_seconds(tmp_path: Path) -> None:
    async with ServerProcess(tmp_path / "data") as server:
        address = urlsplit(server.url)
        assert address.hostname is not None
        assert address.port is not None
        async with (
            running_proxy((address.hostname, address.port)) as proxy,
            program("changes.js", "http://{}:{}".format(*proxy.address), token(server, "alice")) as follower,
        ):
            await begun(follower)
            proxy.forget()
            await server.client("bob").send("alice", "while it slept", "id")
            await follower.hear("slept")
            since = time.monotonic()
            assert await texts_until(follower, "while it slept") == ["while it slept"]
            assert time.monotonic() - since < NOTICED_WITHIN_S


async def test_a_token_that_has_expired_is_replaced_or_ends_it(tmp_path: Path) -> None:
    async with ServerProcess(tmp_path / "data") as server:
        secret = load_or_create(server.data_dir)
        old = issue_token(secret, "alice", 1, admin=False, now=time.time() - 3600)
        async with program("changes.js", server.url, old, token(server, "alice")) as follower:
            await begun(follower)
        async with program("changes.js", server.url, old) as follower:
            assert await follower.ended() == 0
        assert follower.said == [{"name": "AccessDenied", "code": "unauthenticated"}]


async def test_the_oldest_of_too_many_ends(tmp_path: Path) -> None:
    async with (
        ServerProcess(tmp_path / "data", settings={"ROWBOX_SOCKETS_MAX_PER_USER": "1"}) as server,
        program("changes.js", server.url, token(server, "alice")) as first,
    ):
        await begun(first)
        async with program("changes.js", server.url, token(server, "alice")) as second:
            await begun(second)
            assert await first.ended() == 0
        assert first.said[-1] == {"name": "Refused", "code": "connected_elsewhere"}


async def test_its_socket_is_at_the_server_that_is_named_and_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_wire() as own, running_wire() as other:
        own.talk, other.talk = telling("own"), telling("other")
        own.pages = other.pages = [body("5.h", is_delta=False)]
        own.names = address(other)

        async def socket_of(*trusted: str) -> str:
            monkeypatch.setenv("ROWBOX_SERVERS", json.dumps(trusted))
            async with program("changes.js", own.url, "access") as follower:
                line = await follower.until(lambda line: line.get("texts") in (["own"], ["other"]))
            name: str = line["texts"][0]
            return name

        assert await socket_of() == "own"
        assert own.asked == 0
        assert await socket_of("https://*.example.com") == "own"
        assert (own.asked, other.sockets, other.heard) == (1, 0, [])
        assert await socket_of(origin(other)) == "other"
        other.talk = closing
        assert await socket_of(origin(other)) == "own"
