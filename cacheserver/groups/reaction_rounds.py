"""Reactions to one message of a group: those that come together are one event.

The first reaction to a message is decided at once. What comes within ROUND_S of that waits, and is decided together:
one write of the group's row and one of each member's, however many react. So a message to which all members react at
once costs a round or two. A reaction is answered when it is written, those that wait too: whoever asks finds his own in
his mailbox, and what nobody has written is asked for again.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from rowbox.mailbox.errors import HandoverInProgress, Overloaded
from rowbox.mailbox.groups.message_row import Reacted
from rowbox.mailbox.groups.requests import GroupChanged, MessageReaction
from rowbox.mailbox.timing.timer_queue import TimerQueue, step_of

ROUND_S: Final = 1.0
"""Between the beginnings of two rounds of one message."""
MOST_WAITING: Final = 512
"""Of one message."""

Key: TypeAlias = tuple[bytes, bytes]
"""conversationId and messageId."""
Decide: TypeAlias = Callable[[Sequence[MessageReaction]], "asyncio.Future[Reacted]"]
"""Decides reactions to one message together. It may raise by itself."""
_Waiting: TypeAlias = list[tuple[MessageReaction, "asyncio.Future[GroupChanged]"]]


class ReactionRounds:
    """The rounds of the messages of one owner's groups to which somebody has just reacted."""

    def __init__(self, decide: Decide) -> None:
        self._decide = decide
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[Key, _Waiting] = {}
        """By message whose last round is not long ago: who waits for the next one."""
        self._ends = TimerQueue[Key](self._loop, self._next, step_s=step_of(ROUND_S))

    def __len__(self) -> int:
        return len(self._waiting)

    async def react(self, asked: MessageReaction) -> GroupChanged:
        """Has a member react. What GroupRow.react refuses him for; Overloaded; what `decide` raises."""
        key = asked.conversation_id, asked.message_id
        future: asyncio.Future[GroupChanged] = self._loop.create_future()
        waiting = self._waiting.get(key)
        if waiting is None:
            self._begin(key, [(asked, future)])
        elif len(waiting) >= MOST_WAITING:
            raise Overloaded("too many members react to this message at once", retry_after_ms=int(1000 * ROUND_S))
        else:
            waiting.append((asked, future))
        return await future

    def close(self) -> None:
        """Ends the rounds: who waits is to ask again."""
        self._ends.close()
        for waiting in self._waiting.values():
            _fail(waiting, HandoverInProgress("the server is stopping", retry_after_ms=1000))
        self._waiting.clear()

    def _next(self, key: Key) -> None:
        waiting = [one for one in self._waiting.pop(key) if not one[1].done()]
        if waiting:
            self._begin(key, waiting)

    def _begin(self, key: Key, asking: _Waiting) -> None:
        self._waiting[key] = []
        self._ends.add(key, ROUND_S)
        try:
            deciding = self._decide([asked for asked, _ in asking])
        except Exception as error:  # noqa: BLE001 - all who ask are told, as of one that comes later
            _fail(asking, error)
        else:
            deciding.add_done_callback(lambda decided: _tell(asking, decided))


def _tell(asking: _Waiting, decided: "asyncio.Future[Reacted]") -> None:
    if decided.cancelled():
        return  # the loop is ending
    error = decided.exception()
    if error is not None:
        _fail(asking, error)
        return
    for (_, future), answer in zip(asking, decided.result().answers, strict=True):
        if future.done():
            continue
        if isinstance(answer, GroupChanged):
            future.set_result(answer)
        else:
            future.set_exception(answer)


def _fail(asking: _Waiting, error: BaseException) -> None:
    for _, future in asking:
        if not future.done():
            future.set_exception(error)
