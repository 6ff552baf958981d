"""Users report messages of others: each becomes a message to whoever takes reports, with the text as it was.

It is a message like any other, with copies in both mailboxes, so the outbox brings it and the check counts it. What it
is of stands in a field that nobody can write but this (Told.report), and nobody changes it. Its clientMessageId is made
of what is reported and why: the same report again, however late its first answer, is the same message.

The text is read in the mailbox of whoever reports, so it is what he was shown, and nobody can make it up.
"""

from collections.abc import Awaitable, Callable
from hashlib import blake2b
from random import Random
from typing import Final

from rowbox.cacheserver.access.revocations import Revocations
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.clocks import NowUs
from rowbox.cacheserver.port import Report, ReportResult, Routed
from rowbox.cacheserver.rows.row_reader import RowReader
from rowbox.cacheserver.rows.view import View
from rowbox.mailbox.aggregate.needs import HeldMessages, NewestNeed
from rowbox.mailbox.aggregate.plan import NewSend, Sent
from rowbox.mailbox.cells import DedupeCell, MessageCell
from rowbox.mailbox.errors import (
    BadRequest,
    ClientMessageIdReused,
    HandoverInProgress,
    NotTheAuthor,
    ReportsOff,
    UnknownConversation,
    UnknownMessage,
)
from rowbox.mailbox.group import Told
from rowbox.mailbox.ids import client_id_hash, direct_conversation_id, length_prefixed, payload_hash
from rowbox.mailbox.people.report import MOST_REPORTED, Reported
from rowbox.mailbox.revocation import Bearer

LOOKED_AT: Final = 100
LOOKED_AT_BYTES: Final = 1 << 20
"""Of a conversation that is reported as a whole so many of the newest messages are looked at, and so much text."""
_HIGHEST_ID: Final = b"\xff" * 16

SendReport = Callable[[NewSend, Bearer | None, Routed | None], Awaitable[Sent]]
"""Sends a message. Raises what a send raises."""


class Reports:
    """Takes what users of one owner report. `send` sends a message of one of them."""

    def __init__(
        self,
        moderator_id: str,
        table: Table,
        reader: RowReader,
        revocations: Revocations,
        seen_us: NowUs,
        send: SendReport,
        random: Random,
    ) -> None:
        """`moderator_id`: who takes reports; "": nobody does."""
        self._moderator_id = moderator_id
        self._table = table
        self._reader = reader
        self._revocations = revocations
        self._seen_us = seen_us
        self._send = send
        self._random = random

    async def report(self, request: Report) -> ReportResult:
        """See MailboxPort. Messages are reported one after the other: where an error cuts off, the next try goes on."""
        if not self._moderator_id:
            raise ReportsOff("this server names nobody who takes reports (moderation.user)")
        user_id = request.user_id
        if user_id == self._moderator_id:
            raise BadRequest("whoever takes reports cannot make one")
        place = direct_conversation_id(user_id, self._moderator_id)
        grant = self._table.admitted(user_id).grant
        made: list[bytes] = []
        is_duplicate = True
        for message_id in request.message_ids or await self._newest(request):
            told = await self._report(request, place, message_id)
            is_duplicate &= told[1]
            made.append(told[0])
        grant.check()
        return ReportResult(place, tuple(made), is_duplicate)

    async def _report(self, request: Report, place: bytes, message_id: bytes) -> tuple[bytes, bool]:
        """The report of one message, and whether it was made before."""
        client_id = _client_id(request, message_id)
        known = await self._known(request, client_id)
        if known is not None:
            return known.message_id, True
        cell = await self._message(request, message_id)
        try:
            sent = await self._send(self._new(request, place, cell, client_id), request.bearer, request.routed)
        except ClientMessageIdReused:  # another try was faster, and the text was another one then
            known = await self._known(request, client_id)
            if known is None:
                raise
            return known.message_id, True
        return sent.record.message_id, sent.is_duplicate

    def _new(self, request: Report, place: bytes, cell: MessageCell, client_id: str) -> NewSend:
        change = cell.change
        reported = Reported(
            request.conversation_id,
            cell.message_id,
            request.reason,
            request.comment,
            change.version if change is not None else 0,
            cell.is_unsent,
        )
        return NewSend(
            request.user_id,
            place,
            tuple(sorted((request.user_id, self._moderator_id))),
            cell.content,
            client_id,
            client_id_hash(client_id),
            payload_hash(place, cell.content),
            self._random.getrandbits(62),
            Told("reported", (cell.sender_id,), report=reported),
        )

    async def _view(self, request: Report) -> View:
        row, mailbox = await self._table.loaded(request.user_id)
        self._revocations.check(mailbox, request.bearer)
        if mailbox.index.get(request.conversation_id) is None:
            raise UnknownConversation("no such conversation")
        return View(row.key, mailbox, self._seen_us())

    async def _known(self, request: Report, client_id: str) -> DedupeCell | None:
        view, hashed = await self._view(request), client_id_hash(client_id)
        if not view.mailbox.client_ids.may_hold(hashed):
            return None
        try:
            return await self._reader.send_record(view, hashed)
        except HandoverInProgress:
            self._dropped(request, view)
            raise

    async def _message(self, request: Report, message_id: bytes) -> MessageCell:
        """A message of somebody else, as the user's mailbox has it. UnknownMessage, NotTheAuthor."""
        view = await self._view(request)
        try:
            cell = await self._reader.message(view, request.conversation_id, message_id)
        except HandoverInProgress:
            self._dropped(request, view)
            raise
        if cell is None or not _is_reportable(view, cell):
            raise UnknownMessage("no such message in this conversation")
        if cell.sender_id == request.user_id:
            raise NotTheAuthor("this message is the user's own: others' are reported")
        return cell

    async def _newest(self, request: Report) -> list[bytes]:
        """The newest messages of others in a conversation, the newest first. UnknownMessage where there is none."""
        view = await self._view(request)
        need = NewestNeed(request.conversation_id, _HIGHEST_ID, LOOKED_AT, LOOKED_AT_BYTES)
        try:
            fact = await self._reader.answer(view, need)
        except HandoverInProgress:
            self._dropped(request, view)
            raise
        assert isinstance(fact.value, HeldMessages)
        cells = [cell for cell in fact.value.cells if cell is not None and _is_reportable(view, cell)]
        of_others = [one.message_id for one in cells if one.sender_id != request.user_id]
        if not of_others:
            raise UnknownMessage("nobody else has written anything in this conversation")
        return of_others[:MOST_REPORTED]

    def _dropped(self, request: Report, view: View) -> None:
        self._table.drop_replaced(self._table.row(request.user_id), view.mailbox)


def _is_reportable(view: View, cell: MessageCell) -> bool:
    """Whether somebody wrote a message, and the user has not deleted it with its conversation. The reader reads none
    that has ended.
    """
    return cell.told is None and cell.came > view.floors.get(cell.conversation_id, 0)


def _client_id(request: Report, message_id: bytes) -> str:
    why = length_prefixed(request.reason) + length_prefixed(request.comment)
    what = request.conversation_id + message_id + why
    return f"report:{blake2b(what, digest_size=20).hexdigest()}"
