"""Token buckets, one for each user and class of request. Exact, because a user has one owner.

    send    what writes: a send, a read mark
    fetch   what only reads: a page, the status of a send

A request takes a token. What it costs beyond that is known only when it is done (View.cost), and is owed then. The
owner has one RateLimits, and nothing else of it takes a token or looks at one.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import get_args

from rowbox.cacheserver.port import Quota
from rowbox.mailbox.errors import RateLimited
from rowbox.mailbox.settings.config import LimitClass, RateLimitSettings


class RateLimits:
    """The buckets of all classes. A class that is not limited has none: everything is let through, without a Quota."""

    def __init__(self, settings: RateLimitSettings, now_s: Callable[[], float]) -> None:
        self._buckets: dict[LimitClass, TokenBuckets] = {}
        for name in get_args(LimitClass):
            limit = settings.of(name)
            if limit is not None:
                burst, per_second = limit
                most = settings.max_buckets
                self._buckets[name] = TokenBuckets(burst=burst, per_second=per_second, most=most, now_s=now_s)

    def take(self, name: LimitClass, user_id: str, cost: int = 1) -> Quota | None:
        """Takes what a request costs, before it is done: see TokenBuckets.take. RateLimited."""
        buckets = self._buckets.get(name)
        return buckets.take(user_id, cost) if buckets is not None else None

    def check(self, name: LimitClass, user_id: str) -> None:
        """RateLimited where `take` would raise it for one token. Takes nothing."""
        buckets = self._buckets.get(name)
        if buckets is not None:
            buckets.check(user_id)

    def charge(self, name: LimitClass, user_id: str, cost: int, quota: Quota | None) -> Quota | None:
        """Takes what a request cost beyond what it took, `quota` being what was left then; what is left now."""
        buckets = self._buckets.get(name)
        return buckets.charge(user_id, cost) if buckets is not None and cost > 0 else quota


class TokenBuckets:
    """One class's: buckets of `burst` tokens that fill by `per_second`. A bucket that is forgotten is a full one.

    At most `most` users are remembered, the least recently seen is forgotten first: whoever keeps asking is remembered.
    """

    def __init__(self, *, burst: int, per_second: float, most: int, now_s: Callable[[], float]) -> None:
        self._burst = burst
        self._per_second = per_second
        self._most = most
        self._now_s = now_s
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, user_id: str, cost: int = 1) -> Quota:
        """Takes `cost` tokens (a burst at most); what is left. RateLimited when there are fewer: when there will be."""
        cost = min(cost, self._burst)
        now = self._now_s()
        tokens = self._tokens(user_id, now)
        if tokens < cost:
            self._put(user_id, tokens, now)
            raise self._refusal(tokens, cost)
        return self._put(user_id, tokens - cost, now)

    def check(self, user_id: str) -> None:
        """RateLimited where `take` would raise it now. Takes nothing."""
        tokens = self._tokens(user_id, self._now_s())
        if tokens < 1:
            raise self._refusal(tokens, 1)

    def charge(self, user_id: str, cost: int) -> Quota:
        """Takes what a request turned out to cost, also where there is less: the next ones wait until it is paid."""
        now = self._now_s()
        return self._put(user_id, self._tokens(user_id, now) - cost, now)

    def _tokens(self, user_id: str, now: float) -> float:
        tokens, at = self._buckets.get(user_id, (float(self._burst), now))
        return min(self._burst, tokens + (now - at) * self._per_second)

    def _put(self, user_id: str, tokens: float, now: float) -> Quota:
        self._buckets[user_id] = (tokens, now)
        self._buckets.move_to_end(user_id)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return Quota(max(0, int(tokens)), math.ceil((self._burst - tokens) / self._per_second))

    def _refusal(self, tokens: float, cost: int) -> RateLimited:
        wait_ms = math.ceil((cost - tokens) / self._per_second * 1000)
        return RateLimited("too many requests of this user", retry_after_ms=wait_ms)
