"""A conversation whose messages are changed, for tests of what an owner answers then."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from rowbox.cacheserver.owner.owner import Owner
from rowbox.cacheserver.port import SendResult
from rowbox.cacheserver.stores.port import Column, Put, RowMutation
from rowbox.hbase_schema.families import Family
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.message import Message
from rowbox.mailbox.settings.config import MessageSettings
from tests.checking import assert_no_findings
from tests.support.cluster import SHARDS, UNLIMITED, Cluster, Json, all_conversations, all_messages, cluster

both_kinds = pytest.mark.parametrize("late", [False, True], ids=["embedded", "late"])


class Written:
    """Ann has sent Bob three messages, which he has."""

    def __init__(self, made: Cluster, sent: list[SendResult]) -> None:
        self.made = made
        self.sent = sent
        self.conversation = sent[0].conversation_id

    async def change(self, number: int, content: str | None, user: str = "ann") -> bool:
        """Returns whether it changed anything. Everybody has it then."""
        result = await self.made.node.change(user, self.sent[number], content)
        assert result.message_id == self.sent[number].message_id
        await self.made.quiet()
        return result.changed

    async def react(self, number: int, emoji: str, user: str = "ann") -> bool:
        """Returns whether it changed anything. Everybody has it then."""
        result = await self.made.node.react(user, self.sent[number], emoji)
        assert result.message_id == self.sent[number].message_id
        await self.made.quiet()
        return result.changed

    async def reactions(self, user: str, number: int) -> dict[str, str]:
        """Who reacts how to a message, as `user` is shown it: by pages of both lists, and memory or the store."""
        listed, _ = await all_messages(self.made.node, user, self.conversation, 2)
        every, _ = await all_messages(self.made.node, user, None, 2)
        wanted = self.sent[number].message_id.hex()
        (item,), (other,) = ([one for one in of if one["messageId"] == wanted] for of in (listed, every))
        assert item == other
        return reactions_of(item, user)

    async def texts(self, user: str, size: int = 2) -> list[str | None]:
        """The conversation from its first message on, by pages; None for what was taken back. Seen by both lists."""
        listed, _ = await all_messages(self.made.node, user, self.conversation, size)
        every, _ = await all_messages(self.made.node, user, None, size)
        assert sorted(item["messageId"] for item in every) == sorted(item["messageId"] for item in listed)
        return [text_of(item) for item in reversed(listed)]

    async def snippet(self, user: str) -> tuple[str | None, bool, int]:
        """With whether the newest message was taken back, and the unread count."""
        (item,), _ = await all_conversations(self.made.node, user, 5)
        return item["snippet"], item.get("lastMessageUnsent", False), item["unreadCount"]

    async def cells(self, user: str) -> list[Column]:
        return (await self.made.store.get_row(row_key(user, SHARDS), (Family.MESSAGES,)))[Family.MESSAGES]

    async def without_removals(self, user: str, columns: list[Column]) -> None:
        """Puts cells back that were removed: as if the removal had been lost."""
        self.made.clock.jump(1.0)
        puts = [Put(Family.MESSAGES, *column) for column in columns]
        await self.made.store.mutate([RowMutation(row_key(user, SHARDS), puts)], self.made.clock.now_ms())

    async def flushed(self) -> None:
        await self.made.quiet()
        await self.made.node.process.call(self.made.node.owner.cleaner.flush())


async def delivered(owner: Owner, chat: Written, event: Message) -> int:
    async def deliver() -> int:
        return await owner.deliver("bob", [event])

    return await chat.made.node.process.call(deliver())


def reactions_of(item: Json, user: str) -> dict[str, str]:
    """By user, as `user` is shown it."""
    by_user: dict[str, str] = {}
    for one in item.get("reactions", ()):
        assert one["count"] == len(one["users"])
        assert one["mine"] == (user in one["users"])
        by_user |= dict.fromkeys(one["users"], one["emoji"])
    return by_user


def text_of(item: Json) -> str | None:
    assert item.get("unsent", False) == (item["messageContent"] == "")
    assert not (item.get("unsent") and "editedTimestamp" in item)
    return None if item.get("unsent") else item["messageContent"]


@asynccontextmanager
async def written(*, late: bool, messages: MessageSettings = MessageSettings(), **store: int) -> AsyncIterator[Written]:  # noqa: B008
    settings = replace(UNLIMITED, messages=messages, store=replace(UNLIMITED.store, **store))
    async with cluster(late=late, settings=settings) as made:
        sent = [await made.node.send("ann", "bob", f"text {number}", f"c{number}") for number in range(3)]
        yield Written(made, sent)
        await made.quiet()
        await assert_no_findings(made.store, made.settings, made.clock.now_us())
