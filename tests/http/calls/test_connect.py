"""GET /v1/connect: where a client opens its socket."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from rowbox.api.v1.responses import CONNECT_MS, ConnectResponse
from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import Locate, Located
from rowbox.cacheserver.stores.memory.store import MemoryStore
from rowbox.mailbox.errors import PeerTooOld
from rowbox.mailbox.settings.config import RateLimitSettings, Settings
from tests.http.api import ANY_PORT, SETTINGS, Answer, Api, serving, token, until
from tests.http.scripted_port import ScriptedPort
from tests.http.sockets.talk import connected
from tests.routing.scripted import Routed

PATH = "/v1/connect"


def at(public_url: str) -> Settings:
    return replace(SETTINGS, server=replace(ANY_PORT, public_url=public_url))


def url(answer: Answer) -> str:
    response = answer.decode(ConnectResponse)
    assert response.expires_in_ms == CONNECT_MS
    return response.url


def own(api: Api) -> str:
    return f"ws://127.0.0.1:{api.server.port}/v1/ws"


class TestWithoutAnAddressOfItsOwn:
    async def test_it_is_the_address_of_the_request(self, api: Api) -> None:
        assert url(await api.get(PATH)) == own(api)
        async with connected(api, path=url(await api.get(PATH)).partition(str(api.server.port))[2]):
            pass  # a socket is what is there

    @pytest.mark.parametrize(
        ("host", "proto", "told"),
        [
            ("chat.example.com", None, "ws://chat.example.com/v1/ws"),
            ("chat.example.com", "https", "wss://chat.example.com/v1/ws"),
            ("chat.example.com:8443", "HTTPS", "wss://chat.example.com:8443/v1/ws"),
            ("[::1]:8080", "http", "ws://[::1]:8080/v1/ws"),
            ("chat.example.com", "javascript", "ws://chat.example.com/v1/ws"),
            ("chat.example.com", "https, http", "ws://chat.example.com/v1/ws"),
        ],
    )
    async def test_which_a_proxy_may_have_changed(self, edge: Api, host: str, proto: str | None, told: str) -> None:
        headers = {"Host": host} | ({} if proto is None else {"X-Forwarded-Proto": proto})
        assert url(await edge.get(PATH, headers=headers)) == told

    @pytest.mark.parametrize("host", ["a b", "chat.example.com/x", "user@chat.example.com", "chat.example.com?x", "é"])
    async def test_of_no_host_nothing_is_told(self, edge: Api, host: str) -> None:
        (await edge.get(PATH, headers={"Host": host})).problem(400, "bad_request")

    async def test_over_a_socket_it_is_that_of_the_handshake(self, edge: Api) -> None:
        async with connected(edge, headers={"Host": "chat.example.com", "X-Forwarded-Proto": "https"}) as talk:
            await talk.say(t="hello", token=token("alice"))
            await talk.hears("welcome")
            reply = await talk.call(1, "connect")
            assert (reply["status"], reply["body"]["url"]) == (200, "wss://chat.example.com/v1/ws")

    async def test_what_is_refused(self, api: Api) -> None:
        (await api.get(f"{PATH}?userId=bob")).problem(403, "forbidden")
        (await api.get(f"{PATH}?zone=a")).problem(400, "unknown_parameter")
        (await api.get(PATH, None)).problem(401, "unauthenticated")

    async def test_a_revoked_token_is_told_nothing(self, api: Api, owner: Owner) -> None:
        stolen = {"Authorization": f"Bearer {token('alice')}"}
        await owner.revoke_user("alice")
        (await api.get(PATH, None, headers=stolen)).problem(401, "token_revoked")


@pytest.mark.in_process
async def test_a_revoked_token_is_told_nothing_where_the_mailbox_is_not_in_memory(store: MemoryStore) -> None:
    stolen = {"Authorization": f"Bearer {token('alice')}"}
    first, second = Owner(store, SETTINGS), Owner(store, SETTINGS)
    await first.start()
    await first.revoke_user("alice")
    await first.close()
    await second.start()
    async with serving(second) as api:
        (await api.get(PATH, None, headers=stolen)).problem(401, "token_revoked")
    await second.close()


class TestWithAnAddress:
    @pytest.fixture(
        params=[
            ("https://chat-1.example.com", "wss://chat-1.example.com/v1/ws"),
            ("wss://chat-1.example.com:8443/", "wss://chat-1.example.com:8443/v1/ws"),
            ("http://10.0.0.7:8080/below", "ws://10.0.0.7:8080/below/v1/ws"),
        ],
        ids=["https", "port", "path"],
    )
    def addresses(self, request: pytest.FixtureRequest) -> tuple[str, str]:
        asked: tuple[str, str] = request.param
        return asked

    @pytest.fixture
    def settings(self, addresses: tuple[str, str]) -> Settings:
        return at(addresses[0])

    async def test_it_is_told_whatever_the_request_names(self, api: Api, addresses: tuple[str, str]) -> None:
        assert url(await api.get(PATH, headers={"Host": "lost in a proxy"})) == addresses[1]


@pytest.fixture
async def settled(scripted: ScriptedPort) -> AsyncIterator[Api]:
    async with serving(scripted, at("https://api.example.com")) as api:
        yield api


async def test_the_owners_address_counts_before_that_of_the_server_which_is_asked(
    settled: Api, scripted: ScriptedPort
) -> None:
    scripted.located = Located("https://chat-2.example.com")
    assert url(await settled.get(PATH)) == "wss://chat-2.example.com/v1/ws"
    scripted.located = Located("")
    assert url(await settled.get(PATH)) == "wss://api.example.com/v1/ws"
    assert [one for one in scripted.calls if not isinstance(one, Locate)] == []
    assert {one.user_id for one in scripted.calls} == {"alice"}


async def test_an_operator_asks_for_another(edge: Api, scripted: ScriptedPort) -> None:
    await edge.get(f"{PATH}?userId=bob", "root", admin=True)
    (asked,) = scripted.calls
    assert (asked.user_id, asked.bearer.user_id) == ("bob", "root")


async def test_an_owner_of_an_earlier_version_sends_nobody_elsewhere(settled: Api, scripted: ScriptedPort) -> None:
    scripted.error = PeerTooOld("no such call", retry_after_ms=10_000)
    assert url(await settled.get(PATH)) == "wss://api.example.com/v1/ws"


class TestLimits:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(server=ANY_PORT, rate_limits=RateLimitSettings(fetch_burst=2, fetch_per_second=0.01))

    async def test_it_counts_as_a_fetch(self, api: Api) -> None:
        for left in (1, 0):
            assert (await api.get(PATH)).headers["RateLimit"].startswith(f'"fetch";r={left};t=')
        (await api.get(PATH)).problem(429, "rate_limited")


@pytest.mark.in_process
async def test_who_stops_sends_nobody_to_itself(owner: Owner) -> None:
    async with serving(owner, at("https://api.example.com")) as api:
        owner._public_url = "https://chat-1.example.com"
        assert url(await api.get(PATH)) == "wss://chat-1.example.com/v1/ws"
        owner.begin_drain()
        assert url(await api.get(PATH)) == "wss://api.example.com/v1/ws"


@pytest.mark.in_process
async def test_after_a_move_it_is_another_one() -> None:
    routed = Routed("a", "b")
    routed.gives("a")

    async def asks(api: Api) -> "asyncio.Task[Answer]":
        asked = sum(len(target.asked) for target in routed.targets_of.values())
        answer = asyncio.ensure_future(api.get(PATH))
        await until(lambda: sum(len(target.asked) for target in routed.targets_of.values()) > asked)
        return answer

    async with serving(routed.router) as api:
        first = await asks(api)
        routed["a"].asked[0].says(Located("https://a.example.com"))
        assert url(await first) == "wss://a.example.com/v1/ws"
        routed.gives("b")
        second = await asks(api)
        routed["b"].asked[0].says(Located("https://b.example.com"))
        assert url(await second) == "wss://b.example.com/v1/ws"
    await routed.targets.close()
