"""setConversation and deleteConversation over the real owner; every answer is decoded with its documented type."""

from typing import Any

import pytest
from msgspec import UNSET

from rowbox.api.v1.conversations.types import SetConversationResponse
from rowbox.api.v1.responses import FetchChangesResponse, FetchConversationResponse
from rowbox.mailbox.people.own_settings import LATEST_US
from rowbox.mailbox.representation import Conversation
from tests.http.api import Api


async def talk(api: Api, user: str = "bob") -> str:
    """A conversation of alice, to whom that user wrote."""
    message = {"recipientId": "alice", "messageContent": "hello", "clientMessageId": user}
    conversation: str = (await api.post("/v1/sendMessage", message, user)).json()["conversationId"]
    return conversation


async def shown(api: Api, user: str = "alice") -> Conversation:
    (conversation,) = (await api.get("/v1/fetchConversation", user)).decode(FetchConversationResponse).conversations
    return conversation


async def test_a_conversation_is_set_by_parts_and_shown_to_its_user_alone(api: Api) -> None:
    conversation = await talk(api)
    before, of_bob = await shown(api), await shown(api, "bob")
    fields: list[dict[str, Any]] = [
        {"pinned": True},
        {"archived": True, "markedUnread": True},
        {"mutedUntil": LATEST_US},
    ]
    answers = [await api.post("/v1/setConversation", {"conversationId": conversation, **some}) for some in fields]
    *_, last = all_of_them = [answer.decode(SetConversationResponse) for answer in answers]
    assert {(one.conversation_id, one.changed) for one in all_of_them} == {(conversation, True)}
    now = await shown(api)
    assert (now.muted_until, now.archived, now.pinned, now.marked_unread) == (LATEST_US, True, True, True)
    assert now.last_updated_timestamp == last.last_updated_timestamp > before.last_updated_timestamp
    again = await api.post("/v1/setConversation", {"conversationId": conversation, **fields[1]})
    assert not again.decode(SetConversationResponse).changed
    assert await shown(api, "bob") == of_bob
    every = {"mutedUntil": 0, "archived": False, "pinned": False, "markedUnread": False}
    await api.post("/v1/setConversation", {"conversationId": conversation, **every})
    (plain,) = (await api.get("/v1/fetchConversation", "alice")).json()["conversations"]
    assert not set(every) & set(plain), "what is not set is not there"


async def test_the_feed_tells_of_it(api: Api) -> None:
    conversation = await talk(api)
    token = (await api.get("/v1/fetchChanges")).json()["lastUpdatedTimestamp"]
    await api.post("/v1/setConversation", {"conversationId": conversation, "archived": True})
    changes = (await api.get(f"/v1/fetchChanges?lastUpdatedTimestamp={token}")).decode(FetchChangesResponse)
    assert [one.archived for one in changes.conversations] == [True]
    assert (changes.account, changes.messages) == (False, [])


async def test_an_administrator_sets_what_is_another_users(api: Api) -> None:
    fields = {"conversationId": await talk(api), "pinned": True, "userId": "alice"}
    (await api.post("/v1/setConversation", fields, "bob")).problem(403, "forbidden")
    (await api.post("/v1/setConversation", fields, "root", admin=True)).decode(SetConversationResponse)
    assert (await shown(api)).pinned


async def test_a_conversation_of_others_and_one_pinned_too_many_are_refused(api: Api) -> None:
    unknown = {"conversationId": await talk(api), "pinned": True}
    (await api.post("/v1/setConversation", unknown, "carol")).problem(404, "unknown_conversation")
    talks = [await talk(api, f"u{number}") for number in range(21)]
    answers = [await api.post("/v1/setConversation", {"conversationId": one, "pinned": True}) for one in talks]
    assert {answer.status for answer in answers[:-1]} == {200}
    answers[-1].problem(422, "too_many_pinned")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"conversationId": "alice"},
        {"conversationId": "0" * 32, "mutedUntil": -1},
        {"conversationId": "0" * 32, "mutedUntil": LATEST_US + 1},
        {"conversationId": "0" * 32, "mutedUntil": True},
        {"conversationId": "0" * 32, "archived": 1},
        {"conversationId": "0" * 32, "pinned": None},
        {"conversationId": "0" * 32, "muted": True},
    ],
)
async def test_what_is_no_setting_is_refused(api: Api, fields: dict[str, Any]) -> None:
    answer = await api.post("/v1/setConversation", fields)
    answer.problem(400, "unknown_parameter" if "muted" in fields else "bad_request")


async def test_a_deleted_conversation_is_gone_until_the_next_message(api: Api) -> None:
    fields = {"conversationId": await talk(api)}
    token = (await api.get("/v1/fetchChanges")).json()["lastUpdatedTimestamp"]
    done = (await api.post("/v1/deleteConversation", fields)).decode(SetConversationResponse)
    assert (done.conversation_id, done.changed) == (fields["conversationId"], True)
    assert not (await api.post("/v1/deleteConversation", fields)).decode(SetConversationResponse).changed
    listed = (await api.get("/v1/fetchConversation")).decode(FetchConversationResponse)
    assert listed.conversations == []
    changes = (await api.get(f"/v1/fetchChanges?lastUpdatedTimestamp={token}")).decode(FetchChangesResponse)
    (gone,) = changes.conversations
    assert (gone.deleted, gone.deleted_up_to, changes.messages) == (True, done.last_updated_timestamp, [])
    (await api.post("/v1/setConversation", {**fields, "pinned": True})).problem(404, "unknown_conversation")
    message = {"recipientId": "alice", "messageContent": "new", "clientMessageId": "2"}
    await api.post("/v1/sendMessage", message, "bob")
    back = await shown(api)
    assert (back.deleted, back.snippet, back.deleted_up_to) == (UNSET, "new", done.last_updated_timestamp)
    (await api.post("/v1/deleteConversation", fields, "carol")).problem(404, "unknown_conversation")
    (await api.post("/v1/deleteConversation", {**fields, "userId": "alice"}, "bob")).problem(403, "forbidden")
    (await api.post("/v1/deleteConversation", {"conversationId": "z"})).problem(400, "bad_request")
