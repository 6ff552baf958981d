"""What all long polls have in common: how long they sleep, and what their end without news means."""

from collections.abc import Callable
from typing import TypeAlias

from rowbox.cacheserver.access.revocations import signed_out, token_revoked
from rowbox.cacheserver.cache.waiters import Waiter, Woken, retry_after_ms
from rowbox.mailbox.aggregate.mailbox import Mailbox
from rowbox.mailbox.clocks.clock import US_PER_S
from rowbox.mailbox.errors import NotTheOwner
from rowbox.mailbox.revocation import Bearer

Proven: TypeAlias = Callable[[Mailbox, int, bytes | None, Bearer | None], None]
"""Hears up to which version a client of the mailbox's user has all that changed, of a conversation (None: of all), and
what is known of the client's token."""
LEAST_LOOK_S = 1.0
"""A parked poll looks no sooner for what ends: while the clock is in doubt no time is seen to pass, and an end that is
a moment away stays a moment away."""


def until_an_end_s(mailbox: Mailbox, seen_us: int, left_s: float) -> float:
    """How long a wait of `left_s` lasts until something ends in the mailbox that had not at `seen_us`."""
    ends_s = (mailbox.index.endings.first - mailbox.horizon(seen_us)) / US_PER_S
    return min(left_s, max(ends_s, LEAST_LOOK_S)) if ends_s > 0 else left_s


def no_news(waiter: Waiter, woken: Woken) -> int | None:
    """For the answer that nothing came, after how many milliseconds its client should come back, where that is said.

    The check of the grant before that answer is made here. NotTheOwner, TokenRevoked where that is why the wait ended.
    """
    waiter.grant.check()
    if woken is Woken.GIVEN_AWAY:
        raise NotTheOwner("this server is giving this user away")
    if woken is Woken.REVOKED:
        raise token_revoked()
    if woken is Woken.SIGNED_OUT:
        raise signed_out()
    return retry_after_ms() if woken is Woken.DRAIN else None
