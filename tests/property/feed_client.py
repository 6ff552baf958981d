"""A client of the feed, in the plainest words: what a client has to do, and no more (docs/how-to/write-a-client.md)."""

from collections.abc import Iterable

import orjson

from rowbox.cacheserver.port import Changes
from tests.support.cluster import Json, Node, all_conversations, all_messages


class FeedClient:
    """What a client holds that follows the feed of one mailbox, and its token."""

    def __init__(self, user: str, token: str | None = "0") -> None:
        self.user = user
        self.token = token
        self.messages: dict[str, Json] = {}
        self.conversations: dict[str, Json] = {}

    def beside(self) -> "FeedClient":
        """Another one that holds the same."""
        other = FeedClient(self.user, self.token)
        other.messages, other.conversations = dict(self.messages), dict(self.conversations)
        return other

    def add(self, other: "FeedClient") -> None:
        """Takes in what another one of the same user holds, where that is newer."""
        _newest(self.messages, "messageId", other.messages.values())
        _newest(self.conversations, "conversationId", other.conversations.values())

    def take(self, changes: Changes) -> None:
        """Takes in a page of changes."""
        _newest(self.messages, "messageId", map(orjson.loads, changes.messages))
        _newest(self.conversations, "conversationId", map(orjson.loads, changes.conversations))
        self.token = changes.token

    async def begin_anew(self, node: Node, beginning: Changes, size: int) -> None:
        """After a page that was no delta: drops what it has and pages on by the historic calls."""
        assert (list(beginning.messages), beginning.has_more) == ([], False)
        self.messages, self.conversations = {}, {}
        self.take(beginning)
        cursor = beginning.next_cursor
        while cursor is not None:
            page = await node.conversations(self.user, cursor=cursor, page_size=size)
            _newest(self.conversations, "conversationId", map(orjson.loads, page.items))
            cursor = page.next_cursor
        every, _ = await all_messages(node, self.user, None, size)
        _newest(self.messages, "messageId", every)

    async def follow(self, node: Node, size: int, max_bytes: int) -> list[Changes]:
        """Takes page after page until there is no more. The pages."""
        pages: list[Changes] = []
        while True:
            page = await node.changes(self.user, token=self.token, page_size=size, max_bytes=max_bytes)
            pages.append(page)
            if page.is_delta:
                self.take(page)
            else:
                await self.begin_anew(node, page, size)
            if not page.has_more:
                return pages

    def expire(self, horizon: int, now_us: int = 0) -> None:
        """Forgets the messages that retention has taken, and those that have come to their own end by `now_us`."""
        kept = {one: item for one, item in self.messages.items() if item["lastUpdatedTimestamp"] > horizon}
        self.messages = {one: item for one, item in kept.items() if item.get("expiresTimestamp", now_us + 1) > now_us}

    async def holds_what_a_fresh_fetch_shows(self, node: Node, horizon: int, now_us: int = 0) -> None:
        every, _ = await all_messages(node, self.user, None, 50)
        self.expire(horizon, now_us)
        drop_deleted(self.messages, self.conversations)
        assert self.messages == {item["messageId"]: item for item in every}
        listed, _ = await all_conversations(node, self.user, 50)
        assert shown_conversations(self.conversations) == {item["conversationId"]: item for item in listed}


def drop_deleted(messages: dict[str, Json], conversations: dict[str, Json]) -> None:
    """Drops what was deleted, as far as the conversations that are held say so."""
    up_to = {one: item["deletedUpTo"] for one, item in conversations.items() if "deletedUpTo" in item}
    for one, item in list(messages.items()):
        if item["lastUpdatedTimestamp"] <= up_to.get(item["conversationId"], 0):
            del messages[one]


def shown_conversations(held: dict[str, Json]) -> dict[str, Json]:
    """Those that a client shows in its list. It remembers the others, or an older state could come after them."""
    return {one: item for one, item in held.items() if not {"deleted", "request"} & item.keys()}


def _newest(held: dict[str, Json], name: str, items: Iterable[Json]) -> None:
    """Takes each item whose version is not less than that of the one held."""
    for item in items:
        known = held.get(item[name])
        if known is None or item["lastUpdatedTimestamp"] >= known["lastUpdatedTimestamp"]:
            held[item[name]] = item
