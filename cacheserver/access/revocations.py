"""Revoked tokens: an owner refuses all tokens of a user and those of single devices (by the user's row), and single
tokens (by their ids).

Every request comes with what is known of its token (a Bearer). The owner judges the token where it has the mailbox in
memory, without a read of the store:

    a fetch            when the mailbox is there, and again after each wait and each read of the store
    a write            when it is decided, under the user's lock: what is decided after a revocation was refused by it
    a parked poll      is woken by the revocation of its token
    one for another    by a token with the scope admin: by the row of the token's own user, which is loaded for it, and
                       is looked at again at each of these times while it is in memory. A write that waits for the
                       load keeps its place before later ones

A revocation is a mutation of the user's row like any other: fenced, confirmed before it is told, there after every
restart and takeover. An owner reads the row before it answers for the user, so the revocation holds from its first
answer on.
"""

import asyncio
import logging
from collections.abc import Callable

from rowbox.cacheserver.access.revoked_ids import EndRevoked, RevokedIds
from rowbox.cacheserver.cache.commands import Command, CommandResult, RevokeCommand
from rowbox.cacheserver.cache.table import Table
from rowbox.cacheserver.clocks import Time
from rowbox.cacheserver.ownership import Ownership
from rowbox.mailbox.account.access_row import Revoked
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.devices import check_token, error_for, refusal_of
from rowbox.mailbox.errors import NotTheOwner, SignedOut, TokenRevoked, UserDeleted
from rowbox.mailbox.revocation import Bearer, end_of_second, token_hash
from rowbox.mailbox.settings.config import AuthSettings

log = logging.getLogger(__name__)

_ROUNDING_S = 2
"""Issuers write whole seconds."""


class Revocations:
    """Judges tokens for one owner, and revokes them.

    `longest_token_s` is how long a token is valid at most, in seconds; 0: nothing bounds that.
    """

    def __init__(
        self,
        ids: RevokedIds,
        table: Table,
        submit: Callable[[Command], None],
        end_revoked: EndRevoked,
        ownership: Ownership,
        time: Time,
        *,
        longest_token_s: int,
    ) -> None:
        self._table = table
        self._submit = submit
        self._end_revoked = end_revoked
        self._time = time
        self._longest_token_s = longest_token_s
        self._ownership = ownership
        self._lines: dict[str, _Line] = {}
        """Of users of whom writes are being judged that came with tokens of others."""
        self.ids = ids

    def check(self, mailbox: Mailbox, bearer: Bearer | None) -> None:
        """TokenRevoked where `bearer` is a revoked token of the mailbox's user, or one revoked by its id.

        UserDeleted where the user is deleted, whoever asks.
        """
        if bearer is not None:
            self._check_token(mailbox, bearer)
        if mailbox.is_erased:
            raise UserDeleted("this user was deleted")

    def _check_token(self, mailbox: Mailbox, bearer: Bearer) -> None:
        if mailbox.user_id == bearer.user_id:
            revocation, devices = mailbox.revocation, mailbox.devices
            if revocation is not None:
                check_token(bearer, revocation, devices, self._time.seen_us())
            elif devices is not None and bearer.device_id and devices.refuses(bearer):
                raise signed_out()
        if bearer.token_hash and self.ids.holds(bearer.token_hash, self._time.seen_us()):
            raise token_revoked()

    def is_admitted(self, user_id: str, bearer: Bearer) -> bool:
        """Judges a request before anything is done for it. False: `admit_other` has to judge it too.

        Raises TokenRevoked as `check_in_memory` does.
        """
        self.check_in_memory(user_id, bearer)
        return bearer.user_id == user_id

    def check_in_memory(self, user_id: str, bearer: Bearer | None) -> None:
        """As `check`, but of a mailbox that is not in memory only the token's id is judged.

        It comes before the limits: a revoked token must not use up what its user may ask for.
        """
        if bearer is None:
            return
        row = self._table.peek(user_id)
        if row is not None and row.mailbox is not None:
            self._check_token(row.mailbox, bearer)
        elif bearer.token_hash and self.ids.holds(bearer.token_hash, self._time.seen_us()):
            raise token_revoked()

    def check_again(self, bearer: Bearer | None) -> None:
        """TokenRevoked by the row of the token's own user, where that is in memory, and by the token's id.

        To be called after something else was awaited, before a request is answered, decided or parked.
        """
        if bearer is not None:
            self.check_in_memory(bearer.user_id, bearer)

    async def admit_other(self, bearer: Bearer) -> None:
        """TokenRevoked where a token that is used for another user's mailbox is refused by the row of its own user.

        A row of a shard that is not granted here is not judged here: whoever sent the request has asked its owner
        (`judge`). Raises what Table.loaded raises.
        """
        try:
            self._table.row(bearer.user_id)
        except NotTheOwner:
            return
        await self._judge(bearer)

    def admits_write(self, user_id: str, bearer: Bearer | None) -> bool:
        """As `is_admitted`, for a write. False also where an earlier write of the user is being judged: then
        `admit_in_line` has to be awaited, and the write to be begun in the turn of the loop in which that returns.
        """
        if bearer is not None and not self.is_admitted(user_id, bearer):
            return False
        return user_id not in self._lines

    async def admit_in_line(self, user_id: str, bearer: Bearer | None) -> None:
        """As `admit_other`, where that is needed. Returns behind all writes of the user that came before this one: to
        judge a token may take a load, and a later write with another token does not overtake it.
        """
        line = self._lines.setdefault(user_id, _Line())
        line.length += 1
        try:
            async with line.lock:
                if bearer is not None and bearer.user_id != user_id:
                    await self.admit_other(bearer)
        finally:
            line.length -= 1
            if not line.length:
                del self._lines[user_id]

    async def judge(self, bearer: Bearer) -> None:
        """As `admit_other`, for a request that another owner answers. NotTheOwner where this one cannot judge it."""
        self._table.admitted(bearer.user_id)
        await self._judge(bearer)

    async def _judge(self, bearer: Bearer) -> None:
        row = self._table.row(bearer.user_id)
        mailbox = row.mailbox
        if mailbox is None:
            row, mailbox = await self._table.loaded(bearer.user_id)
        self.check(mailbox, bearer)
        row.grant.check()

    def until_s(self, before_s: int) -> int:
        """When the last token has expired that was issued before this second; 0: nobody knows."""
        return before_s + self._longest_token_s if self._longest_token_s else 0

    async def revoke_user(self, user_id: str) -> int:
        """Has every token of the user refused that was issued until now. Returns the second (since 1970) before which.

        The refusal holds for every answer that begins after the commit. This returns when that second has
        come, so that the user may sign in again at once. Raises what a write raises: after StoreOutcomeUnknown the
        refusal may hold.
        """
        before_s = end_of_second(self._time.now_us())
        future: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        self._submit(RevokeCommand(user_id, before_s, self.until_s(before_s), future=future))
        revoked = await future
        assert isinstance(revoked, Revoked)
        log.info("tokens of %s that were issued before %d (seconds) are refused", user_id, revoked.before_s)
        await self.until_over(before_s)
        return revoked.before_s

    async def until_over(self, before_s: int) -> None:
        """Returns when the second has come before which tokens are refused: what is issued from then on counts."""
        await asyncio.sleep(min(1.0, (before_s * US_PER_S - self._time.now_us()) / US_PER_S))

    async def revoke_id(self, token_id: str) -> None:
        """Has the token with this `jti` refused, whosever it is. RevocationsFull; raises what a write raises."""
        now_us = self._time.now_us()
        until_s = self.until_s(now_us // US_PER_S + 1)
        self._ownership.check()
        await self.ids.add(token_hash(token_id), until_s, now_us)
        self._ownership.check()  # who may not answer any more may not tell of what it has done either
        log.info("the token with the id %s is refused", token_id)

    def changed(self, mailbox: Mailbox) -> None:
        """Ends what goes on, for whichever mailbox, that came with a token which this one's user has revoked now."""
        user_id, now_us = mailbox.user_id, self._time.seen_us()
        revocation, devices = mailbox.revocation, mailbox.devices

        def refusal(bearer: Bearer) -> type[TokenRevoked] | None:
            return refusal_of(bearer, revocation, devices, now_us) if bearer.user_id == user_id else None

        self._end_revoked(refusal)


class _Line:
    """The writes of a user that are being judged, one after the other in the order in which they came."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.length = 0


def longest_token_s(settings: AuthSettings) -> int:
    """For how many seconds after its `iat` a token counts at most (api/auth/validation.py); 0: nothing bounds that.

    The leeway counts twice: that module adds it to the token's life, and to its expiry.
    """
    if not settings.max_token_life_ms:
        return 0
    return -(-(settings.max_token_life_ms + 2 * settings.leeway_ms) // 1000) + _ROUNDING_S


def token_revoked() -> TokenRevoked:
    """The error that a request with a revoked token ends with."""
    return error_for(TokenRevoked)


def signed_out() -> TokenRevoked:
    """The error that a request ends with whose device, or whose token with all others, the user has signed out."""
    return error_for(SignedOut)
