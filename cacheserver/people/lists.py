"""Whom the users of one owner know, who wants to be known, and whom they block: their contacts, the conversations that
wait to be accepted, and their blocks. All are in memory with the mailbox, and are answered by pages.
"""

from heapq import nsmallest

from rowbox.cacheserver.access.revocations import Revocations
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.clocks import NowUs
from rowbox.cacheserver.port import (
    BlockShown,
    BlocksShown,
    ContactShown,
    ContactsShown,
    FetchBlocks,
    FetchContacts,
    FetchRequests,
    Quota,
    RequestsShown,
)
from rowbox.cacheserver.rate_limit import RateLimits
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.cells import BLOCK, CONTACT
from rowbox.mailbox.ids import ID_BYTES
from rowbox.mailbox.revocation import Bearer


class Lists:
    """Answers fetchContacts, fetchBlocks and fetchRequests of one owner's users."""

    def __init__(self, table: Table, revocations: Revocations, limits: RateLimits, seen_us: NowUs) -> None:
        self._table = table
        self._revocations = revocations
        self._limits = limits
        self._seen_us = seen_us

    async def contacts(self, request: FetchContacts) -> ContactsShown:
        """See MailboxPort."""
        mailbox, quota = await self._mailbox(request.user_id, request.bearer)
        contacts = (one for one in mailbox.states_of(CONTACT).values() if one.is_on and one.user_id > request.after)
        first = nsmallest(request.most + 1, contacts, key=lambda one: one.user_id)
        shown = tuple(
            ContactShown(one.user_id, one.since, one.version, one.alias, one.is_favourite)
            for one in first[: request.most]
        )
        return ContactsShown(shown, len(first) > request.most, quota)

    async def blocks(self, request: FetchBlocks) -> BlocksShown:
        """See MailboxPort."""
        mailbox, quota = await self._mailbox(request.user_id, request.bearer)
        blocks = (one for one in mailbox.states_of(BLOCK).values() if one.is_on and one.user_id > request.after)
        first = nsmallest(request.most + 1, blocks, key=lambda one: one.user_id)
        shown = tuple(BlockShown(one.user_id, one.since) for one in first[: request.most])
        return BlocksShown(shown, len(first) > request.most, quota)

    async def requests(self, request: FetchRequests) -> RequestsShown:
        """See MailboxPort."""
        mailbox, quota = await self._mailbox(request.user_id, request.bearer)
        found = mailbox.index.requests(request.below, request.most + 1)
        shown, horizon = found[: request.most], mailbox.horizon(self._seen_us())
        conversations = tuple(mailbox.index.json_of(position[ID_BYTES:], horizon) for position in shown)
        return RequestsShown(conversations, shown[-1] if len(found) > len(shown) else None, quota)

    async def _mailbox(self, user_id: str, bearer: Bearer | None) -> tuple[Mailbox, Quota | None]:
        """A user's mailbox, for an answer that is made of it without awaiting; and what is left of his limit."""
        if bearer is not None and not self._revocations.is_admitted(user_id, bearer):
            await self._revocations.admit_other(bearer)
        quota = self._limits.take("fetch", user_id)
        grant = self._table.admitted(user_id).grant
        _, mailbox = await self._table.loaded(user_id)
        self._revocations.check(mailbox, bearer)
        self._revocations.check_again(bearer)
        grant.check()
        return mailbox, quota
