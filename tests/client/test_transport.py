"""One call: how it is used, and how long it is listened to."""

import asyncio

import pytest

from rowbox.client import Client, OutcomeUnknown, Sent
from rowbox.client.access import AccessToken
from rowbox.client.errors import NO_ANSWER
from rowbox.client.transport import Transport
from tests.client.scripted_server import Answer, Asked, ScriptedServer


async def never(asked: Asked) -> Answer:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ftp://host"])
def test_a_url_that_is_none_is_named(url: str) -> None:
    with pytest.raises(ValueError, match="http:// or https://"):
        Client(url, "token")


async def test_it_is_used_inside_async_with() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await Client("http://127.0.0.1:8080", "token").send("bob", "hello")


@pytest.mark.parametrize(("wait_s", "margin_s"), [(0, 0.02), (1, -0.98)])
async def test_a_server_that_is_silent_is_listened_to_for_its_wait_and_a_margin(
    server: ScriptedServer, wait_s: int, margin_s: float
) -> None:
    server.otherwise = never
    async with Transport(server.url, AccessToken("token"), margin_s=margin_s) as transport, asyncio.timeout(5):
        with pytest.raises(OutcomeUnknown) as raised:
            await transport.get("fetchMessages", {}, Sent, wait_s=wait_s)
    assert (raised.value.code, str(raised.value)) == (NO_ANSWER, "no answer to fetchMessages: TimeoutError")


async def test_a_path_in_front_of_the_api_is_kept(server: ScriptedServer) -> None:
    async with Transport(f"{server.url}/chat/", AccessToken("token")) as transport:
        with pytest.raises(OutcomeUnknown):
            await transport.get("sendStatus", {"clientMessageId": "mine", "userId": None}, Sent)
    (asked,) = server.asked
    assert (asked.path, asked.query) == ("/chat/v1/sendStatus", {"clientMessageId": "mine"})
