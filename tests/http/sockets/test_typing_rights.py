"""Who types, over the real owner: what a stranger, a former member and somebody who is blocked see of it is nothing."""

import math
from contextlib import AsyncExitStack

import pytest

from rowbox.mailbox.ids import direct_conversation_id
from tests.http.api import Api, until
from tests.http.sockets.talk import Talk, opened

DIRECT = direct_conversation_id("alice", "bob").hex()


class Stage:
    """Connections that show conversations. All that was asked is answered behind each step."""

    def __init__(self, api: Api, connections: AsyncExitStack) -> None:
        self._api = api
        self._connections = connections

    async def shows(self, user: str, **shown: str) -> Talk:
        """A new connection of the user, which shows that."""
        talk = await self._connections.enter_async_context(opened(self._api, user))
        count = len(self._api.presence.views._views)
        await talk.say(t="view", **shown)
        await until(lambda: len(self._api.presence.views._views) == count + 1)
        await self.is_answered()
        return talk

    async def is_answered(self) -> None:
        """Nothing is being asked of anybody, and nothing is due."""
        views = self._api.presence.views

        def is_so() -> bool:
            now_s = views._now_s()
            if any(view.due_s <= now_s for view in views._views.values()):
                views.loop.wake()
                return False
            return not any(math.isinf(view.due_s) for view in views._views.values())

        await until(is_so)

    @property
    def allowed(self) -> int:
        """How many connections are told who types where they are."""
        return sum(map(len, self._api.presence.views._by_conversation.values()))

    @property
    def counts(self) -> tuple[int, int]:
        """How often it was passed on that somebody types, and how often a connection was told."""
        return self._api.presence.views.said, self._api.presence.views.told


async def types(talk: Talk) -> None:
    """Once in three seconds for each connection."""
    await talk.say(t="typing")
    await talk.say(t="ping")
    while (await talk.hears())["t"] != "pong":
        pass


async def test_a_stranger_sees_nothing_of_who_types_whatever_he_shows(api: Api) -> None:
    await api.send("c1")
    async with AsyncExitStack() as connections:
        stage = Stage(api, connections)
        bob = await stage.shows("bob", recipientId="alice")
        alice = await stage.shows("alice", recipientId="bob")
        strangers = [
            await stage.shows("mallory", **shown)
            for shown in (
                {"conversationId": DIRECT},
                {"recipientId": "alice"},
                {"recipientId": "nobody-here"},
                {"conversationId": "0" * 32},
            )
        ]
        own = await stage.shows("bob", conversationId=DIRECT)  # no group: what holds for the two could be passed by
        assert stage.allowed == 2
        for stranger in (*strangers, own):
            await types(stranger)
        assert stage.counts == (0, 0)
        await types(alice)
        assert (await bob.hears("typing"))["userId"] == "alice"
        assert stage.counts == (1, 1)
        for stranger in (*strangers, own):
            await stranger.say(t="ping")
            await stranger.hears("pong")


async def test_who_left_or_was_removed_sees_nothing_of_who_types_in_the_group(api: Api) -> None:
    fields = {"clientGroupId": "g1", "name": "Trip", "members": ["bob", "carol"]}
    made = await api.post("/v1/createGroup", fields, "alice")
    assert made.status == 201, made.body
    group = {"conversationId": made.json()["conversationId"]}
    async with AsyncExitStack() as connections:
        stage = Stage(api, connections)
        alice, second, bob, carol = [await stage.shows(user, **group) for user in ("alice", "alice", "bob", "carol")]
        await stage.shows("dan", **group)
        assert stage.allowed == 4
        await types(alice)
        assert stage.counts == (1, 2)  # his own other connection is not told
        assert (await api.post("/v1/leaveGroup", group, "bob")).status == 200
        assert (await api.post("/v1/removeMember", {**group, "userId": "carol"}, "alice")).status == 200
        await until(lambda: stage.allowed == 2)
        await stage.is_answered()
        assert stage.allowed == 2
        for talk in (bob, carol, second):
            await types(talk)
        assert stage.counts == (2, 2)


@pytest.mark.parametrize("who", ["alice", "bob"])
async def test_a_block_ends_it_both_ways_from_its_answer_on(api: Api, who: str) -> None:
    await api.send("c1")
    other = {"alice": "bob", "bob": "alice"}[who]
    async with AsyncExitStack() as connections:
        stage = Stage(api, connections)
        talks = [await stage.shows("alice", recipientId="bob"), await stage.shows("bob", recipientId="alice")]
        assert stage.allowed == 2
        assert (await api.post("/v1/block", {"userId": other}, who)).status == 200
        assert stage.allowed == 0
        await stage.is_answered()
        for talk in talks:
            await types(talk)
        assert (stage.allowed, stage.counts) == (0, (0, 0))
        assert (await api.post("/v1/unblock", {"userId": other}, who)).status == 200
        for talk, shown in zip(talks, ("bob", "alice"), strict=True):  # or within ten minutes
            await talk.say(t="view", recipientId=shown)
        await until(lambda: stage.allowed == 2)


async def test_who_chooses_to_hide_types_unseen_and_sees_nobody_type_from_the_answer_on(api: Api) -> None:
    await api.send("c1")
    await api.post("/v1/createUser", {"name": "Bob", "userId": "bob"}, "root", admin=True)
    async with AsyncExitStack() as connections:
        stage = Stage(api, connections)
        alice = await stage.shows("alice", recipientId="bob")
        bob = await stage.shows("bob", recipientId="alice")
        assert (await api.post("/v1/updateUser", {"lastSeen": "nobody"}, "bob")).status == 200
        assert stage.allowed == 1
        await types(bob)
        await types(alice)
        await stage.is_answered()
        assert (stage.allowed, stage.counts) == (1, (1, 0))
