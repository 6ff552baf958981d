"""Rate limits: the headers, and a refusal by the real owner."""

import math

import pytest

from rowbox.api.http.limits import LimitHeaders
from rowbox.cacheserver.port import Quota
from rowbox.mailbox.settings.config import RateLimitSettings, Settings
from tests.http.api import ANY_PORT, Api, serving
from tests.http.scripted_port import ScriptedPort

LIMITED = RateLimitSettings(send_burst=2, send_per_second=0.01, fetch_burst=3, fetch_per_second=0.01)


class TestRefusal:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(server=ANY_PORT, rate_limits=LIMITED)

    async def test_sends_and_fetches_have_buckets_of_their_own(self, api: Api) -> None:
        for left in (1, 0):
            answer = await api.send(str(left))
            assert answer.status == 201
            assert answer.headers["RateLimit-Policy"] == '"send";q=2;w=200'
            assert answer.headers["RateLimit"].startswith(f'"send";r={left};t=')
        answer = await api.send("more")
        problem = answer.problem(429, "rate_limited")
        assert isinstance(problem.retry_after_ms, int)
        seconds = math.ceil(problem.retry_after_ms / 1000)
        assert answer.headers["Retry-After"] == str(seconds)
        assert answer.headers["RateLimit-Policy"] == '"send";q=2;w=200'
        assert answer.headers["RateLimit"] == f'"send";r=0;t={seconds}'
        assert (await api.get("/v1/fetchMessages")).headers["RateLimit"].startswith('"fetch";r=2;t=')

    async def test_a_head_counts_as_the_get_that_it_is(self, api: Api) -> None:
        for left in (2, 1, 0):
            answer = await api.request("HEAD", "/v1/fetchMessages")
            assert answer.headers["RateLimit"].startswith(f'"fetch";r={left};t=')
        assert (await api.request("HEAD", "/v1/fetchMessages")).status == 429

    async def test_read_marks_count_as_sends_and_questions_about_sends_as_fetches(self, api: Api) -> None:
        result = (await api.send("1", recipient="alice")).json()
        fields = {"conversationId": result["conversationId"], "messageId": result["messageId"]}
        assert (await api.post("/v1/markRead", fields)).headers["RateLimit"].startswith('"send";r=0;')
        (await api.post("/v1/markRead", fields)).problem(429, "rate_limited")
        answer = await api.get("/v1/sendStatus?clientMessageId=1")
        assert answer.headers["RateLimit"].startswith('"fetch";r=2;')

    async def test_a_refused_send_wrote_nothing(self, api: Api) -> None:
        for number in range(3):
            await api.send(str(number))
        assert len((await api.get("/v1/fetchMessages", "bob")).json()["messages"]) == 2


@pytest.mark.parametrize(
    "settings",
    [
        RateLimitSettings(enabled=False),
        RateLimitSettings(send_burst=0, fetch_burst=0),
        RateLimitSettings(send_per_second=0, fetch_per_second=0),
    ],
)
def test_where_there_is_no_limit_there_are_no_headers(settings: RateLimitSettings) -> None:
    for name in ("send", "fetch"):
        limits = LimitHeaders("send" if name == "send" else "fetch", settings)
        assert limits.lines(Quota(1, 1)) + limits.exceeded_lines(1000) == ""


async def test_an_answer_without_a_quota_has_no_headers(scripted: ScriptedPort) -> None:
    async with serving(scripted, Settings(server=ANY_PORT)) as api:
        assert "RateLimit" not in (await api.send("1")).headers
        scripted.quota = Quota(7, 2)
