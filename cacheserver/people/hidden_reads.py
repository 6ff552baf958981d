"""What is hidden of those whom the users of one owner block, for administrators."""

import logging
from collections.abc import Iterator
from typing import Final

from rowbox.cacheserver.access.revocations import Revocations
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.clocks import NowUs
from rowbox.cacheserver.port import FetchHidden, HiddenPage, HiddenShown
from rowbox.cacheserver.rate_limit import RateLimits
from rowbox.cacheserver.rows.row_reader import RowReader
from rowbox.cacheserver.rows.view import View
from rowbox.mailbox.account.blocks import kept_of
from rowbox.mailbox.cells import BLOCK
from rowbox.mailbox.errors import HandoverInProgress
from rowbox.mailbox.ids import direct_conversation_id, sent_timestamp
from rowbox.mailbox.message import is_expired

log: Final = logging.getLogger(__name__)
MOST_READS: Final = 64
"""Conversations that are read for one page, however little there is in them."""


class HiddenReads:
    """Answers fetchHidden of one owner's users.

    Each look is logged, at every `server.log_level`.
    """

    def __init__(
        self, table: Table, reader: RowReader, revocations: Revocations, limits: RateLimits, seen_us: NowUs
    ) -> None:
        self._table = table
        self._reader = reader
        self._revocations = revocations
        self._limits = limits
        self._seen_us = seen_us
        log.setLevel(logging.INFO)

    async def fetch(self, request: FetchHidden) -> HiddenPage:
        """See MailboxPort."""
        user_id, bearer = request.user_id, request.bearer
        if bearer is not None and not self._revocations.is_admitted(user_id, bearer):
            await self._revocations.admit_other(bearer)
        quota = self._limits.take("fetch", user_id)
        grant = self._table.admitted(user_id).grant
        row, mailbox = await self._table.loaded(user_id)
        self._revocations.check(mailbox, bearer)
        view = View(row.key, mailbox, self._seen_us())
        try:
            page = await self._page(view, request)
        except HandoverInProgress:
            self._table.drop_replaced(row, mailbox)
            raise
        finally:
            quota = self._limits.charge("fetch", user_id, view.cost, quota)
        self._revocations.check_again(bearer)
        grant.check()
        who = bearer.user_id if bearer is not None else "an operator"
        fields = {
            "userId": user_id,
            "by": bearer.user_id if bearer is not None else None,
            "entries": len(page.messages),
        }
        text = "%s looked at what is hidden from %s: %d entries"
        log.info(text, who, user_id, len(page.messages), extra={"fields": fields})
        return HiddenPage(page.messages, page.next, quota)

    async def _page(self, view: View, request: FetchHidden) -> HiddenPage:
        found: list[HiddenShown] = []
        left_bytes, left = request.max_bytes, request.most
        for reads, (conversation_id, below) in enumerate(_places(view, request.behind)):
            if not left or left_bytes <= 0 or reads == MOST_READS:
                return HiddenPage(tuple(found), (conversation_id, below))
            by_id, is_all = await self._reader.hidden(view, conversation_id, below or None, left, left_bytes)
            for cells in by_id.values():
                found += [
                    HiddenShown(
                        one.message_id,
                        conversation_id,
                        one.sender_id,
                        one.content,
                        one.version,
                        one.change,
                        one.reactions,
                    )
                    for one in kept_of(cells)
                ]
                left_bytes -= sum(len(one.content.encode()) for one in cells)
            left -= len(by_id)
            if not is_all:
                return HiddenPage(tuple(found), (conversation_id, list(by_id)[-1]))
        return HiddenPage(tuple(found))


def _places(view: View, behind: tuple[bytes, bytes] | None) -> Iterator[tuple[bytes, bytes]]:
    """The conversations in which something may be hidden, by their ids, and below which messageId; b"": all.

    Not those of which retention has taken all.
    """
    mailbox = view.mailbox
    retention_ms = mailbox.limits.retention_ms
    first, below = behind if behind is not None else (b"", b"")
    for conversation_id in sorted(
        direct_conversation_id(mailbox.user_id, block.user_id)
        for block in mailbox.states_of(BLOCK).values()
        if block.kept_up_to and not is_expired(sent_timestamp(block.kept_up_to), view.now_us, retention_ms)
    ):
        if conversation_id >= first:
            yield conversation_id, below if conversation_id == first else b""
