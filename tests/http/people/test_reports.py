"""The call by which users report messages, over the real owner."""

from typing import Any

import pytest

from rowbox.api.v1.responses import FetchMessagesResponse, SendMessageResponse
from rowbox.api.v1.users.reports import ReportResponse
from rowbox.mailbox.ids import direct_conversation_id, to_text
from rowbox.mailbox.settings.config import ModerationSettings, Settings
from tests.http.api import ANY_PORT, Api

OF_ALICE = to_text(direct_conversation_id("alice", "mod"))


@pytest.fixture
def settings() -> Settings:
    return Settings(server=ANY_PORT, moderation=ModerationSettings(user="mod"))


async def insulted(api: Api) -> SendMessageResponse:
    return (await api.send("1", "you fool", sender="mallory", recipient="alice")).decode(SendMessageResponse, 201)


async def test_a_report_is_made_once_and_shown_to_whoever_takes_it(api: Api) -> None:
    sent = await insulted(api)
    fields = {"conversationId": sent.conversation_id, "messageIds": [sent.message_id], "reason": "harassment"}
    first = (await api.post("/v1/report", fields)).decode(ReportResponse, 201)
    again = (await api.post("/v1/report", fields)).decode(ReportResponse, 200)
    assert (first.conversation_id, first.duplicate) == (OF_ALICE, False)
    assert (again.message_ids, again.duplicate) == (first.message_ids, True)
    whole = (await api.post("/v1/report", {"conversationId": sent.conversation_id, "reason": "spam"})).decode(
        ReportResponse, 201
    )
    assert len(whole.message_ids) == 1
    (newest, oldest) = (await api.get("/v1/fetchMessages", "mod")).decode(FetchMessagesResponse).messages
    assert oldest.message_id == first.message_ids[0]
    assert newest.message_id == whole.message_ids[0]
    for one, reason in ((oldest, "harassment"), (newest, "spam")):
        shown = one.event
        assert (one.message_content, one.kind, one.sender_id) == ("you fool", "system", "alice")
        assert (shown.type, shown.actor, shown.users) == ("reported", "alice", ("mallory",))  # type: ignore[union-attr]
        said = shown.report  # type: ignore[union-attr]
        assert (said.conversation_id, said.message_id, said.reason) == (  # type: ignore[union-attr]
            sent.conversation_id,
            sent.message_id,
            reason,
        )
    assert (await api.get("/v1/fetchMessages", "mallory")).json()["messages"][0]["messageContent"] == "you fool"
    place = {"conversationId": OF_ALICE, "messageId": first.message_ids[0]}
    (await api.post("/v1/editMessage", {**place, "messageContent": "x"})).problem(403, "not_the_author")
    (await api.post("/v1/unsendMessage", place)).problem(403, "not_the_author")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"reason": ""}, 400, "bad_request"),
        ({"reason": "x" * 65}, 400, "bad_request"),
        ({"reason": None}, 400, "bad_request"),
        ({"comment": "x" * 1001}, 400, "bad_request"),
        ({"messageIds": ["0" * 32] * 2}, 400, "bad_request"),
        ({"messageIds": [f"{number:032x}" for number in range(21)]}, 400, "bad_request"),
        ({"messageIds": ["none"]}, 400, "bad_request"),
        ({"conversationId": "none"}, 400, "bad_request"),
        ({"userId": "alice"}, 400, "unknown_parameter"),
        ({"messageIds": ["0" * 32]}, 404, "unknown_message"),
        ({"conversationId": "0" * 32}, 404, "unknown_conversation"),
    ],
    ids=str,
)
async def test_what_is_no_report(api: Api, change: dict[str, Any], status: int, code: str) -> None:
    sent = await insulted(api)
    fields: dict[str, Any] = {"conversationId": sent.conversation_id, "reason": "spam", **change}
    (await api.post("/v1/report", fields)).problem(status, code)


async def test_reports_have_their_own_limit_which_the_answer_names(api: Api) -> None:
    sent = await insulted(api)
    fields = {"conversationId": sent.conversation_id, "reason": "spam"}
    for _ in range(10):
        answer = await api.post("/v1/report", fields)
        assert answer.headers["RateLimit"].startswith('"report";')
    (await api.post("/v1/report", fields)).problem(429, "rate_limited")
