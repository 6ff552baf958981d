"""The followers of an owner's users: who may follow, and what keeps them told (cache/followers.py)."""

import asyncio
import itertools
from collections.abc import Callable, Collection
from typing import Final, TypeAlias

from rowbox.cacheserver.access.revocations import Revocations
from rowbox.cacheserver.background import BackgroundLoop
from rowbox.cacheserver.cache.followers import Follower, Followers
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.port import Follow, Notify
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.aggregate.plan import Plan
from rowbox.mailbox.errors import RowboxError, TokenRevoked
from rowbox.mailbox.pages.cursor import Bookmarks
from rowbox.mailbox.revocation import Bearer
from rowbox.mailbox.settings.config import SocketSettings

RELOADS_AT_ONCE: Final = 32
RELOAD_PAUSE_S: Final = 1.0
"""Mailboxes that are loaded again at a time, and the pause where one of them could not be."""


Used: TypeAlias = Callable[[Mailbox, Bearer | None, int], None]
"""Hears that a device of a mailbox's user is in use, and from which version on it goes on (0: not known)."""


class Follows:
    """Lets users be followed, and has a dropped mailbox loaded again while it is followed.

    `bookmarks_of` gives the bookmarks of a user's feed.
    """

    def __init__(
        self,
        table: Table,
        revocations: Revocations,
        bookmarks_of: Callable[[str], Bookmarks],
        settings: SocketSettings,
        used: Used,
    ) -> None:
        """`used` hears of the devices that begin to follow."""
        self._used = used
        self._table = table
        self._revocations = revocations
        self._to_reload: dict[str, None] = {}
        self.followers = Followers(
            bookmarks_of, most_of_a_user=settings.max_followers_per_user, most=settings.max_followers
        )
        self.loop = BackgroundLoop("followed-rows", self._reload)

    async def follow(self, request: Follow, notify: Notify) -> Follower:
        """See MailboxPort. Raises what a load raises, and ConnectedElsewhere."""
        user_id, bearer = request.user_id, request.bearer
        if bearer is not None and not self._revocations.is_admitted(user_id, bearer):
            await self._revocations.admit_other(bearer)
        grant = self._table.admitted(user_id).grant
        _, mailbox = await self._table.loaded(user_id)
        self._revocations.check(mailbox, bearer)
        self._revocations.check_again(bearer)
        grant.admit()
        self._used(mailbox, bearer, 0)
        return self.followers.begin(request, grant, mailbox.head, notify)

    def applied(self, mailbox: Mailbox, plan: Plan) -> None:
        """A plan was applied to a mailbox, whose row's grant holds."""
        if mailbox.user_id in self.followers:
            self.followers.applied(mailbox, plan)

    def loaded(self, mailbox: Mailbox) -> None:
        """A mailbox came into memory."""
        self.followers.loaded(mailbox.user_id, mailbox.head)

    def dropped(self, user_id: str) -> None:
        """A mailbox was forgotten because it may not be what the store holds: a write may have landed unseen."""
        if user_id in self.followers:
            self._to_reload[user_id] = None
            self.loop.wake()

    def end_revoked(self, refusal_of: Callable[[Bearer], type[TokenRevoked] | None]) -> None:
        """Ends the followers who came with a token that is refused now."""
        self.followers.revoke(refusal_of)

    def give_away(self, shards: Collection[int]) -> None:
        """Ends the followers of mailboxes of these shards."""
        self.followers.refuse(shards)

    async def _reload(self) -> float | None:
        some = list(itertools.islice(self._to_reload, RELOADS_AT_ONCE))
        for user_id in some:  # before the loads: whoever is dropped meanwhile is to be loaded once more
            del self._to_reload[user_id]
        have_failed = [user_id for user_id in await asyncio.gather(*map(self._load, some)) if user_id]
        self._to_reload |= dict.fromkeys(have_failed)
        if not self._to_reload:
            return None
        return RELOAD_PAUSE_S if have_failed else 0.0

    async def _load(self, user_id: str) -> str:
        """Loads a mailbox that is followed. Its user where that is to be tried again, else ""."""
        if user_id in self.followers:
            try:
                await self._table.loaded(user_id)
            except RowboxError as error:
                return user_id if error.retryable else ""  # where the grant has ended, its followers end as well
        return ""
