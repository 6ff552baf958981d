"""The calls about presence, over the real owner; and what makes users active without a call of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from rowbox.api.v1.devices.types import SignOutResponse
from rowbox.api.v1.presence.types import FetchPresenceResponse, HeartbeatResponse, PresenceShown
from rowbox.cacheserver.port import AskPresence
from rowbox.mailbox.people.presence import Seen
from rowbox.mailbox.settings.config import AuthSettings
from tests.http.api import SETTINGS, Api, serving, until
from tests.http.sockets.feed_port import FeedPort
from tests.http.sockets.test_streams import streamed

ONLINE = PresenceShown(online=True)
DEADLINE_S = 30


async def presence(api: Api, *users: str, asker: str = "alice") -> dict[str, PresenceShown | None]:
    answer = await api.get(f"/v1/fetchPresence?userIds={','.join(users)}", asker)
    return answer.decode(FetchPresenceResponse).users


async def comes(api: Api, is_so: Callable[[], Awaitable[bool]]) -> None:
    """Returns once it is so. No round of presence is waited for."""
    async with asyncio.timeout(DEADLINE_S):
        while not await is_so():
            api.presence.beats.loop.wake()
            await asyncio.sleep(0)


async def bob_is_online(api: Api, *, so: bool = True) -> None:
    async def is_so() -> bool:
        return ((await presence(api, "bob"))["bob"] == ONLINE) is so

    await comes(api, is_so)


async def test_who_says_so_is_online_for_whom_he_talks_to(api: Api) -> None:
    (await api.post("/v1/heartbeat", {}, "bob")).decode(HeartbeatResponse)
    await api.send("c1")
    assert (await api.send("c2", sender="alice", recipient="carol")).status == 201
    await bob_is_online(api)
    assert await presence(api, "bob", "carol", "bob", "dan") == {"bob": ONLINE, "carol": None, "dan": None}
    assert await presence(api, "bob", asker="carol") == {"bob": None}


async def test_who_hides_is_not_shown_at_once_and_is_shown_nobody(api: Api) -> None:
    await api.send("c1")
    await api.post("/v1/createUser", {"name": "Bob", "userId": "bob"}, "root", admin=True)
    for user in ("alice", "bob"):
        await api.post("/v1/heartbeat", {}, user)
    await bob_is_online(api)
    assert (await api.post("/v1/updateUser", {"lastSeen": "nobody"}, "bob")).status == 200
    assert await presence(api, "bob") == {"bob": None}
    assert await presence(api, "alice", asker="bob") == {"alice": None}
    await api.post("/v1/heartbeat", {}, "bob")
    assert await presence(api, "bob") == {"bob": None}
    assert (await api.get("/v1/fetchUser", "bob")).json()["lastSeen"] == "nobody"
    assert "lastSeen" not in (await api.get("/v1/fetchUser?userId=bob", "alice")).json()
    assert (await api.post("/v1/updateUser", {"lastSeen": "everyone"}, "bob")).status == 200
    await api.post("/v1/heartbeat", {}, "bob")
    await bob_is_online(api)


async def test_one_who_is_made_known_hiding_hides(api: Api) -> None:
    await api.send("c1")
    await api.post("/v1/heartbeat", {}, "bob")
    await bob_is_online(api)
    fields = {"name": "Bob", "userId": "bob", "lastSeen": "nobody"}
    assert (await api.post("/v1/createUser", fields, "root", admin=True)).status == 201
    assert await presence(api, "bob") == {"bob": None}
    (await api.post("/v1/updateUser", {"lastSeen": "contacts and more"}, "bob")).problem(400, "bad_request")


async def test_a_poll_that_waits_makes_active_and_one_for_another_user_does_not(api: Api) -> None:
    await api.send("c1")
    since = (await api.get("/v1/fetchChanges", "bob")).json()["lastUpdatedTimestamp"]
    query = f"/v1/fetchChanges?wait=30&lastUpdatedTimestamp={since}"
    watching = asyncio.create_task(api.get(f"{query}&userId=bob", "root", admin=True))
    for _ in range(20):
        assert await presence(api, "bob") == {"bob": None}
        api.presence.beats.loop.wake()
    poll = asyncio.create_task(api.get(query, "bob"))
    await bob_is_online(api)
    assert not poll.done()
    await api.send("c2")
    assert {(await one).status for one in (poll, watching)} == {200}
    assert not api.presence.beats._open


async def test_an_event_stream_makes_active_while_it_is_open(api: Api) -> None:
    await api.send("c1")
    async with streamed(api, user="bob"):
        await bob_is_online(api)
        assert api.presence.beats._open == {"bob": 1}

    async def is_over() -> bool:
        return not api.presence.beats._open

    await comes(api, is_over)


async def test_who_signs_out_his_last_device_is_forgotten(api: Api) -> None:
    await api.send("c1")
    for device in ("phone", "laptop"):
        await api.post("/v1/registerDevice", {"deviceId": device}, "bob")
    await api.post("/v1/heartbeat", {}, "bob")
    await bob_is_online(api)
    (await api.post("/v1/signOut", {"deviceId": "phone"}, "bob")).decode(SignOutResponse)
    api.presence.beats.loop.wake()
    await asyncio.sleep(0)
    assert await presence(api, "bob") == {"bob": ONLINE}
    (await api.post("/v1/signOut", {"deviceId": "laptop"}, "bob")).decode(SignOutResponse)
    await bob_is_online(api, so=False)
    assert await presence(api, "bob") == {"bob": None}


async def test_what_was_held_for_a_device_that_is_signed_out_elsewhere_leaves_nothing_to_be_written(api: Api) -> None:
    await api.send("c1")
    since = (await api.get("/v1/fetchChanges", "bob")).json()["lastUpdatedTimestamp"]
    leave = api.presence.leave

    def elsewhere(user_id: str) -> None:
        assert user_id == "bob"

    api.presence.leave = elsewhere  # type: ignore[method-assign]
    try:
        poll = asyncio.create_task(api.get(f"/v1/fetchChanges?wait=30&lastUpdatedTimestamp={since}", "bob"))
        await bob_is_online(api)
        async with streamed(api, user="bob"):
            assert api.presence.beats._open == {"bob": 2}
            (await api.post("/v1/signOut", {"all": True}, "bob")).decode(SignOutResponse)
            (await poll).problem(401, "signed_out")
            await until(lambda: not api.presence.beats._open)
        assert "bob" not in api.presence.beats._active_s
    finally:
        api.presence.leave = leave  # type: ignore[method-assign]


async def test_who_is_blocked_is_shown_no_more_of_whom_he_watches(api: Api) -> None:
    told: dict[str, Seen | None] = {}

    class Screen:
        def told(self, seen: Mapping[str, Seen | None]) -> bool:
            told.update(seen)
            return True

        def look_again(self, users: tuple[str, ...]) -> None:
            raise AssertionError(users)

    await api.send("c1")
    await api.post("/v1/heartbeat", {}, "bob")
    await bob_is_online(api)
    screen = Screen()
    await api.presence.watch(screen, AskPresence("alice", ("bob",)))
    assert told == {"bob": Seen(online=True)}
    assert (await api.post("/v1/block", {"userId": "alice"}, "bob")).status == 200
    assert told == {"bob": None}
    api.presence.unwatch(screen)


async def test_bad_questions(api: Api) -> None:
    many = ",".join(f"u{number}" for number in range(201))
    for query in ("", "?userIds=", f"?userIds={many}", "?userIds=a%20b", "?userId=bob"):
        assert (await api.get(f"/v1/fetchPresence{query}")).status == 400
    assert len(await presence(api, *many.split(",")[:200])) == 200
    (await api.post("/v1/heartbeat", {"userId": "bob"}, "alice")).problem(403, "forbidden")
    assert (await api.post("/v1/heartbeat", {"userId": "bob"}, "root", admin=True)).status == 200


async def test_users_are_shown_by_the_names_by_which_they_are_asked_for() -> None:
    settings = msgspec.structs.replace(SETTINGS, auth=AuthSettings(escape_user_ids=True))
    async with serving(FeedPort(), settings) as api:
        shown = await presence(api, "auth0%7Cbob", "auth0@@7Cbob", "carol")
        assert shown == {"auth0|bob": None, "auth0@@7Cbob": None, "carol": None}
