"""What a commit tells its followers is what they would have pulled: the same bytes, from the same token to the same."""

import asyncio
from contextlib import suppress
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowbox.api.v1.responses import encode_feed
from rowbox.cacheserver.port import Changed, Changes, FetchChanges, Lost, SendResult
from rowbox.mailbox.errors import MessageUnsent
from rowbox.mailbox.pages.cursor import version_of
from tests.property.feed_client import FeedClient
from tests.support.cluster import CRAMPED, UNLIMITED, Node, cluster
from tests.support.virtual_time import run_virtual

USERS = ["ann", "bob", "cem"]


class Say(NamedTuple):
    """A message of so many characters."""

    sender: str
    recipient: str
    length: int


class Mark(NamedTuple):
    """Somebody has read up to one of the messages that he has."""

    user: str
    place: int


class Change(NamedTuple):
    """The author of one of the messages sent so far gives it another length, or takes it back."""

    place: int
    length: int | None


class React(NamedTuple):
    """Somebody who has one of the messages sent so far reacts to it, or takes that back."""

    place: int
    is_sender: bool
    emoji: str


users = st.sampled_from(USERS)
places = st.integers(0, 10)
sends = st.builds(Say, users, users, st.integers(1, 3_000))
marks = st.builds(Mark, users, places)
changes = st.builds(Change, places, st.none() | st.integers(1, 3_000))
reactions = st.builds(React, places, st.booleans(), st.sampled_from(["", "👍", "🎉"]))
steps = st.lists(st.lists(sends | sends | marks | changes | reactions, min_size=1, max_size=8), min_size=1, max_size=8)
"""What a step has is done at once: it joins mutations, and stands in more than one mailbox."""


class Follower:
    """A client that applies frames where it may, and pulls where it has to."""

    def __init__(self, node: Node, user: str) -> None:
        self.node = node
        self.client = FeedClient(user)
        self.has_to_pull = True
        self.compared = 0

    def notify(self, told: Changed | Lost) -> None:
        assert isinstance(told, Changed)
        assert version_of(told.prev) < version_of(told.head)
        if told.frame is not None:
            self._is_what_a_pull_gives(told)
        mine = version_of(self.client.token or "0")
        if told.frame is not None and not self.has_to_pull and version_of(told.prev) <= mine < version_of(told.head):
            self.client.take(_changes_of(told.frame))
        elif mine < version_of(told.head):
            self.has_to_pull = True

    def _is_what_a_pull_gives(self, told: Changed) -> None:
        """Where all that a pull needs is in memory it awaits nothing, and is made in this very moment."""
        pull = self.node.owner.feed.changes(FetchChanges(self.client.user, told.prev))
        try:
            pull.send(None)
        except StopIteration as ended:
            pulled: Changes = ended.value
        else:
            pull.close()
            return
        assert encode_feed(pulled) == told.frame
        assert pulled.token == told.head
        self.compared += 1

    async def catch_up(self) -> None:
        if self.has_to_pull:
            self.has_to_pull = False
            await self.client.follow(self.node, 100, 262_144)


def _changes_of(frame: bytes) -> Changes:
    body = orjson.loads(frame)
    messages = list(map(orjson.dumps, body["messages"]))
    conversations = list(map(orjson.dumps, body["conversations"]))
    return Changes(messages, conversations, account=False, is_delta=True, token=body["lastUpdatedTimestamp"])


class Chat:
    """What people do, by the steps."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.sent: list[tuple[Say, SendResult]] = []
        """What was said, and what it was answered with."""
        self._serial = 0

    async def act(self, action: Say | Mark | Change | React) -> None:
        if isinstance(action, Say):
            self._serial += 1
            text, serial = "x" * action.length, f"c{self._serial}"
            self.sent.append((action, await self.node.send(action.sender, action.recipient, text, serial)))
        elif isinstance(action, Mark):
            await self._mark(action)
        elif self.sent:
            said, sent = self.sent[action.place % len(self.sent)]
            with suppress(MessageUnsent):
                if isinstance(action, React):
                    user = said.sender if action.is_sender else said.recipient
                    await self.node.react(user, sent, action.emoji)
                else:
                    changed_to = None if action.length is None else "y" * action.length
                    await self.node.change(said.sender, sent, changed_to)

    async def _mark(self, mark: Mark) -> None:
        page = await self.node.messages(mark.user)
        if page.items:
            message = orjson.loads(page.items[mark.place % len(page.items)])
            conversation_id, message_id = (bytes.fromhex(message[name]) for name in ("conversationId", "messageId"))
            await self.node.mark_read(mark.user, conversation_id, message_id)


@pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])
@pytest.mark.parametrize("how", [UNLIMITED, CRAMPED], ids=["roomy", "cramped"])
@settings(deadline=None, max_examples=25)
@given(what=steps)
def test_frames_and_pulls_are_the_same_and_who_takes_either_has_what_a_fresh_fetch_shows(
    late: bool, how: Any, what: list[Any]
) -> None:
    async def run() -> None:
        async with cluster(late=late, settings=how) as servers:
            node = servers.node
            followers = [Follower(node, user) for user in USERS]
            for follower in followers:
                await node.follow(follower.client.user, follower.notify)
                await follower.catch_up()
            chat = Chat(node)
            for step in what:
                await asyncio.gather(*map(chat.act, step))
                await servers.quiet()
                for follower in followers:
                    await follower.catch_up()
            for follower in followers:
                await follower.client.holds_what_a_fresh_fetch_shows(node, 0)
            if how is UNLIMITED and chat.sent:
                assert any(follower.compared for follower in followers)

    run_virtual(run())
