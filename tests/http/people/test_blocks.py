"""The calls about blocks, over the real owner: what they answer, and that nobody but who blocks is told."""

from typing import Any

import pytest
from msgspec import UNSET

from rowbox.api.v1.responses import FetchChangesResponse, SendMessageResponse
from rowbox.api.v1.users.blocks import BlockedUser, BlockResponse, FetchBlocksResponse
from rowbox.api.v1.users.hidden import FetchHiddenResponse
from tests.http.api import Api


async def block(api: Api, other: str = "mallory", user: str = "alice", call: str = "block") -> BlockResponse:
    return (await api.post(f"/v1/{call}", {"userId": other}, user)).decode(BlockResponse)


async def blocks(api: Api, query: str = "", user: str = "alice", *, admin: bool = False) -> FetchBlocksResponse:
    return (await api.get(f"/v1/fetchBlocks{query}", user, admin=admin)).decode(FetchBlocksResponse)


async def test_a_block_is_made_once_listed_and_ended(api: Api) -> None:
    first = await block(api)
    assert (first.user_id, first.changed) == ("mallory", True)
    again = await block(api)
    assert (again.last_updated_timestamp, again.changed) == (first.last_updated_timestamp, False)
    shown = [BlockedUser(user_id="mallory", since_timestamp=first.last_updated_timestamp)]
    assert await blocks(api) == FetchBlocksResponse(blocks=shown, has_more=False)
    ended = await block(api, call="unblock")
    assert ended.changed
    assert ended.last_updated_timestamp > first.last_updated_timestamp
    assert not (await block(api, call="unblock")).changed
    assert (await block(api, "bob", call="unblock")).last_updated_timestamp == 0
    assert (await blocks(api)).blocks == []


async def test_blocks_come_by_pages_and_are_shown_to_their_user_and_administrators_alone(api: Api) -> None:
    for other in ("carol", "bob", "dave"):
        await block(api, other)
    page = await blocks(api, "?pageSize=2")
    assert ([one.user_id for one in page.blocks], page.has_more) == (["bob", "carol"], True)
    page = await blocks(api, "?pageSize=2&after=carol")
    assert ([one.user_id for one in page.blocks], page.has_more) == (["dave"], False)
    assert (await blocks(api, user="bob")).blocks == []
    (await api.get("/v1/fetchBlocks?userId=alice", "bob")).problem(403, "forbidden")
    assert len((await blocks(api, "?userId=alice", "root", admin=True)).blocks) == 3


@pytest.mark.parametrize("call", ["block", "unblock"])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"userId": "alice"}, "bad_request"),
        ({"userId": "!g"}, "bad_request"),
        ({"userId": 7}, "bad_request"),
        ({}, "bad_request"),
        ({"userId": "bob", "for": "ever"}, "unknown_parameter"),
    ],
    ids=str,
)
async def test_bad_requests_about_blocks(api: Api, call: str, body: dict[str, Any], code: str) -> None:
    (await api.post(f"/v1/{call}", body)).problem(400, code)


@pytest.mark.parametrize("query", ["?pageSize=0", "?pageSize=201", "?after=!g", "?behind=bob"])
async def test_bad_questions_about_blocks(api: Api, query: str) -> None:
    assert (await api.get(f"/v1/fetchBlocks{query}")).status == 400


async def test_the_answer_to_whoever_is_blocked_is_the_usual_one(api: Api) -> None:
    before = (await api.send("1", sender="mallory", recipient="alice")).decode(SendMessageResponse, 201)
    await block(api)
    answer = await api.send("2", sender="mallory", recipient="alice")
    behind = answer.decode(SendMessageResponse, 201)
    alike = ("conversation_id", "pending_recipients", "duplicate")
    assert [getattr(behind, name) for name in alike] == [getattr(before, name) for name in alike]
    (await api.send("3", sender="alice", recipient="mallory")).problem(403, "blocked_by_you")
    texts = (await api.get("/v1/fetchMessages", "alice")).json()["messages"]
    assert len(texts) == 1


async def test_the_users_devices_are_told(api: Api) -> None:
    token = (await api.get("/v1/fetchChanges")).decode(FetchChangesResponse).last_updated_timestamp
    await block(api)
    assert (await api.get(f"/v1/fetchChanges?lastUpdatedTimestamp={token}")).decode(FetchChangesResponse).account


async def hidden(api: Api, query: str) -> FetchHiddenResponse:
    return (await api.get(f"/v1/fetchHidden?userId=alice{query}", "root", admin=True)).decode(FetchHiddenResponse)


async def test_administrators_see_what_is_hidden_page_by_page(api: Api) -> None:
    await block(api)
    texts = [f"insult {number}" for number in range(3)]
    sent = [
        (await api.send(text[-1], text, sender="mallory", recipient="alice")).decode(SendMessageResponse, 201)
        for text in texts
    ]
    place = {"conversationId": sent[0].conversation_id, "messageId": sent[0].message_id}
    await api.post("/v1/editMessage", {**place, "messageContent": "nothing"}, "mallory")
    await api.post("/v1/react", {**place, "emoji": "\U0001f44d"}, "mallory")
    await api.send("3", "behind all that", sender="mallory", recipient="alice")
    whole = await hidden(api, "")
    texts = ["behind all that", "insult 2", "insult 1", "insult 0", "nothing"]
    assert [one.message_content for one in whole.messages] == texts
    assert whole.next_cursor is None
    _, newest, *_, edited = whole.messages
    assert (newest.message_id, newest.conversation_id) == (sent[2].message_id, sent[2].conversation_id)
    assert (newest.sender_id, newest.sent_timestamp) == ("mallory", sent[2].sent_timestamp)
    assert edited.edited_timestamp is not UNSET
    assert edited.reactions is not UNSET
    assert [one.users for one in edited.reactions] == [("mallory",)]
    pages: list[FetchHiddenResponse] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await hidden(api, "&pageSize=1" + (f"&cursor={cursor}" if cursor else ""))
        pages.append(page)
        cursor = page.next_cursor
    assert [one for page in pages for one in page.messages] == whole.messages
    await api.post("/v1/unsendMessage", place, "mallory")
    await api.send("4", "behind that, too", sender="mallory", recipient="alice")
    assert [one.unsent for one in (await hidden(api, "")).messages][-1] is True


async def test_what_is_hidden_is_shown_to_administrators_alone(api: Api) -> None:
    await block(api)
    for user in ("alice", "mallory", "bob"):
        (await api.get("/v1/fetchHidden?userId=alice", user)).problem(403, "forbidden")
        (await api.get(f"/v1/fetchHidden?userId={user}", user)).problem(403, "forbidden")
    for query in ("", "?userId=", "?userId=!g", "?userId=alice&pageSize=0", "?userId=alice&pageSize=201"):
        (await api.get(f"/v1/fetchHidden{query}", "root", admin=True)).problem(400, "bad_request")
    for cursor in ("none", "0" * 31, "0" * 33, "0" * 65, "G" * 32):
        asked = f"/v1/fetchHidden?userId=alice&cursor={cursor}"
        (await api.get(asked, "root", admin=True)).problem(400, "bad_request")
    (await api.get("/v1/fetchHidden?userId=alice&of=bob", "root", admin=True)).problem(400, "unknown_parameter")
    assert (await hidden(api, f"&cursor={'f' * 64}")).messages == []
