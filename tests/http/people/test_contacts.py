"""The calls about contacts and about what others begin, over the real owner: what they answer, and that nobody else is
told.
"""

from typing import Any

import pytest

from rowbox.api.v1.conversations.types import FetchRequestsResponse, SetConversationResponse
from rowbox.api.v1.responses import FetchChangesResponse, FetchConversationResponse
from rowbox.api.v1.users.contacts import Contact, FetchContactsResponse, SetContactResponse
from rowbox.mailbox.ids import direct_conversation_id, to_text
from tests.http.api import Api


async def set_contact(api: Api, other: str, user: str = "alice", **what: Any) -> SetContactResponse:
    return (await api.post("/v1/setContact", {"userId": other, **what}, user)).decode(SetContactResponse)


async def contacts(api: Api, query: str = "", user: str = "alice", *, admin: bool = False) -> FetchContactsResponse:
    return (await api.get(f"/v1/fetchContacts{query}", user, admin=admin)).decode(FetchContactsResponse)


async def test_a_contact_is_made_once_changed_by_parts_and_removed(api: Api) -> None:
    first = await set_contact(api, "bob", alias=" Bob from work ")
    assert (first.user_id, first.changed) == ("bob", True)
    again = await set_contact(api, "bob", alias="Bob from work")
    assert (again.last_updated_timestamp, again.changed) == (first.last_updated_timestamp, False)
    second = await set_contact(api, "bob", favourite=True)
    assert second.last_updated_timestamp > first.last_updated_timestamp
    (shown,) = (await contacts(api)).contacts
    assert shown == Contact(
        user_id="bob",
        since_timestamp=first.last_updated_timestamp,
        last_updated_timestamp=second.last_updated_timestamp,
        alias="Bob from work",
        favourite=True,
    )
    assert (await set_contact(api, "bob", alias="")).changed
    ended = await set_contact(api, "bob", remove=True)
    assert ended.changed
    assert (await contacts(api)).contacts == []
    assert not (await set_contact(api, "bob", remove=True)).changed
    assert (await set_contact(api, "carol", remove=True)).last_updated_timestamp == 0
    back = await set_contact(api, "bob")
    assert (await contacts(api)).contacts == [
        Contact(
            user_id="bob",
            since_timestamp=back.last_updated_timestamp,
            last_updated_timestamp=back.last_updated_timestamp,
        )
    ]


async def test_contacts_come_by_pages_and_are_shown_to_their_user_and_administrators_alone(api: Api) -> None:
    for other in ("carol", "bob", "dave"):
        await set_contact(api, other)
    page = await contacts(api, "?pageSize=2")
    assert ([one.user_id for one in page.contacts], page.has_more) == (["bob", "carol"], True)
    page = await contacts(api, "?pageSize=2&after=carol")
    assert ([one.user_id for one in page.contacts], page.has_more) == (["dave"], False)
    assert (await contacts(api, user="bob")).contacts == []
    (await api.get("/v1/fetchContacts?userId=alice", "bob")).problem(403, "forbidden")
    assert len((await contacts(api, "?userId=alice", "root", admin=True)).contacts) == 3


async def test_the_users_other_devices_are_told_and_the_other_one_is_not(api: Api) -> None:
    tokens = {
        user: (await api.get("/v1/fetchChanges", user)).decode(FetchChangesResponse).last_updated_timestamp
        for user in ("alice", "bob")
    }
    await set_contact(api, "bob")
    for user, token in tokens.items():
        changes = (await api.get(f"/v1/fetchChanges?lastUpdatedTimestamp={token}", user)).decode(FetchChangesResponse)
        assert (changes.account is True) == (user == "alice")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"userId": "alice"}, "bad_request"),
        ({"userId": "!g"}, "bad_request"),
        ({"userId": 7}, "bad_request"),
        ({}, "bad_request"),
        ({"userId": "bob", "alias": "x" * 101}, "bad_request"),
        ({"userId": "bob", "alias": "two\nlines"}, "bad_request"),
        ({"userId": "bob", "alias": "Bob", "remove": True}, "bad_request"),
        ({"userId": "bob", "favourite": False, "remove": True}, "bad_request"),
        ({"userId": "bob", "nickname": "Bob"}, "unknown_parameter"),
    ],
    ids=str,
)
async def test_bad_requests_about_contacts(api: Api, body: dict[str, Any], code: str) -> None:
    (await api.post("/v1/setContact", body)).problem(400, code)
    assert (await contacts(api)).contacts == []


@pytest.mark.parametrize("query", ["?pageSize=0", "?pageSize=201", "?after=!g", "?behind=bob"])
async def test_bad_questions_about_contacts(api: Api, query: str) -> None:
    assert (await api.get(f"/v1/fetchContacts{query}")).status == 400


async def only_contacts(api: Api, user: str = "alice") -> None:
    body = {"userId": user, "name": user.title(), "messagesFrom": "contacts"}
    assert (await api.post("/v1/createUser", body, "root", admin=True)).status == 201


async def waiting(api: Api, query: str = "", user: str = "alice", *, admin: bool = False) -> FetchRequestsResponse:
    return (await api.get(f"/v1/fetchRequests{query}", user, admin=admin)).decode(FetchRequestsResponse)


async def accept(api: Api, other: str) -> SetConversationResponse:
    place = to_text(direct_conversation_id("alice", other))
    answer = await api.post("/v1/setConversation", {"conversationId": place, "request": False}, "alice")
    return answer.decode(SetConversationResponse)


async def test_it_is_listed_by_pages_until_it_is_accepted(api: Api) -> None:
    await only_contacts(api)
    for sender in ("bob", "carol", "dave"):
        await api.send("hello", sender=sender, recipient="alice")
    first = await waiting(api, "?pageSize=2")
    assert first.next_cursor is not None
    second = await waiting(api, f"?pageSize=2&cursor={first.next_cursor}")
    assert second.next_cursor is None
    listed = [*first.conversations, *second.conversations]
    assert {one.last_sender_id for one in listed} == {"bob", "carol", "dave"}
    assert all(one.request is True for one in listed)
    assert len((await waiting(api, "?userId=alice", "root", admin=True)).conversations) == 3
    (await api.get("/v1/fetchRequests?userId=alice", "bob")).problem(403, "forbidden")
    assert [(await accept(api, "bob")).changed for _ in range(2)] == [True, False]
    assert {one.last_sender_id for one in (await waiting(api)).conversations} == {"carol", "dave"}
    page = (await api.get("/v1/fetchConversation", "alice")).decode(FetchConversationResponse)
    assert [one.last_sender_id for one in page.conversations] == ["bob"]


@pytest.mark.parametrize(
    "query", ["?pageSize=0", "?pageSize=101", "?cursor=", "?cursor=00", f"?cursor={'z' * 64}", "?after=bob"]
)
async def test_bad_questions_about_what_waits(api: Api, query: str) -> None:
    assert (await api.get(f"/v1/fetchRequests{query}")).status == 400


@pytest.mark.parametrize("what", [{"request": True}, {"request": "no"}, {"request": None}], ids=str)
async def test_nothing_makes_a_conversation_a_request(api: Api, what: dict[str, Any]) -> None:
    await api.send("hello", sender="bob", recipient="alice")
    body = {"conversationId": to_text(direct_conversation_id("alice", "bob")), **what}
    (await api.post("/v1/setConversation", body, "alice")).problem(400, "bad_request")
    assert (await waiting(api)).conversations == []


@pytest.mark.parametrize("what", [{"messagesFrom": "friends"}, {"groupAdds": "nobody"}], ids=str)
async def test_a_profile_says_what_is_known(api: Api, what: dict[str, Any]) -> None:
    await only_contacts(api)
    (await api.post("/v1/updateUser", what, "alice")).problem(400, "bad_request")
