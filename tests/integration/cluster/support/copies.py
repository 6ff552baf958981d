"""What a client that follows a mailbox has put together of what it was told, by whichever way."""

import asyncio
from typing import Any

import msgspec

from rowbox.mailbox.representation import Conversation, Message
from tests.integration.support.server_process import DEADLINE_S
from tests.integration.support.verdict import Followed


class Copy:
    """One user's. `token` is that of the newest answer of the feed that it took."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.token: str | None = None
        self.messages: dict[str, Any] = {}
        self.conversations: dict[str, Any] = {}
        self.gaps: list[tuple[str | None, str | None]] = []
        """Of deltas that did not begin at the own token: that token, and theirs."""
        self.resets: list[str | None] = []
        """Of deltas that were none, but a beginning: their reason. The first has none."""
        self.heard = asyncio.Condition()

    async def take(self, changes: Any, token: str) -> None:
        """Takes an answer of the feed in."""
        if not changes["isDeltaUpdate"]:
            self.messages, self.conversations = {}, {}
            self.resets.append(changes["resetReason"])
        self.messages |= {one["messageId"]: one for one in changes["messages"]}
        self.conversations |= {one["conversationId"]: one for one in changes["conversations"]}
        self.token = token
        async with self.heard:
            self.heard.notify_all()

    async def begins(self, within_s: float = DEADLINE_S) -> None:
        """Returns when it has a token: what was sent before that is in no delta, as a beginning shows no messages."""
        async with asyncio.timeout(within_s), self.heard:
            await self.heard.wait_for(lambda: self.token is not None)

    async def hears(self, text: str, within_s: float = DEADLINE_S) -> None:
        """Returns when it has a message of this text."""
        async with asyncio.timeout(within_s), self.heard:
            while not any(one["messageContent"] == text for one in self.messages.values()):
                await self.heard.wait()

    @property
    def followed(self) -> Followed:
        """What it has, for the verdict."""
        return Followed(
            {name: msgspec.convert(one, Message) for name, one in self.messages.items()},
            {name: msgspec.convert(one, Conversation) for name, one in self.conversations.items()},
            [str(reason) for reason in self.resets[1:]],
            [f"a delta began at {theirs}, and not at {own}" for own, theirs in self.gaps],
        )
