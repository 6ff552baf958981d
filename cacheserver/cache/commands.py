"""What waits for a mailbox's lock: one command is one change that a caller asked for.

A command names the users whose rows it needs, the first being the one whose queue it waits in, and says how it is
decided on their plans. It holds the caller's future; whoever cancels that only stops waiting.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

from rowbox.cacheserver.budget import text_bytes
from rowbox.mailbox.aggregate.needs import Fact, Need
from rowbox.mailbox.aggregate.plan import Marked, NewSend, Plan, Revoked, Sent, Settled
from rowbox.mailbox.message import Message
from rowbox.mailbox.revocation import Bearer

CommandResult: TypeAlias = Sent | Marked | Settled | Revoked | int
"""What a command that was decided says to its caller; the int is the count of a DeliverCommand."""
Judge: TypeAlias = Callable[[Bearer | None], None]
"""Raises where a token is refused by what is in memory: its own user's row, which need not be a plan's, and its id."""
CELL_BYTES = 600
"""What the cells of a command take in one row, without the message's text."""


class Command(msgspec.Struct, eq=False, kw_only=True):
    """One change that a caller asked for. A kind of command adds what it is about, and sets `users` and `size_bytes`.

    Its methods run under the lock of its first user, without awaiting. It is a struct, because fields that are declared
    once are then set in C: a class with an `__init__` that calls this one's takes 140 ns more to make.
    """

    users: Sequence[str] = ()
    size_bytes: int = 0
    """About what it takes in memory, and adds to a store call."""
    future: "asyncio.Future[CommandResult]"
    fact: Fact | None = None
    """What it needed, once that is read."""
    number: int = 0
    """Which one it is, by arrival, of all that the pipeline was given."""
    store_calls: int = 0
    """Made for it so far, one after the other: reads of what it needed, and its write. Loads of rows are the rows'."""

    def decide(self, plans: Sequence[Plan]) -> CommandResult | Need:
        """Adds this command to `plans`, the plans of its `users` in their order.

        Where it raises, or returns a Need (of its first user), no plan has changed.
        """
        raise NotImplementedError


class SendCommand(Command, eq=False):
    """A send; with `recipients` (their rows then are of the same batch) it is delivered in the same commit."""

    new: NewSend
    recipients: Sequence[str]
    bearer: Bearer | None
    judge: Judge

    def __post_init__(self) -> None:
        self.users = (self.new.sender_id, *self.recipients)
        self.size_bytes = (CELL_BYTES + text_bytes(self.new.content)) * len(self.users)

    def decide(self, plans: Sequence[Plan]) -> CommandResult | Need:
        """Sent. TokenRevoked."""
        self.judge(self.bearer)
        plans[0].admit(self.bearer)
        answer = plans[0].send(self.new, self.fact)
        if isinstance(answer, Sent) and answer.message is not None:
            for recipient in plans[1:]:
                recipient.deliver_new(answer.message)
        return answer


class DeliverCommand(Command, eq=False):
    """Others' messages for one user, in order.

    The answer is how many of them, from the first, the mailbox has then: all, or those before the first one whose
    delivery needs a read. So one command, and one mutation, holds what is ready, and no message overtakes another.
    """

    user_id: str
    messages: Sequence[Message]

    def __post_init__(self) -> None:
        self.users = (self.user_id,)
        self.size_bytes = sum([CELL_BYTES + text_bytes(message.content) for message in self.messages])

    def decide(self, plans: Sequence[Plan]) -> CommandResult | Need:
        """The count; a Need of the first message's only, so that nothing of it is planned."""
        for done, message in enumerate(self.messages):
            outcome = plans[0].deliver(message, self.fact)
            if not isinstance(outcome, int):
                return done or outcome
        return len(self.messages)


class MarkReadCommand(Command, eq=False):
    """A read mark."""

    user_id: str
    conversation_id: bytes
    message_id: bytes
    bearer: Bearer | None
    judge: Judge

    def __post_init__(self) -> None:
        self.users = (self.user_id,)
        self.size_bytes = CELL_BYTES

    def decide(self, plans: Sequence[Plan]) -> CommandResult | Need:
        """Marked. TokenRevoked."""
        self.judge(self.bearer)
        plans[0].admit(self.bearer)
        return plans[0].mark_read(self.conversation_id, self.message_id, self.fact)


class SettleCommand(Command, eq=False):
    """Conversations that may tell of what retention has taken, to be settled (settling.py)."""

    user_id: str
    conversation_ids: Sequence[bytes]

    def __post_init__(self) -> None:
        self.users = (self.user_id,)
        self.size_bytes = CELL_BYTES * len(self.conversation_ids)

    def decide(self, plans: Sequence[Plan]) -> CommandResult | Need:
        """Settled."""
        return plans[0].settle(self.conversation_ids, self.fact)


class RevokeCommand(Command, eq=False):
    """All tokens of a user that were issued before a second are revoked (mailbox/revocation.py)."""

    user_id: str
    before_s: int
    until_s: int

    def __post_init__(self) -> None:
        self.users = (self.user_id,)
        self.size_bytes = CELL_BYTES

    def decide(self, plans: Sequence[Plan]) -> CommandResult | Need:
        """Revoked."""
        return plans[0].revoke(self.before_s, self.until_s)
