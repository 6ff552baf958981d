"""The calls about users, over the real owner: who may make whom known, who is shown what, and what a profile may be."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from rowbox.api.v1.responses import FetchChangesResponse
from rowbox.api.v1.users.types import AccountResponse, DeletedUser, FetchUserResponse, FetchUsersResponse
from rowbox.cacheserver.owner.owner import Owner
from rowbox.mailbox.people.profile import MOST_ATTRIBUTES_BYTES
from rowbox.mailbox.settings.config import UsersSettings
from tests.http.api import SETTINGS, Answer, Api, serving

ALICE: dict[str, Any] = {
    "name": "Alice Liddell",
    "avatar": "https://a.example/alice.webp",
    "attributes": {"locale": "en"},
}


@pytest.fixture
async def open_api(owner: Owner) -> AsyncIterator[Api]:
    """Where users make themselves known."""
    async with serving(owner, settings=replace(SETTINGS, users=UsersSettings(self_service=True))) as api:
        yield api


async def made_known(api: Api, user: str = "alice", **fields: Any) -> Answer:
    return await api.post("/v1/createUser", ALICE | {"userId": user} | fields, "root", admin=True)


async def user(api: Api, query: str, asker: str, *, admin: bool = False) -> FetchUserResponse:
    return (await api.get(f"/v1/fetchUser?{query}", asker, admin=admin)).decode(FetchUserResponse)


async def test_an_administrator_makes_a_user_known_once(api: Api) -> None:
    first = (await made_known(api)).decode(AccountResponse, 201)
    assert (first.user_id, first.changed) == ("alice", True)
    assert (await made_known(api)).decode(AccountResponse, 200) == replace(first, changed=False)
    (await made_known(api, name="Alicia")).problem(409, "user_exists")
    (await made_known(api, attributes={})).problem(409, "user_exists")


async def test_a_user_may_not_make_himself_known_unless_users_may(api: Api, open_api: Api) -> None:
    (await api.post("/v1/createUser", ALICE, "alice")).problem(403, "forbidden")
    (await open_api.post("/v1/createUser", ALICE | {"userId": "bob"}, "alice")).problem(403, "forbidden")
    assert (await api.get("/v1/fetchUser", "alice")).status == 404
    assert (await open_api.post("/v1/createUser", ALICE, "alice")).decode(AccountResponse, 201).changed
    assert (await user(api, "", "alice")).name == "Alice Liddell"


async def test_others_see_the_name_and_the_picture_and_nothing_else(api: Api) -> None:
    made = (await made_known(api)).decode(AccountResponse, 201)
    shown = await user(api, "userId=alice", "bob")
    assert shown == FetchUserResponse(user_id="alice", name="Alice Liddell", avatar=ALICE["avatar"])
    assert set((await api.get("/v1/fetchUser?userId=alice", "bob")).json()) == {"userId", "name", "avatar"}
    whole = await user(api, "", "alice")
    assert (whole.attributes, whole.created_timestamp) == ({"locale": "en"}, made.last_updated_timestamp)
    assert await user(api, "userId=alice", "root", admin=True) == whole
    (await api.get("/v1/fetchUser?userId=carol", "bob")).problem(404, "unknown_user")


async def test_several_users_in_one_answer(api: Api) -> None:
    for name in ("alice", "carol"):
        await made_known(api, name, name=name.title(), avatar="")
    answer = await api.get("/v1/fetchUsers?userIds=carol,bob,alice,carol", "bob")
    assert [(one.user_id, one.name) for one in answer.decode(FetchUsersResponse).users] == [
        ("carol", "Carol"),
        ("alice", "Alice"),
    ]
    assert (await api.get("/v1/fetchUsers?userIds=bob", "bob")).decode(FetchUsersResponse).users == []
    (await api.get("/v1/fetchUsers?userIds=", "bob")).problem(400, "bad_request")
    (await api.get("/v1/fetchUsers", "bob")).problem(400, "bad_request")
    many = ",".join(f"u{number}" for number in range(51))
    (await api.get(f"/v1/fetchUsers?userIds={many}", "bob")).problem(400, "bad_request")


async def test_an_update_changes_what_it_names_and_tells_the_users_devices(api: Api) -> None:
    (await api.post("/v1/updateUser", {"name": "Al"}, "alice")).problem(404, "unknown_user")
    await made_known(api)
    begun = (await api.get("/v1/fetchChanges", "alice")).decode(FetchChangesResponse)
    answer = (await api.post("/v1/updateUser", {"name": "Al"}, "alice")).decode(AccountResponse)
    assert answer.changed
    again = (await api.post("/v1/updateUser", {"name": "Al"}, "alice")).decode(AccountResponse)
    assert again == replace(answer, changed=False)
    whole = await user(api, "", "alice")
    assert (whole.name, whole.avatar, whole.attributes) == ("Al", ALICE["avatar"], {"locale": "en"})
    token = f"lastUpdatedTimestamp={begun.last_updated_timestamp}"
    changes = (await api.get(f"/v1/fetchChanges?{token}", "alice")).decode(FetchChangesResponse)
    assert (changes.account, changes.messages, changes.conversations) == (True, [], [])
    (await api.post("/v1/updateUser", {"name": "B", "userId": "alice"}, "bob")).problem(403, "forbidden")
    (await api.post("/v1/updateUser", {"avatar": "", "userId": "alice"}, "root", admin=True)).decode(AccountResponse)
    assert (await user(api, "userId=alice", "bob")).avatar == ""


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": " \u2003 "},
        {"name": "x" * 101},
        {"name": "two\nlines"},
        {"name": "a\u2028b"},
        {"name": None},
        {"avatar": "http://a.example/plain"},
        {"avatar": "javascript:alert(1)"},
        {"avatar": "https://a.example/with space"},
        {"avatar": "https://a.example/" + "x" * 500},
        {"attributes": {"": "x"}},
        {"attributes": {"x" * 65: "x"}},
        {"attributes": {"a": 1}},
        {"attributes": {"a": "\u00e9" * (MOST_ATTRIBUTES_BYTES // 2)}},
        {"role": "admin"},
        {"userId": "no user"},
    ],
)
async def test_what_no_profile_is_writes_nothing(api: Api, fields: dict[str, Any]) -> None:
    assert (await made_known(api, **fields)).status == 400
    (await api.get("/v1/fetchUser", "alice")).problem(404, "unknown_user")


async def test_the_largest_profile_comes_back_as_it_was(api: Api) -> None:
    largest: dict[str, Any] = {
        "name": "\U0001f600" * 100,
        "avatar": "https://" + "x" * 504,
        "attributes": {"\u00e9" * 64: "x" * (MOST_ATTRIBUTES_BYTES - 128)},
    }
    assert (await made_known(api, **largest)).status == 201
    whole = await user(api, "", "alice")
    assert {"name": whole.name, "avatar": whole.avatar, "attributes": whole.attributes} == largest


async def test_fields_that_others_are_not_shown_are_left_out_of_the_type(api: Api) -> None:
    await made_known(api)
    assert (await user(api, "userId=alice", "bob")).attributes is UNSET


async def test_a_user_is_deleted_by_an_administrator_and_asked_again_it_says_how_far_that_is(api: Api) -> None:
    (await made_known(api)).decode(AccountResponse, 201)
    (await api.post("/v1/deleteUser", {}, "alice")).problem(403, "forbidden")
    (await api.post("/v1/deleteUser", {"userId": "alice"}, "bob")).problem(403, "forbidden")
    first = (await api.post("/v1/deleteUser", {"userId": "alice"}, "root", admin=True)).decode(DeletedUser, 202)
    assert (first.user_id, first.changed, first.state) == ("alice", True, "erasing")
    for call in ("fetchChanges", "fetchConversation", "fetchUser"):
        (await api.get(f"/v1/{call}", "alice")).problem(401, "token_revoked")
        if call != "fetchUser":
            (await api.get(f"/v1/{call}?userId=alice", "root", admin=True)).problem(409, "user_deleted")
    (await made_known(api)).problem(409, "user_deleted")
    (await api.get("/v1/fetchUser?userId=alice", "bob")).problem(404, "unknown_user")
    again = await until_wiped(api, "alice")
    # Where writes can be late it is done a day later.
    assert (again.status, again.decode(DeletedUser, again.status).state) in {(200, "erased"), (202, "sweeping")}
    assert not again.decode(DeletedUser, again.status).changed


async def until_wiped(api: Api, user: str) -> Answer:
    """What is said of a deleted user once nothing is known to be left of him."""
    async with asyncio.timeout(30):
        while True:
            again = await api.post("/v1/deleteUser", {"userId": user}, "root", admin=True)
            if again.decode(DeletedUser, again.status).state != "erasing":
                return again


async def test_with_self_service_users_delete_themselves(open_api: Api) -> None:
    (await open_api.post("/v1/deleteUser", {"userId": "bob"}, "alice")).problem(403, "forbidden")
    (await open_api.post("/v1/deleteUser", {}, "alice")).decode(DeletedUser, 202)
    (await open_api.get("/v1/fetchChanges", "alice")).problem(401, "token_revoked")
