"""The groups whose rows one owner has: what is asked of them, each request one command of the row.

A group's row is a row as a user's: loaded, claimed and written by the same pipeline. Its outbox is delivered from by
the same delivery, which has a parcel for each event, for all its recipients.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Final, cast

from msgspec.structs import replace

from rowbox.cacheserver.budget import text_bytes
from rowbox.cacheserver.cache.commands import CELL_BYTES, Command, CommandResult, GroupCommand
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.delivery.delivery import Delivery
from rowbox.cacheserver.groups.forgetting import Forgetting
from rowbox.cacheserver.groups.reaction_rounds import ReactionRounds
from rowbox.cacheserver.ownership import is_held
from rowbox.cacheserver.rate_limit import RateLimits
from rowbox.mailbox.aggregate.needs import Fact, Need
from rowbox.mailbox.cells import OutboxCell
from rowbox.mailbox.errors import Overloaded
from rowbox.mailbox.group import group_name
from rowbox.mailbox.groups.group_row import GroupRow
from rowbox.mailbox.groups.message_row import Reacted, Windows
from rowbox.mailbox.groups.requests import (
    Deed,
    Gone,
    GroupAnswer,
    GroupChange,
    GroupChanged,
    GroupReceipts,
    GroupRequest,
    GroupSend,
    GroupSent,
    GroupView,
    Leave,
    MessageChange,
    MessageReaction,
    NewGroup,
    Remove,
    ViewGroup,
    ViewReceipts,
)
from rowbox.mailbox.message import Message

MOST_BACKLOG: Final = 1_000
"""Events of one group on their way. More are refused before they are written, so that its senders wait and nobody else.
"""

MOST_CHARGED: Final = 1_000
"""Joins that are remembered as charged."""


class GroupRows:
    """The groups of one owner. See GroupPort."""

    def __init__(
        self,
        table: Table,
        submit: Callable[[Command], None],
        delivery: Delivery,
        limits: RateLimits,
        random: Random,
        windows: Windows,
        forgetting: Forgetting,
    ) -> None:
        self._table = table
        self._submit = submit
        self._delivery = delivery
        self._limits = limits
        self._random = random
        self._windows = windows
        self.forgetting = forgetting
        self._loop = asyncio.get_running_loop()
        self.reactions = ReactionRounds(self._react)
        self._giving: dict[bytes, asyncio.Future[CommandResult]] = {}
        """By event: what is being read for those who join by it."""
        self._charged: OrderedDict[bytes, None] = OrderedDict()
        """Events of which what they give was charged: it is read again for a joiner who could not be reached."""

    async def ask(self, asked: GroupRequest) -> GroupAnswer:
        """Does what is asked, and waits for the members' rows as a send does. RateLimited, Overloaded."""
        name = group_name(asked.conversation_id)
        match asked:
            case GroupSend():
                admit, grant = partial(self._admit_send, name), self._table.grant_of(name)
                sent = await self._do(name, lambda row, fact: row.send(asked, fact, admit), asked.content)
                assert isinstance(sent, GroupSent)
                if not sent.duplicate:
                    self.forgetting.written(name)
                pending = await self._delivery.wait(name, sent.message_id)
                if not pending and not is_held(grant):
                    pending = 1  # it is in the store, and nobody here knows any more who has it
                return replace(sent, pending=pending)
            case NewGroup():
                return await self._changed(name, lambda row, _: row.create(asked))
            case GroupChange():
                may = partial(self._admit_change, name, asked.deed)
                return await self._changed(name, lambda row, _: row.change(asked, may))
            case MessageChange():
                admit = partial(self._admit_send, name)
                return await self._changed(
                    name,
                    lambda row, fact: row.messages.change_message(asked, self._windows, fact, admit),
                    asked.content or "",
                )
            case MessageReaction():
                return await self._told(name, await self.reactions.react(asked))
            case ViewGroup():
                view = await self._do(name, lambda row, _: row.view(asked.user_id))
                assert isinstance(view, GroupView)
                return view
            case ViewReceipts():
                receipts = await self._do(name, lambda row, _: row.receipts(asked))
                assert isinstance(receipts, GroupReceipts)
                return receipts
            case Gone():
                gone = await self._do(name, lambda row, _: row.remove_gone(asked.user_id, asked.entropy))
                assert isinstance(gone, GroupChanged)
                return gone

    def settle_declined(self, cell: OutboxCell, user_id: str, joined: int) -> "asyncio.Future[CommandResult]":
        """Removes a member whose row has declined his join of that version, if he is in by it. See Delivery."""
        entropy = self._random.getrandbits(62)
        name = group_name(cell.message.conversation_id)
        return self._begin(name, lambda row, _: row.remove_declined(user_id, joined, entropy))

    def resumption(self, cell: OutboxCell, user_id: str) -> "asyncio.Future[CommandResult]":
        """What is said to a member's row that lacks what stands before an event: a Message, or None. See Delivery."""
        event = cell.message.group
        assert event is not None
        return self._begin(
            group_name(cell.message.conversation_id), lambda row, fact: row.resumption(user_id, event.prev, fact)
        )

    def with_earlier(self, cell: OutboxCell) -> "asyncio.Future[CommandResult]":
        """An event by which users join, with what they are given of before it: a Message. See Delivery.

        All who join by it wait for one read, so that they get the same object, which goes to each other owner once.
        """
        event = cell.message
        said = self._giving.get(event.message_id)
        if said is None:
            name = group_name(event.conversation_id)
            said = self._giving[event.message_id] = self._begin(name, lambda row, fact: row.with_earlier(event, fact))
            said.add_done_callback(partial(self._given, name, event.message_id))
        return said

    def _given(self, name: str, event_id: bytes, said: "asyncio.Future[CommandResult]") -> None:
        """What users are given is a part of what the group's members' rows write: its next messages wait for that.

        Once for all who join by an event, however often it has to be brought: who cannot be reached does not stop his
        groups.
        """
        del self._giving[event_id]
        if said.cancelled() or said.exception() is not None or event_id in self._charged:
            return
        self._charged[event_id] = None
        if len(self._charged) > MOST_CHARGED:
            self._charged.popitem(last=False)
        message = said.result()
        assert isinstance(message, Message)
        part = message.group
        assert part is not None
        given = sum([CELL_BYTES + text_bytes(copy.content) for copy in part.earlier])
        joining = sum([join.given_since > 0 for join in part.joins.values()])
        self._limits.charge("fan_out", name, given * joining, None)

    def _admit_send(self, name: str, members: int, text_bytes: int) -> None:
        """Refuses an event by which each member's row writes such a text, where that is more than the group may ask
        for.
        """
        self._admit_event(name)
        self._limits.take("fan_out", name, members * (CELL_BYTES + text_bytes))

    def _admit_change(self, name: str, deed: Deed, _members: int, _text_bytes: int) -> None:
        """Refuses a change that would be more than the group may ask for.

        Whoever is in leaves when he wants to. And by what the others are left, who uses up what they have is removed.
        """
        if isinstance(deed, Leave):
            return
        if isinstance(deed, Remove):
            self._limits.take("change", name)
            return
        self._admit_event(name)
        self._limits.take_half("change", name)

    def _admit_event(self, name: str) -> None:
        if self._delivery.backlog(name) >= MOST_BACKLOG or self._delivery.refuses(name):
            raise Overloaded("too many messages of this group are on their way", retry_after_ms=1000)

    def _react(self, asked: Sequence[MessageReaction]) -> "asyncio.Future[Reacted]":
        name = group_name(asked[0].conversation_id)
        admit = partial(self._admit_send, name)
        decided = self._begin(name, lambda row, fact: row.messages.react(asked, self._windows, fact, admit))
        return cast("asyncio.Future[Reacted]", decided)

    async def _changed(
        self, name: str, do: Callable[[GroupRow, Fact | None], CommandResult | Need], content: str = ""
    ) -> GroupChanged:
        changed = await self._do(name, do, content)
        assert isinstance(changed, GroupChanged)
        return await self._told(name, changed)

    async def _told(self, name: str, changed: GroupChanged) -> GroupChanged:
        """What was changed, once the members have been told of it, or the wait for that is over."""
        if not changed.event_id:
            return changed
        return replace(changed, pending=await self._delivery.wait(name, changed.event_id))

    async def _do(
        self, name: str, do: Callable[[GroupRow, Fact | None], CommandResult | Need], content: str = ""
    ) -> CommandResult:
        return await self._begin(name, do, content)

    def _begin(
        self, name: str, do: Callable[[GroupRow, Fact | None], CommandResult | Need], content: str = ""
    ) -> "asyncio.Future[CommandResult]":
        future: asyncio.Future[CommandResult] = self._loop.create_future()
        self._submit(GroupCommand(name, do, content, future=future))
        return future
