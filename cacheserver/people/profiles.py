"""Profiles, read: of this owner's users in memory or by one load, of others' by a call of their owner.

A profile is in one row. An answer about a user of this owner is given while his shard's grant holds; one about
another's is what that owner has said.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Final

from rowbox.cacheserver.access.revocations import Revocations
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.port import USERS_A_FETCH, FetchUsers, UsersShown
from rowbox.cacheserver.rate_limit import RateLimits
from rowbox.mailbox.cells import PROFILE
from rowbox.mailbox.errors import HandoverInProgress, LinkLost, OwnerAway, UnknownUser
from rowbox.mailbox.people.profile import Profile

FIRST_PAUSE_S: Final = 0.01
LONGEST_PAUSE_S: Final = 0.25
ASKED_AT_ONCE: Final = 16
"""Users of one request who are looked for at a time: each may be a load."""

ProfileOf = Callable[[str], Awaitable[Profile | None]]
"""The profile of a user, wherever he is owned. Raises what a load and a call raise, NotTheOwner too."""


class Profiles:
    """What one owner tells of users. `ask` reaches the owner of any user, this one too."""

    def __init__(
        self,
        table: Table,
        revocations: Revocations,
        limits: RateLimits,
        ask: ProfileOf,
        random: Random,
        *,
        patience_s: float,
    ) -> None:
        """`patience_s`: how long somebody is looked for whom nobody owns at the moment."""
        self._table = table
        self._revocations = revocations
        self._limits = limits
        self._ask = ask
        self._random = random
        self._patience_s = patience_s
        self._loop = asyncio.get_running_loop()

    async def here(self, user_id: str) -> Profile | None:
        """The profile of a user of this owner; of one who is deleted there is none. Raises what Table.loaded raises."""
        self._table.admitted(user_id)
        row, mailbox = await self._table.loaded(user_id)
        row.grant.check()
        return None if mailbox.is_erased else mailbox.state(PROFILE)

    async def shown(self, request: FetchUsers) -> UsersShown:
        """See MailboxPort."""
        user_id, bearer = request.user_id, request.bearer
        if bearer is not None and not self._revocations.is_admitted(user_id, bearer):
            await self._revocations.admit_other(bearer)
        quota = self._limits.take("fetch", user_id, -(-len(request.users) // USERS_A_FETCH))
        grant = self._table.admitted(user_id).grant
        _, mailbox = await self._table.loaded(user_id)
        self._revocations.check(mailbox, bearer)
        found = await self._found(request.users)
        self._revocations.check_again(bearer)
        grant.check()
        return UsersShown(tuple(found), quota)

    async def check_known(self, users: Sequence[str]) -> None:
        """UnknownUser where one of these users has no profile; raises what `anywhere` does."""
        for user_id, profile in zip(users, await self._found(users), strict=True):
            if profile is None:
                raise UnknownUser(f"nobody has made {user_id} known")

    async def _found(self, users: Sequence[str]) -> list[Profile | None]:
        found: list[Profile | None] = []
        for begin in range(0, len(users), ASKED_AT_ONCE):
            some = users[begin : begin + ASKED_AT_ONCE]
            for one in await asyncio.gather(*map(self.anywhere, some), return_exceptions=True):
                if isinstance(one, BaseException):
                    raise one
                found.append(one)
        return found

    async def anywhere(self, user_id: str) -> Profile | None:
        """The profile of any user. OwnerAway where nobody answers for him in time; PeerTooOld.

        Never NotTheOwner, which would say that this owner has not the user who asks; nor another hand-over, after which
        a router holds up all that he has sent since.
        """
        ends_s, pause_s = self._loop.time() + self._patience_s, FIRST_PAUSE_S
        while True:
            try:
                return await self._ask(user_id)
            except (HandoverInProgress, LinkLost) as error:
                if self._loop.time() >= ends_s:
                    raise OwnerAway(f"nobody answers for this user now: {error}", retry_after_ms=1000) from error
            await asyncio.sleep(pause_s * self._random.uniform(0.5, 1.0))
            pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
