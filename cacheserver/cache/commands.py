"""Commands, which wait for a mailbox's lock. One command is one change that a caller asked for.

A command names the users whose rows it needs, and waits in the queue of the first one's row. Its `decide` adds the
change to the plans of these rows. A command holds the caller's future: a caller who cancels it only stops waiting.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import msgspec

from rowbox.cacheserver.budget import text_bytes
from rowbox.cacheserver.port import Routed
from rowbox.mailbox.account import blocks
from rowbox.mailbox.account.access_row import AccessRow, Revoked, SignOutDone
from rowbox.mailbox.account.account_row import AccountRow
from rowbox.mailbox.account.deeds import AccountChanged, AccountDeed, DeleteUser
from rowbox.mailbox.account.erasing import ErasingRow, erased_answer
from rowbox.mailbox.account.requests import may_be_added
from rowbox.mailbox.aggregate.changes import Changed, New, NewChange
from rowbox.mailbox.aggregate.needs import Fact, Need
from rowbox.mailbox.aggregate.plan import Marked, NewSend, Plan, Sent, Settled
from rowbox.mailbox.cells import BLOCK, PROFILE
from rowbox.mailbox.devices import Device
from rowbox.mailbox.errors import EventGap, RowboxError, UnknownUser
from rowbox.mailbox.group import is_group_name
from rowbox.mailbox.groups.group_row import GroupRow
from rowbox.mailbox.groups.member_row import take_event
from rowbox.mailbox.groups.message_row import Reacted
from rowbox.mailbox.groups.requests import GroupChanged, GroupReceipts, GroupSent, GroupView
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.profile import ErasureStep
from rowbox.mailbox.receipts import Receipt
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.ttls.ttl_row import NewTtl, TtlSet, set_ttl

CommandResult: TypeAlias = (
    Sent
    | Changed
    | Marked
    | Settled
    | Revoked
    | Device
    | SignOutDone
    | AccountChanged
    | TtlSet
    | GroupSent
    | GroupChanged
    | GroupView
    | GroupReceipts
    | Reacted
    | Message
    | int
    | None
)
"""What a command that was decided says to its caller; the int is a count: of a DeliverCommand, or of receipts.

A Message, or None: what a group's row says to a member's row that was put back (GroupRow.resumption); a Message: what
it says to the rows of those who join (GroupRow.with_earlier)."""
Judge: TypeAlias = Callable[[Bearer | None], None]
"""Raises TokenRevoked where memory says that a token is revoked: by its id, or by the row of its own user.

That row need not be one of the command's: an administrator may act for another user.
"""
CELL_BYTES = 600
"""What the cells of a command take in one row, in bytes, without the message's text."""
DEVICES_BYTES = 32_000
"""What a state of a user's devices takes at most."""


ACCOUNT_BYTES = 6_000
"""What a deed of an account takes at most beside a cell: a profile of the largest name, avatar and attributes."""


class Command(msgspec.Struct, eq=False, kw_only=True):
    """One change that a caller asked for. Each subclass is a kind of change: it sets `users` and `size_bytes`.

    Its methods run under the lock of its first user, without awaiting. It is a struct, because fields that are declared
    once are then set in C: a class with an `__init__` that calls this one's takes 140 ns more to make.
    """

    users: Sequence[str] = ()
    size_bytes: int = 0
    """About how many bytes the command takes in memory, and adds to a store call."""
    future: "asyncio.Future[CommandResult]"
    routed: Routed | None = None
    """Of a write that a router sent: what comes before it in its turn is decided before it, or neither is."""
    fact: Fact | None = None
    """What the store said to the command's Need; None before that is read, and where the command had no Need."""
    number: int = 0
    """The command's place in the order in which the pipeline was given commands, from 1."""
    store_calls: int = 0
    """Store calls made for this command so far, one after the other: the reads of its Needs, and its write.

    The loads of its rows are not among them.
    """

    def decide(self, plans: Sequence[Plan]) -> CommandResult | Need | RowboxError:
        """Adds this command to `plans`, the plans of its `users` in their order.

        Where it raises, or returns a Need (about the row of its first user), no plan has changed. An error that is
        returned is told as the result would be, once the plans are confirmed.
        """
        raise NotImplementedError


class SendCommand(Command, eq=False):
    """Sends a message, and delivers it to `recipients` in the same commit: their rows are then in the same batch."""

    new: NewSend
    recipients: Sequence[str]
    bearer: Bearer | None
    judge: Judge
    only_known: bool = False
    """Whether a conversation may be begun only with `recipients` who have a profile."""

    def __post_init__(self) -> None:
        self.users = (self.new.sender_id, *self.recipients)
        self.size_bytes = (CELL_BYTES + text_bytes(self.new.content)) * len(self.users)

    def decide(self, plans: Sequence[Plan]) -> CommandResult | Need:
        """Returns Sent, or a Need. Raises TokenRevoked, UnknownUser, BlockedByYou."""
        self.judge(self.bearer)
        plans[0].admit(self.bearer)
        may_begin = partial(_check_known, plans[1:]) if self.only_known else None
        is_checked = plans[0].has_any(BLOCK) and self.new.told is None
        may_send = partial(_check_not_blocked, plans[0], self.new.participants) if is_checked else None
        answer = plans[0].send(self.new, self.fact, may_begin, may_send)
        if isinstance(answer, Sent) and answer.message is not None:
            for recipient in plans[1:]:
                blocks.deliver_new(recipient, answer.message)
        return answer


def _check_known(plans: Sequence[Plan]) -> None:
    if any(plan.state(PROFILE) is None or plan.is_erased for plan in plans):
        raise UnknownUser("nobody has made the recipient known")


def _check_not_blocked(plan: Plan, users: Sequence[str]) -> None:
    for user_id in users:
        blocks.check_may_write(plan, user_id)


def _others_told(plan: Plan, new: New) -> Sequence[str]:
    """Whom a change says something to that they had not heard; nobody where something is taken back."""
    says = new.content if isinstance(new, NewChange) else new.emoji
    state = plan.conversation(new.conversation_id)
    return state.participants if says and state is not None else ()


class ChangeCommand(Command, eq=False):
    """Does what a user asks to be done to a message, and to its copies in the rows of `new.holders`, in one commit."""

    user_id: str
    new: New
    bearer: Bearer | None
    judge: Judge

    def __post_init__(self) -> None:
        self.users = (self.user_id, *self.new.holders)
        text = (self.new.content or "") if isinstance(self.new, NewChange) else self.new.emoji
        self.size_bytes = (CELL_BYTES + text_bytes(text)) * len(self.users)

    def decide(self, plans: Sequence[Plan]) -> CommandResult | Need:
        """Returns Changed, or a Need. Raises TokenRevoked, BlockedByYou."""
        self.judge(self.bearer)
        plan, new = plans[0], self.new
        plan.admit(self.bearer)
        if any(blocks.block_of(holder, self.user_id) is not None for holder in plans[1:]):
            new = new._replace(with_hidden=True)
        may = partial(_check_not_blocked, plan, _others_told(plan, new)) if plan.has_any(BLOCK) else None
        answer = plan.change(new, self.fact, may) if isinstance(new, NewChange) else plan.react(new, self.fact, may)
        if isinstance(answer, Changed) and answer.message is not None:
            hidden = answer.hidden or (None,) * len(answer.held)
            for holder, held, kept in zip(plans[1:], answer.held, hidden, strict=True):
                blocks.take_change(holder, answer.message, held, kept)
        return answer


class TtlCommand(Command, eq=False):
    """Sets a conversation's ttl in the row of a user, and in those of `new.holders` in the same commit."""

    user_id: str
    new: NewTtl
    bearer: Bearer | None
    judge: Judge

    def __post_init__(self) -> None:
        self.users = (self.user_id, *self.new.holders)
        self.size_bytes = CELL_BYTES * len(self.users)

    def decide(self, plans: Sequence[Plan]) -> CommandResult:
        """Returns TtlSet. Raises TokenRevoked, BlockedByYou, and what `set_ttl` does."""
        self.judge(self.bearer)
        plan = plans[0]
        plan.admit(self.bearer)
        state = plan.conversation(self.new.conversation_id)
        for other in state.participants if state is not None else ():
            blocks.check_may_write(plan, other)
        answer = set_ttl(plan, self.new)
        if answer.message is not None:
            for holder in plans[1:]:
                blocks.deliver(holder, answer.message)
        return answer


class DeliverCommand(Command, eq=False):
    """Delivers messages of other users to one user, what became of these, and what others set, in order.

    The result is how many of the messages, counted from the first, the mailbox has afterwards: all, or those before the
    first one whose delivery needs a read. So what is ready is written by one command and one mutation, and no message
    overtakes another. Where the first one is an event of a group, the result may be JoinDeclined.
    """

    user_id: str
    messages: Sequence[Message]

    def __post_init__(self) -> None:
        self.users = (self.user_id,)
        self.size_bytes = sum([CELL_BYTES + text_bytes(message.content) for message in self.messages])
        part = self.messages[0].group if self.messages else None
        if part is not None and (part.earlier or part.resumed is not None):
            copies = part.earlier or (part.resumed.copies if part.resumed is not None else ())
            self.size_bytes += sum([CELL_BYTES + text_bytes(copy.content) for copy in copies])

    def decide(self, plans: Sequence[Plan]) -> CommandResult | Need | RowboxError:
        """Returns the count, or the Need of the first message, for which nothing is planned then.

        Raises EventGap of the first one, for which nothing is planned either.
        """
        for done, message in enumerate(self.messages):
            outcome = self._deliver(plans[0], message, done)
            if not isinstance(outcome, int):
                return done or outcome
        return len(self.messages)

    def _deliver(self, plan: Plan, message: Message, done: int) -> int | Need | RowboxError:
        if message.group is None:
            return blocks.deliver(plan, message, self.fact)
        if plan.is_erased:
            return erased_answer(plan.user_id, message.group)
        try:
            return take_event(plan, message, self.fact, is_wanted=may_be_added(plan, message.sender_id))
        except EventGap as error:
            if not done:
                raise
            return error  # what stands before it counts


class GroupCommand(Command, eq=False):
    """Something that is asked of a group's row, as `do` adds it to the plan."""

    name: str
    do: Callable[[GroupRow, Fact | None], CommandResult | Need]
    content: str = ""

    def __post_init__(self) -> None:
        self.users = (self.name,)
        self.size_bytes = 2 * (CELL_BYTES + text_bytes(self.content))

    def decide(self, plans: Sequence[Plan]) -> CommandResult | Need:
        """Returns what `do` does, or its Need, and raises what it raises."""
        return self.do(GroupRow(plans[0]), self.fact)


class MarkReadCommand(Command, eq=False):
    """Moves the read mark of a conversation to a message."""

    user_id: str
    conversation_id: bytes
    message_id: bytes
    bearer: Bearer | None
    judge: Judge

    def __post_init__(self) -> None:
        self.users = (self.user_id,)
        self.size_bytes = CELL_BYTES

    def decide(self, plans: Sequence[Plan]) -> CommandResult | Need:
        """Returns Marked, or a Need. Raises TokenRevoked."""
        self.judge(self.bearer)
        plans[0].admit(self.bearer)
        return plans[0].mark_read(self.conversation_id, self.message_id, self.fact)


class AccountCommand(Command, eq=False):
    """Does something with a user's account."""

    user_id: str
    deed: AccountDeed
    bearer: Bearer | None
    judge: Judge

    def __post_init__(self) -> None:
        self.users = (self.user_id,)
        self.size_bytes = CELL_BYTES + ACCOUNT_BYTES

    def decide(self, plans: Sequence[Plan]) -> CommandResult:
        """Returns AccountChanged. Raises TokenRevoked, and what AccountRow does."""
        self.judge(self.bearer)
        plans[0].admit(self.bearer, also_erased=isinstance(self.deed, DeleteUser))
        return AccountRow(plans[0]).do(self.deed)


class EraseCommand(Command, eq=False):
    """Goes on with the erasure of a user, who is deleted: his row has come to `step`."""

    user_id: str
    step: ErasureStep

    def __post_init__(self) -> None:
        self.users = (self.user_id,)
        self.size_bytes = 2 * CELL_BYTES

    def decide(self, plans: Sequence[Plan]) -> CommandResult:
        """Returns AccountChanged. Raises UnknownUser where the user is not deleted."""
        return ErasingRow(plans[0]).enter(self.step)


class ReceiptsCommand(Command, eq=False):
    """Adds what readers of a user's messages, or a group's members, have and have read.

    The result is how many receipts were news.
    """

    user_id: str
    receipts: Sequence[Receipt]

    def __post_init__(self) -> None:
        self.users = (self.user_id,)
        self.size_bytes = CELL_BYTES * len(self.receipts)

    def decide(self, plans: Sequence[Plan]) -> CommandResult | Need:
        """Returns the count."""
        if is_group_name(self.user_id):
            return GroupRow(plans[0]).take_receipts(self.receipts)
        if plans[0].is_erased:
            return 0
        return sum([blocks.take_receipt(plans[0], receipt) > 0 for receipt in self.receipts])


class NoteToldCommand(Command, eq=False):
    """Notes which of a user's read marks the authors' rows have confirmed. The result is of how many that is news."""

    user_id: str
    told: Mapping[bytes, bytes]

    def __post_init__(self) -> None:
        self.users = (self.user_id,)
        self.size_bytes = CELL_BYTES * len(self.told)

    def decide(self, plans: Sequence[Plan]) -> CommandResult | Need:
        """Returns the count."""
        return 0 if plans[0].is_erased else plans[0].note_told(self.told)


class SettleCommand(Command, eq=False):
    """Settles conversations whose states may tell of messages that retention has taken (fetch/settling.py)."""

    user_id: str
    conversation_ids: Sequence[bytes]

    def __post_init__(self) -> None:
        self.users = (self.user_id,)
        self.size_bytes = CELL_BYTES * len(self.conversation_ids)

    def decide(self, plans: Sequence[Plan]) -> CommandResult | Need:
        """Returns Settled, or a Need."""
        return Settled(0) if plans[0].is_erased else plans[0].settle(self.conversation_ids, self.fact)


EMPTY_CELL_BYTES = 150


class SweepCommand(Command, eq=False):
    """Empties messages of a conversation that its user has deleted up to `floor`; `following` is where that goes on.

    Of each cell its messageId, epoch, version, first version, and end. The result is how many; None, and nothing is
    done, where it was deleted once more meanwhile.
    """

    user_id: str
    conversation_id: bytes
    floor: int
    cells: Sequence[tuple[bytes, int, int, int, int]]
    following: bytes

    def __post_init__(self) -> None:
        self.users = (self.user_id,)
        self.size_bytes = CELL_BYTES + EMPTY_CELL_BYTES * len(self.cells)

    def decide(self, plans: Sequence[Plan]) -> CommandResult | Need:
        """Returns the count, or None."""
        if plans[0].is_erased:
            return None
        return plans[0].sweep(self.conversation_id, self.floor, self.cells, self.following)


class DevicesCommand(Command, eq=False):
    """A change of a user's devices, as `do` adds it to the plan."""

    user_id: str
    do: Callable[[Plan], CommandResult]
    bearer: Bearer | None
    judge: Judge

    def __post_init__(self) -> None:
        self.users = (self.user_id,)
        self.size_bytes = 2 * DEVICES_BYTES

    def decide(self, plans: Sequence[Plan]) -> CommandResult | Need:
        """Returns what `do` does, and raises what it raises; TokenRevoked."""
        self.judge(self.bearer)
        plans[0].admit(self.bearer)
        return self.do(plans[0])


class PushCommand(Command, eq=False):
    """A change of what a user's devices have of pushes, which nobody asked for: as `do` adds it to the plan."""

    user_id: str
    do: Callable[[Plan], None]
    state_bytes: int = DEVICES_BYTES
    """What the state of the devices takes, as far as that is known: there is such a command for each user who is
    pushed, and at the most that it may take they would fill the queue of all writes."""

    def __post_init__(self) -> None:
        self.users = (self.user_id,)
        self.size_bytes = CELL_BYTES + 2 * self.state_bytes

    def decide(self, plans: Sequence[Plan]) -> CommandResult | Need:
        """Returns None."""
        if not plans[0].is_erased:
            self.do(plans[0])
        return None


class RevokeCommand(Command, eq=False):
    """Revokes all tokens of a user that were issued before the second `before_s` (mailbox/revocation.py)."""

    user_id: str
    before_s: int
    until_s: int

    def __post_init__(self) -> None:
        self.users = (self.user_id,)
        self.size_bytes = CELL_BYTES

    def decide(self, plans: Sequence[Plan]) -> CommandResult | Need:
        """Returns Revoked."""
        return AccessRow(plans[0]).revoke(self.before_s, self.until_s)
