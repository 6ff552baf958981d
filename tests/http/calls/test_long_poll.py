"""Waiting for news, over the real owner."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from rowbox.api.edge import server as server_module
from rowbox.api.telemetry.counters import CLIENT_GONE
from rowbox.api.v1.responses import (
    FetchChangesResponse,
    FetchConversationResponse,
    FetchMessagesResponse,
    SendMessageResponse,
)
from rowbox.cacheserver.owner.owner import Owner
from rowbox.mailbox.settings.config import PollSettings, Settings
from tests.http.api import ANY_PORT, NO_LIMITS, Answer, Api, serving, token, until
from tests.support.cluster import version_of

LISTS = ["fetchConversation", "fetchMessages"]
CALLS = [*LISTS, "fetchChanges"]
KINDS: dict[str, type[FetchConversationResponse | FetchMessagesResponse | FetchChangesResponse]] = {
    "fetchChanges": FetchChangesResponse,
    "fetchConversation": FetchConversationResponse,
    "fetchMessages": FetchMessagesResponse,
}


def poll(
    api: Api, call: str = "fetchMessages", query: str = "lastUpdatedTimestamp=0", user: str = "bob"
) -> asyncio.Task[Answer]:
    return asyncio.create_task(api.get(f"/v1/{call}?wait=55&{query}", user))


@pytest.mark.parametrize("call", CALLS)
async def test_a_message_ends_the_wait(call: str, api: Api, owner: Owner) -> None:
    waiting = poll(api, call)
    await until(lambda: owner.waiters.count == 1)
    result = (await api.send("1")).decode(SendMessageResponse, 201)
    answer = await waiting
    page = answer.decode(KINDS[call])
    assert page.is_delta_update
    assert answer.headers["X-Poll-Client-Timeout"] == "70"
    (item,) = answer.json()["conversations" if call == "fetchConversation" else "messages"]
    assert result.message_id in {item.get("messageId"), item.get("lastMessageId")}


@pytest.mark.parametrize("call", CALLS)
async def test_what_is_there_already_is_answered_at_once(call: str, api: Api, owner: Owner) -> None:
    await api.send("1")
    page = (await poll(api, call)).decode(KINDS[call])
    assert page.is_delta_update
    assert page.last_updated_timestamp


async def test_a_wait_for_one_conversation_sleeps_through_the_others(api: Api, owner: Owner) -> None:
    first = (await api.send("1", sender="alice")).decode(SendMessageResponse, 201)
    query = f"conversationId={first.conversation_id}"
    head = (await api.get(f"/v1/fetchMessages?{query}", "bob")).json()["lastUpdatedTimestamp"]
    waiting = poll(api, query=f"{query}&lastUpdatedTimestamp={head}")
    await until(lambda: owner.waiters.count == 1)
    await api.send("2", sender="carol")
    assert owner.waiters.count == 1
    last = (await api.send("3", sender="alice")).decode(SendMessageResponse, 201)
    assert [item["messageId"] for item in (await waiting).json()["messages"]] == [last.message_id]


async def test_a_read_mark_wakes_conversations_and_not_messages(api: Api, owner: Owner) -> None:
    result = (await api.send("1")).json()
    heads = [(await api.get(f"/v1/{call}", "bob")).json()["lastUpdatedTimestamp"] for call in LISTS]
    waits = [poll(api, call, f"lastUpdatedTimestamp={head}") for call, head in zip(LISTS, heads, strict=True)]
    await until(lambda: owner.waiters.count == 2)
    fields = {"conversationId": result["conversationId"], "messageId": result["messageId"]}
    await api.post("/v1/markRead", fields, "bob")
    assert [item["unreadCount"] for item in (await waits[0]).json()["conversations"]] == [0]
    assert not waits[1].done()
    assert owner.waiters.count == 1
    owner.begin_drain()
    await waits[1]


@pytest.mark.parametrize(
    ("call", "query"),
    [*((call, f"pageNumber={number}") for call in LISTS for number in (0, 1)), *((c, "") for c in CALLS)],
)
async def test_without_a_token_nobody_waits(call: str, query: str, api: Api) -> None:
    answer = await poll(api, call, query)
    answer.decode(KINDS[call])
    assert "X-Poll-Client-Timeout" not in answer.headers


async def test_a_ninth_ends_the_oldest_with_an_empty_answer(api: Api, owner: Owner) -> None:
    oldest = poll(api)
    await until(lambda: owner.waiters.count == 1)
    others = [poll(api) for _ in range(7)]
    await until(lambda: owner.waiters.count == 8)
    others.append(poll(api))
    page = (await oldest).decode(FetchMessagesResponse)
    assert (page.messages, page.is_delta_update, version_of(page.last_updated_timestamp)) == ([], True, 0)
    assert owner.waiters.count == 8
    await api.send("1")
    assert [len(answer.json()["messages"]) for answer in await asyncio.gather(*others)] == [1] * 8


@pytest.fixture
def probed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that left is noticed after two probes (api/http/connections.py), which a test need not wait for."""
    monkeypatch.setattr(server_module, "PROBE_S", 0.01)


@pytest.mark.usefixtures("probed_soon")
async def test_a_client_that_left_frees_its_slot(api: Api, owner: Owner) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
    path = "/v1/fetchMessages?wait=55&lastUpdatedTimestamp=0"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token('bob')}\r\n\r\n".encode())
    await until(lambda: owner.waiters.count == 1)
    writer.close()
    await until(lambda: owner.waiters.count == 0)
    await until(lambda: api.drain.in_flight == 0)
    route = next(route for route in api.counters.routes if (route.route, route.method) == ("/v1/fetchMessages", "GET"))
    assert route.by_status == {CLIENT_GONE: 1}


async def test_drain_answers_every_waiter_at_once_and_says_when_to_come_back(api: Api, owner: Owner) -> None:
    waits = [poll(api, call, user=f"user{number}") for number in range(4) for call in CALLS]
    await until(lambda: owner.waiters.count == len(waits))
    api.server.drain()
    for answer in await asyncio.gather(*waits):
        body = answer.json()
        assert body["isDeltaUpdate"]
        assert 0 <= body["retryAfterMs"] <= 3000
        assert answer.headers["Connection"] == "close"
    again = (await poll(api)).decode(FetchMessagesResponse)  # still served, without a wait
    assert again.retry_after_ms is not None


class TestSmallLimits:
    @pytest.fixture
    def settings(self) -> Settings:
        poll = PollSettings(max_per_server=2, max_wait_ms=1)
        return Settings(server=ANY_PORT, rate_limits=NO_LIMITS, poll=poll)

    @pytest.mark.parametrize("call", CALLS)
    async def test_the_time_is_over(self, call: str, api: Api) -> None:
        await api.send("1")
        head = (await api.get(f"/v1/{call}", "bob")).json()["lastUpdatedTimestamp"]
        answer = await poll(api, call, f"lastUpdatedTimestamp={head}")
        page = answer.decode(KINDS[call])
        assert (page.is_delta_update, page.last_updated_timestamp) == (True, head)
        assert answer.json()["conversations" if call == "fetchConversation" else "messages"] == []
        assert answer.headers["X-Poll-Client-Timeout"] == "16"

    @pytest.fixture
    async def patient(self, owner: Owner) -> AsyncIterator[Api]:
        """The same owner, for which two polls are enough, behind an API that lets them wait."""
        async with serving(owner) as api:
            yield api

    async def test_the_server_holds_so_many_and_no_more(self, patient: Api, owner: Owner) -> None:
        held = [poll(patient, user=user) for user in ("one", "two")]
        await until(lambda: owner.waiters.count == 2)
        answer = await poll(patient, user="three")
        answer.problem(503, "overloaded")
        assert int(answer.headers["Retry-After"]) >= 1
        owner.begin_drain()
        await asyncio.gather(*held)
