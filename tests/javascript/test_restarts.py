"""The JavaScript client in Node, over a real server that is restarted, and over connections that die without a word."""

import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from rowbox.api.auth.authenticator import issue_token
from rowbox.cli.secret import load_or_create
from tests.client.steady_server import steady_server
from tests.integration.support.server_process import ServerProcess
from tests.integration.support.verdict import check_finds_nothing
from tests.javascript.program import program
from tests.support.tcp_proxy import running_proxy

pytestmark = pytest.mark.integration

RECIPIENTS: Final = 29
SENDS: Final = 60
NOTICED_WITHIN_S: Final = 20.0
"""A beat each two seconds, five for a probe over another connection that is dead, and a busy machine. A poll that is
not ended is listened to for 35 s.
"""


def token(server: ServerProcess, user: str) -> str:
    return issue_token(load_or_create(server.data_dir), user, 3600, admin=False, now=time.time())


async def test_no_send_fails_across_a_polite_restart(tmp_path: Path) -> None:
    async with steady_server(tmp_path / "data") as server:
        async with program("sender.js", server.url, token(server, "alice"), str(RECIPIENTS)) as sender:
            sent: list[str] = []

            def many(line: dict[str, Any]) -> bool:
                sent.extend([line["sent"]] if "sent" in line else [])
                return len(sent) % SENDS == 0

            await sender.until(many)
            await server.stop()
            await server.start()
            await sender.until(many)
            await sender.hear("enough")
            assert await sender.ended() == 0
        assert [line for line in sender.said if "failed" in line] == []
        texts = [message.message_content for message in await server.client("alice").all_messages()]
        assert sorted(texts) == sorted(line["sent"] for line in sender.said)
        await server.stop()
        await check_finds_nothing(server, copies=2 * len(texts))


async def test_a_connection_that_died_in_a_sleep_is_noticed_in_seconds(tmp_path: Path) -> None:
    async with ServerProcess(tmp_path / "data") as server:
        address = urlsplit(server.url)
        assert address.hostname is not None
        assert address.port is not None
        async with (
            running_proxy((address.hostname, address.port)) as proxy,
            program("follower.js", "http://{}:{}".format(*proxy.address), token(server, "alice")) as follower,
        ):
            await follower.until(lambda line: line.get("isConnected") is True)
            await proxy.until(lambda: proxy.requests == 2)  # the first page, and the poll that is held
            proxy.forget()
            await server.client("bob").send("alice", "while it slept", "id")
            await follower.hear("slept")
            begun = time.monotonic()
            await follower.until(lambda line: line.get("text") == "while it slept")
            assert time.monotonic() - begun < NOTICED_WITHIN_S


async def test_a_token_that_expires_ends_the_following_with_a_typed_error(tmp_path: Path) -> None:
    async with ServerProcess(tmp_path / "data") as server:
        secret = load_or_create(server.data_dir)
        old = issue_token(secret, "alice", 1, admin=False, now=time.time() - 3600)
        async with program("follower.js", server.url, old) as follower:
            assert await follower.ended() == 0
        assert follower.said == [{"name": "AccessDenied", "code": "unauthenticated"}]
