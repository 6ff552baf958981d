"""Answers who has got and read a message: from the marks in its author's row, which readers' owners have told it.

What members of a group have is in the group's row, which is asked then.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from rowbox.cacheserver.access.revocations import Revocations
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.clocks import NowUs
from rowbox.cacheserver.port import MAX_GROUP_RECEIPTS, FetchReceipts, MessageReceipts, ReceiptsResult
from rowbox.cacheserver.rate_limit import RateLimits
from rowbox.cacheserver.rows.row_reader import RowReader
from rowbox.cacheserver.rows.view import View
from rowbox.mailbox.errors import BadRequest, HandoverInProgress, NotTheAuthor, UnknownConversation, UnknownMessage
from rowbox.mailbox.groups.requests import GroupReceipts
from rowbox.mailbox.ids import is_quiet
from rowbox.mailbox.receipts import NO_MARKS, MemberReceipt, ReceiptMarks, seen_in

AskGroup = Callable[[FetchReceipts], Awaitable[GroupReceipts]]
"""Asks a group's row."""


class ReceiptReads:
    """Answers FetchReceipts of one owner's users."""

    def __init__(
        self,
        table: Table,
        reader: RowReader,
        revocations: Revocations,
        seen_us: NowUs,
        limits: RateLimits,
        ask_group: AskGroup,
    ) -> None:
        self._table = table
        self._reader = reader
        self._revocations = revocations
        self._seen_us = seen_us
        self._limits = limits
        self._ask_group = ask_group

    async def receipts(self, request: FetchReceipts) -> ReceiptsResult:
        """See MailboxPort. A message that memory does not hold costs a read, and counts as another fetch."""
        user_id, bearer = request.user_id, request.bearer
        if bearer is not None and not self._revocations.is_admitted(user_id, bearer):
            await self._revocations.admit_other(bearer)
        quota = self._limits.take("fetch", user_id)
        grant = self._table.admitted(user_id).grant
        row, mailbox = await self._table.loaded(user_id)
        self._revocations.check(mailbox, bearer)
        view = View(row.key, mailbox, self._seen_us())
        reads = 0
        try:
            async for cost in self._check_authors(view, request):
                reads += cost
        except HandoverInProgress:
            self._table.drop_replaced(row, mailbox)
            raise
        finally:
            quota = self._limits.charge("fetch", user_id, reads, quota)
        state = mailbox.index.get(request.conversation_id)
        assert state is not None
        if state.group is not None:
            group = await self._ask_group(request)
            self._revocations.check_again(bearer)
            grant.check()
            of_each = zip(request.message_ids, group.of_messages, strict=True)
            return ReceiptsResult(tuple(MessageReceipts(*one) for one in of_each), group.as_of, quota)
        self._revocations.check_again(bearer)
        grant.check()
        other = state.other_of(user_id)
        marks = mailbox.receipts.get(request.conversation_id, NO_MARKS)
        told = tuple(MessageReceipts(one, _members(one, other, marks)) for one in request.message_ids)
        return ReceiptsResult(told, marks.shown, quota)

    async def _check_authors(self, view: View, request: FetchReceipts) -> AsyncIterator[int]:
        """For each message how many reads it took. UnknownConversation, UnknownMessage, NotTheAuthor, BadRequest."""
        state = view.mailbox.index.get(request.conversation_id)
        if state is None:
            raise UnknownConversation("no such conversation")
        is_in_group = state.group is not None
        if is_in_group and len(request.message_ids) > MAX_GROUP_RECEIPTS:
            raise BadRequest(f"messageIds of a group are 1 to {MAX_GROUP_RECEIPTS}")
        for message_id in request.message_ids:
            yield await self._check_author(view, request.conversation_id, message_id, is_in_group=is_in_group)

    async def _check_author(self, view: View, conversation_id: bytes, message_id: bytes, *, is_in_group: bool) -> int:
        """How many reads it took. UnknownMessage, NotTheAuthor."""
        window = view.mailbox.window(conversation_id, view.now_us)
        copy = window.get(message_id) if window is not None else None
        if copy is not None:
            sender_id, reads = _sender_of(copy.json).sender_id, 0
        else:
            is_whole = window is not None and window.covers(message_id)
            cell = None if is_whole else await self._reader.message(view, conversation_id, message_id)
            if cell is None or cell.came <= view.floors.get(conversation_id, 0):
                raise UnknownMessage("no such message in this conversation")
            sender_id, reads = cell.sender_id, 1
        if sender_id != view.mailbox.user_id or (is_in_group and is_quiet(message_id)):
            raise NotTheAuthor("somebody else wrote this message, or nobody")
        return reads


class _Shown(msgspec.Struct, rename="camel"):
    sender_id: str


_sender_of = msgspec.json.Decoder(_Shown).decode


def _members(message_id: bytes, other: str | None, marks: ReceiptMarks) -> tuple[MemberReceipt, ...]:
    """What is known of the other one. When he read is known of the newest that he has read: a mark forgets the rest."""
    if other is None:
        return ()
    seen = seen_in(marks)
    is_newest = message_id == seen.read
    return (
        MemberReceipt(other, message_id <= seen.delivered, message_id <= seen.read, seen.read_us if is_newest else 0),
    )
