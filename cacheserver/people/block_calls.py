"""Whom the users of one owner have blocked, for themselves."""

from heapq import nsmallest

from rowbox.cacheserver.access.revocations import Revocations
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.port import BlockShown, BlocksShown, FetchBlocks
from rowbox.cacheserver.rate_limit import RateLimits
from rowbox.mailbox.cells import BLOCK


class BlockCalls:
    """Answers fetchBlocks of one owner's users."""

    def __init__(self, table: Table, revocations: Revocations, limits: RateLimits) -> None:
        self._table = table
        self._revocations = revocations
        self._limits = limits

    async def fetch(self, request: FetchBlocks) -> BlocksShown:
        """See MailboxPort."""
        user_id, bearer = request.user_id, request.bearer
        if bearer is not None and not self._revocations.is_admitted(user_id, bearer):
            await self._revocations.admit_other(bearer)
        quota = self._limits.take("fetch", user_id)
        grant = self._table.admitted(user_id).grant
        _, mailbox = await self._table.loaded(user_id)
        self._revocations.check(mailbox, bearer)
        self._revocations.check_again(bearer)
        grant.check()
        blocks = (one for one in mailbox.states_of(BLOCK).values() if one.is_on and one.user_id > request.after)
        first = nsmallest(request.most + 1, blocks, key=lambda one: one.user_id)
        shown = tuple(BlockShown(one.user_id, one.since) for one in first[: request.most])
        return BlocksShown(shown, len(first) > request.most, quota)
