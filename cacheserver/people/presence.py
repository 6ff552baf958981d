"""Who may be shown when a user is online: what his own row says of it, and the row of whoever wants to know.

The watcher's row says with whom he is in a conversation of two, and whether he hides himself: who hides is shown
nobody, and who is shown to his contacts alone is shown these alone. Whether a user hides from him is in that user's
row, whose owner is always asked. Who has blocked somebody is
not shown to him, nor he to the one who did; nor is anybody to a stranger whom he has not accepted, or the stranger to
him.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from rowbox.cacheserver.access.revocations import Revocations
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.port import USERS_A_FETCH, AskPresence, PresenceTerms
from rowbox.cacheserver.rate_limit import RateLimits
from rowbox.mailbox.account.blocks import is_blocked
from rowbox.mailbox.account.contacts import contact_of
from rowbox.mailbox.account.requests import is_request
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.cells import PROFILE
from rowbox.mailbox.errors import RowboxError
from rowbox.mailbox.ids import direct_conversation_id
from rowbox.mailbox.people.profile import CONTACTS

ASKED_AT_ONCE: Final = 16
"""Users of one question who are looked for at a time: each may be a load."""

Shows = Callable[[str, Sequence[str]], Awaitable[Sequence[bool | None]]]
"""UserPort.shows_presence, of users wherever they are owned. Never fails: of whom nobody answers for it says None."""


class PresenceRules:
    """What one owner says of presence. `ask` reaches the owners of any users, this one too. `on_active(user, ago_s)` is
    called where a user with push targets was active.
    """

    def __init__(
        self,
        table: Table,
        revocations: Revocations,
        limits: RateLimits,
        ask: Shows,
        on_active: Callable[[str, float], None],
    ) -> None:
        self._table = table
        self._revocations = revocations
        self._limits = limits
        self._ask = ask
        self._on_active = on_active

    async def terms(self, request: AskPresence) -> PresenceTerms:
        """See MailboxPort."""
        user_id, bearer = request.user_id, request.bearer
        if bearer is not None and not self._revocations.is_admitted(user_id, bearer):
            await self._revocations.admit_other(bearer)
        quota = self._limits.take("fetch", user_id, 1 - (-len(request.users) // USERS_A_FETCH))
        grant = self._table.admitted(user_id).grant
        _, mailbox = await self._table.loaded(user_id)
        self._revocations.check(mailbox, bearer)
        if request.active_ms is not None and mailbox.has_push:
            self._on_active(user_id, request.active_ms / 1000)
        hides = _hides(mailbox)
        asked = [] if hides else [other for other in request.users if _knows(mailbox, user_id, other)]
        said = dict(zip(asked, await self._ask(user_id, asked), strict=True)) if asked else {}
        self._revocations.check_again(bearer)
        grant.check()
        sees = tuple(said.get(other, False) for other in request.users)
        return PresenceTerms(hides, sees, quota, mailbox.has_push)

    async def here(self, watcher_id: str, users: Sequence[str]) -> Sequence[bool | None]:
        """See UserPort, of users of this owner."""
        answers: list[bool | None] = []
        for begin in range(0, len(users), ASKED_AT_ONCE):
            some = users[begin : begin + ASKED_AT_ONCE]
            answers += await asyncio.gather(*(self._shows(user_id, watcher_id) for user_id in some))
        return answers

    async def _shows(self, user_id: str, watcher_id: str) -> bool | None:
        try:
            self._table.admitted(user_id)
            row, mailbox = await self._table.loaded(user_id)
            row.grant.check()
        except RowboxError:
            return None
        return _shows_itself_to(mailbox, watcher_id)


def _hides(mailbox: Mailbox) -> bool:
    profile = mailbox.state(PROFILE)
    return profile is not None and profile.hides


def _knows(mailbox: Mailbox, user_id: str, other: str) -> bool:
    """Whether the user is in a conversation of two with the other one, and is shown to him."""
    return direct_conversation_id(user_id, other) in mailbox.index and _shows_itself_to(mailbox, other)


def _shows_itself_to(mailbox: Mailbox, other: str) -> bool:
    """Whether a mailbox's user wants to be shown to the other one."""
    if is_blocked(mailbox, other) or is_request(mailbox, other):
        return False
    profile = mailbox.state(PROFILE)
    if profile is None:
        return True
    if profile.last_seen == CONTACTS:
        return other == mailbox.user_id or contact_of(mailbox, other) is not None
    return not profile.hides
