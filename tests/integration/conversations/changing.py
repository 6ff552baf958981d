"""Users who edit and take back what they sent, and react to what came, while servers come and go."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from rowbox.api.v1.responses import ChangeMessageResponse
from rowbox.mailbox.representation import Message
from tests.integration.conversations.changes import NOTHING, Change, ChangeHistory
from tests.integration.conversations.insisting import Insisting
from tests.integration.support.client import Refused
from tests.integration.support.history import SendRecord
from tests.integration.support.served import Served

_EDITED: Final = 0.1
"""Part of one's own messages."""
_UNSENT: Final = 0.3
"""Part of those that are changed; half of the time while an edit is on its way."""
_REACTED: Final = 0.15
"""Part of what comes."""
_EMOJI: Final = ("👍", "❤️", "😂", NOTHING)


class Changing:
    """The changes of one test. What a user does to one message he does one after the other."""

    def __init__(self, server: Served, way: Insisting, random: Random) -> None:
        self.history = ChangeHistory()
        self._server = server
        self._way = way
        self._random = random
        self._busy: set[tuple[str, str]] = set()
        """Users and messages."""

    async def change(self, record: SendRecord) -> None:
        """Now and then its author edits a message that was confirmed, or takes it back, or both at once."""
        if self._random.random() >= _EDITED or not self._begins(record.sender_id, record.message_id):
            return
        if self._random.random() >= _UNSENT:
            for _ in range(self._random.randint(1, 2)):
                await self._edit(record)
        else:
            async with asyncio.TaskGroup() as tasks:
                if self._random.random() < 0.5:
                    tasks.create_task(self._edit(record))
                tasks.create_task(self._unsend(record))
        self._busy.remove((record.sender_id, record.message_id))

    async def react(self, user_id: str, message: Message) -> None:
        """Now and then a user reacts to a message that came, and to some of them again."""
        if self._random.random() >= _REACTED or not self._begins(user_id, message.message_id):
            return
        client, where = self._server.client(user_id), (message.conversation_id, message.message_id)
        for emoji in self._random.sample(_EMOJI, self._random.randint(1, 2)):
            change = self.history.message(where[1]).begin_reaction(user_id, emoji)
            await self._ask(change, message.message_id, lambda emoji=emoji: client.react(*where, emoji))  # type: ignore[misc]
        self._busy.remove((user_id, message.message_id))

    def _begins(self, user_id: str, message_id: str) -> bool:
        """Whether the user does nothing to the message yet; from now on he does."""
        is_free = (user_id, message_id) not in self._busy
        self._busy.add((user_id, message_id))
        return is_free

    async def _edit(self, record: SendRecord) -> None:
        client, where = self._server.client(record.sender_id), (record.conversation_id, record.message_id)
        of = self.history.message(where[1])
        text = f"{record.content[:100]} edit {len(of.by_author)}"
        await self._ask(of.begin_text(text), record.message_id, lambda: client.edit(*where, text))

    async def _unsend(self, record: SendRecord) -> None:
        client, where = self._server.client(record.sender_id), (record.conversation_id, record.message_id)
        change = self.history.message(where[1]).begin_text(None)
        await self._ask(change, record.message_id, lambda: client.unsend(*where))

    async def _ask(self, change: Change, message_id: str, call: Callable[[], Awaitable[ChangeMessageResponse]]) -> None:
        try:
            answer = await self._way.insist(call, change)
        except Refused as refused:
            by_author = self.history.of[message_id].by_author
            if refused.problem.code != "message_unsent" or all(one.value is not None for one in by_author):
                self.history.wrong_answers.append(f"{change} of {message_id} was refused: {refused}")
        else:
            change.is_done = True
            if answer.message_id != message_id:
                self.history.wrong_answers.append(f"{change} of {message_id} was answered with {answer.message_id}")
