"""Looks up each copy of a message where it should be: in the rows of all participants, and in its sender's. So the
user's own reactions to it, which all of these should have.
"""

from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from rowbox.cacheserver.check.row_cells import RowCells
from rowbox.cacheserver.check.user_lookup import is_erased_in
from rowbox.cacheserver.stores.port import StoreReader
from rowbox.hbase_schema.keys import row_key
from rowbox.mailbox.cells import OWN, MessageCell
from rowbox.mailbox.check.fence_check import FenceCheck
from rowbox.mailbox.check.findings import Code, Finding, Report
from rowbox.mailbox.check.horizon import Horizon
from rowbox.mailbox.check.invariants import RowCheck, RowFrame
from rowbox.mailbox.conversation import Conversation
from rowbox.mailbox.ids import hidden_conversation_id, sent_timestamp
from rowbox.mailbox.message import Message
from rowbox.mailbox.people.own_settings import NOTHING_SET
from rowbox.mailbox.reactions import reaction_of

MOST_REMEMBERED: Final = 10_000
"""Users of whom it is remembered whether they are deleted."""


class CopyCheck:
    """Looks up copies of the conversations for which `is_looked_at` is true.

    `before_us`: messages that were sent at that time or later are left out, because they may be on their way; None:
    nobody writes to the store meanwhile. The same goes for what was changed. `lookups` counts the rows in which a copy
    was looked for, and `on_missing(user_id, message)` hears of each user who has no copy of a message, or not its last
    change, or not a reaction to it.
    """

    def __init__(
        self,
        store: StoreReader,
        cells: RowCells,
        is_looked_at: Callable[[bytes], bool],
        before_us: int | None,
        on_missing: Callable[[str, Message], None] = lambda _user_id, _message: None,
    ) -> None:
        self._store = store
        self._cells = cells
        self._is_looked_at = is_looked_at
        self._before_us = before_us
        self._on_missing = on_missing
        self._erased: dict[str, bool] = {}
        """Whether users are deleted, of those who were asked about last."""
        self.lookups = 0

    async def findings(self, user_id: str, row: bytes, frame: RowFrame, horizon: Horizon) -> AsyncIterator[Finding]:
        """Yields what is wrong with copies of messages that the user sent, and with the user's copies of others'."""
        check = RowCheck(user_id, frame, horizon, fenced=self._store.late_writes)
        on_their_way = {cell.message.message_id for cell in check.outbox}
        report = Report(user_id)
        async for cells in self._cells.messages(row):
            counted = check.message(*cells)
            if counted is None or not self._is_looked_at(counted.cell.conversation_id):
                continue
            message, state, is_hidden = counted
            if state.group is not None or is_hidden:
                continue  # of groups group_check.py has all there is to say; what is hidden its author's row looks for
            if not self._is_judged(message, horizon):
                continue
            is_on_its_way = message.message_id in on_their_way
            if message.sender_id != user_id and not await self._is_erased(message.sender_id):
                copy = await self._check_sender(message, report)
                if not is_on_its_way:
                    self._check_reaction(user_id, message.sender_id, message, copy, state, report)
            elif message.sender_id == user_id and not is_on_its_way:
                for holder in state.participants:
                    if holder != user_id and not await self._is_erased(holder):
                        copy = await self._check_holder(holder, message, state.participants, report)
                        self._check_reaction(user_id, holder, message, copy, state, report)
        for finding in report.findings:
            yield finding

    async def _is_erased(self, user_id: str) -> bool:
        """Whether a user is deleted: his row need not have anything."""
        known = self._erased.get(user_id)
        if known is None:
            if len(self._erased) >= MOST_REMEMBERED:
                self._erased.clear()
            known = self._erased[user_id] = await is_erased_in(self._store, user_id)
        return known

    def _is_judged(self, message: MessageCell, horizon: Horizon) -> bool:
        sent_us = sent_timestamp(message.message_id)
        newest_us = max([sent_us, _changed_at(message), *(one.version for one in message.reactions)])
        may_be_gone = horizon.may_be_gone(sent_us, message.expires_us)
        return not may_be_gone and (self._before_us is None or newest_us < self._before_us)

    async def _check_sender(self, message: MessageCell, report: Report) -> MessageCell | None:
        copy = await self._copy(message.sender_id, message)
        if copy is not None and _changed_at(copy) < _changed_at(message):
            text = f"message {message.message_id.hex()} has a change that {message.sender_id} did not make"
            report(Code.COPY_DIFFERS, text)
        if copy is None:
            text = f"message {message.message_id.hex()} of {message.sender_id} is not in that user's row"
            report(Code.COPY_UNSENT, text)
        return copy

    async def _check_holder(
        self, holder: str, message: MessageCell, participants: tuple[str, ...], report: Report
    ) -> MessageCell | None:
        copy = await self._copy(holder, message)
        if copy is None or _changed_at(copy) < _changed_at(message):
            told = message.message_id, message.conversation_id, message.sender_id, participants, message.content
            sent = Message(*told, message.change, expires_us=message.expires_us, told=message.told)
            self._on_missing(holder, sent)
        if copy is None:
            report(Code.COPY_MISSING, f"{holder} has no copy of message {message.message_id.hex()}")
        elif _changed_at(copy) < _changed_at(message):
            report(
                Code.COPY_DIFFERS, f"{holder} has message {message.message_id.hex()} as it was before its last change"
            )
        elif _changed_at(copy) > _changed_at(message):
            pass  # its author has changed it again since this row was read
        elif (copy.sender_id, copy.content) != (message.sender_id, message.content):
            report(Code.COPY_DIFFERS, f"{holder} has message {message.message_id.hex()} with another text or sender")
        if copy is not None and copy.expires_us != message.expires_us:
            report(Code.ENDS, f"{holder} has message {message.message_id.hex()} with another end")
        return copy

    def _check_reaction(
        self,
        user_id: str,
        other: str,
        message: MessageCell,
        copy: MessageCell | None,
        state: Conversation,
        report: Report,
    ) -> None:
        """Whether the copy of `other` has the reaction of the user, and the user's copy none that `other` did not do.

        What was taken back in one of both rows has none there.
        """
        if copy is None or copy.is_unsent or message.is_unsent:
            return
        name = message.message_id.hex()
        own, known = reaction_of(message.reactions, user_id), reaction_of(copy.reactions, user_id)
        if own is not None and (known is None or known.version < own.version):
            told = message.message_id, message.conversation_id, user_id, state.participants, ""
            self._on_missing(other, Message(*told, None, own))
            report(Code.COPY_DIFFERS, f"{other} has message {name} without the last reaction of {user_id}")
        elif own is not None and known is not None and known.version == own.version and known.emoji != own.emoji:
            report(Code.COPY_DIFFERS, f"{other} has message {name} with another reaction of {user_id}")
        theirs, done = reaction_of(message.reactions, other), reaction_of(copy.reactions, other)
        if theirs is not None and (done is None or done.version < theirs.version):
            report(Code.COPY_DIFFERS, f"message {name} has a reaction of {other} that {other} did not do")

    async def _copy(self, user_id: str, message: MessageCell) -> MessageCell | None:
        """The cell of a message that counts in a user's row; None where there is none.

        Where that is not as `message` is, it may be hidden there, or what was done to it: then the cell is what both
        say together.
        """
        self.lookups += 1
        shown = await self._counted(user_id, message.conversation_id, message.message_id)
        if shown is not None and not _differs(shown, message):
            return shown
        if shown is not None and shown.came <= await self._floor(user_id, message):
            return message  # he has deleted it, and hears nothing of it any more: there is nothing to compare
        hidden = await self._counted(user_id, hidden_conversation_id(message.conversation_id), message.message_id)
        return _together(shown, hidden)

    async def _counted(self, user_id: str, conversation_id: bytes, message_id: bytes) -> MessageCell | None:
        row = row_key(user_id, self._store.shards)
        copies = await self._cells.copies(row, conversation_id, message_id)
        if copies and self._store.late_writes:
            fence = FenceCheck(await self._cells.fences(row), Report(user_id), fenced=True)
            copies = [copy for copy in copies if fence.counts(copy.epoch, copy.version)]
        return max(copies, key=lambda one: one.version, default=None)

    async def _floor(self, user_id: str, message: MessageCell) -> int:
        """Up to which version a user has deleted the conversation of a message. Reads his whole index."""
        frame = await self._cells.frame(row_key(user_id, self._store.shards))
        fence = FenceCheck(frame.fences, Report(user_id), fenced=self._store.late_writes)
        floor: int = fence.states(frame.states)[OWN.letter].get(message.conversation_id, NOTHING_SET).floor
        return floor


def _differs(one: MessageCell, other: MessageCell) -> bool:
    """Whether two copies say different things."""
    return (one.sender_id, one.content, one.change, one.reactions) != (
        other.sender_id,
        other.content,
        other.change,
        other.reactions,
    )


def _together(shown: MessageCell | None, hidden: MessageCell | None) -> MessageCell | None:
    """What two cells of a message say together: its last change, and of each user the last reaction."""
    if shown is None or hidden is None:
        return shown or hidden
    reactions = {one.user_id: one for one in sorted((*shown.reactions, *hidden.reactions), key=lambda one: one.version)}
    newest = max(shown, hidden, key=_changed_at)
    return msgspec.structs.replace(newest, reactions=tuple(reactions.values()))


def _changed_at(cell: MessageCell) -> int:
    """The author's version of the last change of a copy; 0: it is as it was sent."""
    return cell.change.version if cell.change is not None else 0
