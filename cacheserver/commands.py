"""What waits for a mailbox's lock: one command is one change that a caller asked for.

A command names the users whose rows it needs, the first being the one whose queue it waits in, and says how it is
decided on their plans. It holds the caller's future; whoever cancels that only stops waiting.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from rowbox.mailbox.message import Message
from rowbox.mailbox.plan import Fact, Marked, Need, NewSend, Plan, Sent

Answer: TypeAlias = Sent | Marked | int
CELL_BYTES = 600
"""What the cells of a command take in one row, without the message's text."""
PlanOf: TypeAlias = Callable[[str], Plan]
"""Gives the plan of a user's row in the batch that is being made; only for users that the command named."""


class Command(Protocol):
    """See the module's text."""

    users: Sequence[str]
    future: "asyncio.Future[Answer]"
    fact: Fact | None
    deadline: float
    size_bytes: int
    """About what it adds to a store call."""

    def decide(self, plan_of: PlanOf) -> Answer | Need:
        """Adds itself to the plans of its users. Raises, or returns a Need of its first user, and changed nothing."""
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

    def decide(self, plan_of: PlanOf) -> Answer | Need:
        """Sent."""
        answer = plan_of(self.new.sender_id).send(self.new, self.fact)
        if isinstance(answer, Sent) and answer.message is not None:
            for recipient in self.users[1:]:
                plan_of(recipient).deliver_new(answer.message)
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

    def decide(self, plan_of: PlanOf) -> Answer | Need:
        """The version."""
        return plan_of(self.users[0]).deliver(self.message, self.fact)


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

    def decide(self, plan_of: PlanOf) -> Answer | Need:
        """Marked."""
        return plan_of(self.users[0]).mark_read(self.conversation_id, self.message_id, self.fact)
