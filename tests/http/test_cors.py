"""Browsers of other origins."""

from collections.abc import AsyncIterator

import pytest

from rowbox.mailbox.settings.config import ServerSettings, Settings
from tests.http.api import NO_LIMITS, Api, serving
from tests.http.scripted_port import ScriptedPort

OURS = "https://chat.example"
ALLOW_ORIGIN = "Access-Control-Allow-Origin"


@pytest.fixture
async def open_edge(scripted: ScriptedPort) -> AsyncIterator[Api]:
    server = ServerSettings(port=0, admin_port=0, cors_origins=(OURS, "http://localhost:3000"))
    async with serving(scripted, Settings(server=server, rate_limits=NO_LIMITS)) as api:
        yield api


async def test_without_a_list_no_origin_may_read(edge: Api) -> None:
    answer = await edge.get("/v1/fetchMessages", headers={"Origin": OURS})
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("Access-Control")]
    (await edge.request("OPTIONS", "/v1/sendMessage", headers={"Origin": OURS})).problem(405, "method_not_allowed")


async def test_a_listed_origin_may_read_answers_and_refusals(open_edge: Api) -> None:
    for user in ("alice", None):
        answer = await open_edge.get("/v1/fetchMessages", user, headers={"Origin": OURS})
        assert answer.headers[ALLOW_ORIGIN] == OURS
        assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    "origin", ["https://chat.example.evil", "http://chat.example", "https://CHAT.example", "null", "*", ""]
)
async def test_any_other_may_not(origin: str, open_edge: Api) -> None:
    answer = await open_edge.get("/v1/fetchMessages", headers={"Origin": origin})
    assert ALLOW_ORIGIN not in answer.headers
    assert answer.headers["Vary"] == "Origin"


async def test_preflight_needs_no_token_and_names_what_may_be_sent(open_edge: Api) -> None:
    headers = {"Origin": OURS, "Access-Control-Request-Method": "POST"}
    answer = await open_edge.request("OPTIONS", "/v1/sendMessage", None, headers=headers)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers[ALLOW_ORIGIN] == OURS
    assert answer.headers["Access-Control-Allow-Methods"] == "POST"
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    answer = await open_edge.request(
        "OPTIONS", "/v1/sendMessage", None, headers=headers | {"Origin": "https://evil.example"}
    )
    assert ALLOW_ORIGIN not in answer.headers


async def test_other_methods_are_still_refused(open_edge: Api) -> None:
    answer = await open_edge.request("PUT", "/v1/sendMessage")
    answer.problem(405, "method_not_allowed")
    assert answer.headers["Allow"] == "POST, OPTIONS"
