"""What waits for a mailbox's lock: one command is one change that a caller asked for.

A command names the users whose rows it needs, the first being the one whose queue it waits in, and says how it is
decided on their plans. It holds the caller's future; whoever cancels that only stops waiting.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol, TypeAlias

from rowbox.mailbox.message import Message
from rowbox.mailbox.plan import Fact, Marked, Need, NewSend, Plan, Sent

Answer: TypeAlias = Sent | Marked | int
CELL_BYTES = 600
"""What the cells of a command take in one row, without the message's text."""


class Command(Protocol):
    """See the module's text."""

    users: Sequence[str]
    future: "asyncio.Future[Answer]"
    fact: Fact | None
    deadline: float
    size_bytes: int
    """About what it adds to a store call."""

    def decide(self, plans: Sequence[Plan]) -> Answer | Need:
        """Adds itself to `plans`, those of its `users`. Raises, or returns a Need of the first, and changed nothing."""
        ...


class SendCommand:
    """A send; with `recipients` (their rows then are of the same batch) it is delivered in the same commit."""

    __slots__ = ("deadline", "fact", "future", "new", "size_bytes", "users")

    def __init__(self, new: NewSend, recipients: Sequence[str], future: "asyncio.Future[Answer]") -> None:
        self.new = new
        self.users: Sequence[str] = (new.sender_id, *recipients)
        self.future = future
        self.fact: Fact | None = None
        self.deadline = 0.0
        self.size_bytes = (CELL_BYTES + len(new.content)) * len(self.users)

    def decide(self, plans: Sequence[Plan]) -> Answer | Need:
        """Sent."""
        answer = plans[0].send(self.new, self.fact)
        if isinstance(answer, Sent) and answer.message is not None:
            for recipient in plans[1:]:
                recipient.deliver_new(answer.message)
        return answer


class DeliverCommand:
    """Someone else's message for one user. The answer is the version it got there, 0 where it was there already."""

    __slots__ = ("deadline", "fact", "future", "message", "size_bytes", "users")

    def __init__(self, user_id: str, message: Message, future: "asyncio.Future[Answer]") -> None:
        self.users: Sequence[str] = (user_id,)
        self.message = message
        self.future = future
        self.fact: Fact | None = None
        self.deadline = 0.0
        self.size_bytes = CELL_BYTES + len(message.content)

    def decide(self, plans: Sequence[Plan]) -> Answer | Need:
        """The version."""
        return plans[0].deliver(self.message, self.fact)


class MarkReadCommand:
    """A read mark."""

    __slots__ = ("conversation_id", "deadline", "fact", "future", "message_id", "size_bytes", "users")

    def __init__(
        self, user_id: str, conversation_id: bytes, message_id: bytes, future: "asyncio.Future[Answer]"
    ) -> None:
        self.users: Sequence[str] = (user_id,)
        self.conversation_id = conversation_id
        self.message_id = message_id
        self.future = future
        self.fact: Fact | None = None
        self.deadline = 0.0
        self.size_bytes = CELL_BYTES

    def decide(self, plans: Sequence[Plan]) -> Answer | Need:
        """Marked."""
        return plans[0].mark_read(self.conversation_id, self.message_id, self.fact)
