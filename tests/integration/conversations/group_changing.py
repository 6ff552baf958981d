"""Members of groups who edit and take back messages, and react to them, while servers come and go."""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from rowbox.api.v1.responses import ChangeMessageResponse
from rowbox.mailbox.representation import Message
from tests.integration.conversations.changes import NOTHING
from tests.integration.conversations.group_changes import GroupMessageChange
from tests.integration.conversations.group_history import OUT, GroupHistory, GroupSend
from tests.integration.conversations.insisting import Insisting
from tests.integration.support.client import Refused
from tests.integration.support.served import Served

_EDITED: Final = 0.2
"""Part of one's own messages that are changed."""
_UNSENT: Final = 0.3
"""Part of those."""
_REACTED: Final = 0.15
"""Part of what comes."""
_EMOJI: Final = ("👍", "❤️", "😂", NOTHING)
_LOOKS: Final = 0.3
_PAGE: Final = 200


class GroupChanging:
    """The changes of messages of all groups of one test. A user does to one message one thing after the other."""

    def __init__(self, server: Served, way: Insisting, random: Random) -> None:
        self._server = server
        self._way = way
        self._random = random
        self._busy: set[tuple[str, str]] = set()
        """Users and messages."""

    async def change(self, history: GroupHistory, send: GroupSend) -> None:
        """Now and then its author edits a message that was confirmed, up to twice, and may take it back behind that."""
        if self._random.random() >= _EDITED or not self._begins(send.user_id, send.message_id):
            return
        for _ in range(self._random.randint(0, 2)):
            await self._edit(history, send)
        if self._random.random() < _UNSENT:
            await self.unsend(history, send.user_id, send)
        self._busy.remove((send.user_id, send.message_id))

    async def unsend(self, history: GroupHistory, user_id: str, send: GroupSend) -> None:
        """A user takes back a message, his own or another's."""
        client, where = self._server.client(user_id), (history.conversation_id, send.message_id)
        change = history.begin_change(user_id, send.message_id, None)
        await self._ask(history, change, send.message_id, lambda: client.unsend(*where))

    async def react(self, history: GroupHistory, user_id: str, message: Message) -> None:
        """Now and then a user reacts to a message that came, and to some of them again."""
        if self._random.random() >= _REACTED or not self._begins(user_id, message.message_id):
            return
        client, where = self._server.client(user_id), (message.conversation_id, message.message_id)
        for emoji in self._random.sample(_EMOJI, self._random.randint(1, 2)):
            change = history.begin_reaction(user_id, message, emoji)
            await self._ask(history, change, message.message_id, lambda emoji=emoji: client.react(*where, emoji))  # type: ignore[misc]
        self._busy.remove((user_id, message.message_id))

    def _begins(self, user_id: str, message_id: str) -> bool:
        """Whether the user does nothing to the message yet; from now on he does."""
        is_free = (user_id, message_id) not in self._busy
        self._busy.add((user_id, message_id))
        return is_free

    async def _edit(self, history: GroupHistory, send: GroupSend) -> None:
        client, where = self._server.client(send.user_id), (history.conversation_id, send.message_id)
        text = f"{send.content[:60]} edit {len(history.changes_of(send.message_id).by_author)}"
        change = history.begin_change(send.user_id, send.message_id, text)
        await self._ask(history, change, send.message_id, lambda: client.edit(*where, text))
        if change.is_done and self._random.random() < _LOOKS:
            await self._look(history, send, text)

    async def _look(self, history: GroupHistory, send: GroupSend, text: str) -> None:
        """Does the author's newest page show what he has just changed his message to (P5)?"""
        client = self._server.client(send.user_id)
        query: dict[str, str | int | None] = {"conversation_id": history.conversation_id, "page_size": _PAGE}
        page = await self._way.insist(lambda: client.messages(**query))
        shown = [one for one in page.messages if one.message_id == send.message_id]
        if any(one.message_content != text and not one.unsent for one in shown):
            history.wrong_answers.append(f"{send} was edited to {text!r}, and its author's page has {shown}")

    async def _ask(
        self,
        history: GroupHistory,
        change: GroupMessageChange,
        message_id: str,
        call: Callable[[], Awaitable[ChangeMessageResponse]],
    ) -> None:
        try:
            answer = await self._way.insist(call, change)
        except Refused as refused:
            history.settle_change(change, is_done=False)
            if not _may_be_refused(history, change, message_id, refused.problem.code):
                history.wrong_answers.append(f"{change} of {message_id} was refused: {refused}")
        else:
            history.settle_change(change, is_done=True)
            if answer.message_id != message_id:
                history.wrong_answers.append(f"{change} of {message_id} was answered with {answer.message_id}")


def _may_be_refused(history: GroupHistory, change: GroupMessageChange, message_id: str, code: str) -> bool:
    """Whether a change may have to be refused with this code."""
    of = history.changes_of(message_id)
    if code == "message_unsent":
        return any(one.value is None for one in of.by_author)
    if code in {"not_the_author", "unknown_message"}:  # who is no admin any more, or has become one behind the message
        return change.value is None and change.user_id not in (of.author_id, history.steward)
    return code in OUT and (change.user_id != history.steward or history.may_have_ended)
