"""Token buckets, one for each user and class of request. Exact, because a user has one owner.

    send    what writes: a send, a read mark
    fetch   what only reads: a page, the status of a send
    search  a search
    report  a report of messages
    create  a new group, which is a row of its own; a send as well

and of each group, whoever of its members asks:

    fan_out  a message: the bytes of its copies; and of what those who join are given of before, once that is known
    change   a change of its members, its name or its settings; for all but removals there is half of the bucket

A request takes a token before it is done. What a request costs beyond that is known only when it is done (View.cost),
and is taken then, even from an empty bucket. An owner has one RateLimits, through which every token is taken.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

from rowbox.cacheserver.port import Quota
from rowbox.mailbox.errors import RateLimited
from rowbox.mailbox.settings.config import GroupsSettings, LimitClass, RateLimitSettings

GroupLimit: TypeAlias = Literal["fan_out", "change"]


class RateLimits:
    """The buckets of all classes. A class that is not limited has none: everything is let through, without a Quota."""

    def __init__(
        self, settings: RateLimitSettings, now_s: Callable[[], float], groups: GroupsSettings | None = None
    ) -> None:
        """`groups` None: what is of each group has no limit."""
        self._buckets: dict[LimitClass | GroupLimit, TokenBuckets] = {}
        limits: dict[LimitClass | GroupLimit, tuple[float, float] | None] = {
            name: settings.of(name) for name in get_args(LimitClass)
        }
        if groups is not None and settings.enabled:
            limits["fan_out"] = groups.fan_out_burst_bytes, groups.fan_out_bytes_per_second
            limits["change"] = groups.change_burst, groups.change_per_second
        for name, limit in limits.items():
            if limit is not None and all(limit):
                burst, per_second = limit
                most = settings.max_buckets
                self._buckets[name] = TokenBuckets(burst=int(burst), per_second=per_second, most=most, now_s=now_s)

    def take(self, name: LimitClass | GroupLimit, user_id: str, cost: int = 1) -> Quota | None:
        """Takes `cost` tokens before a request is done. None where `name` has no limit. RateLimited."""
        buckets = self._buckets.get(name)
        return buckets.take(user_id, cost) if buckets is not None else None

    def take_half(self, name: GroupLimit, user_id: str) -> None:
        """Takes a token where half of the bucket is left, too: what is more urgent has that half for itself."""
        buckets = self._buckets.get(name)
        if buckets is not None:
            buckets.take(user_id, keeps=buckets.burst // 2)

    def check(self, name: LimitClass, user_id: str) -> None:
        """Raises RateLimited where `take` would raise it for one token. Takes nothing."""
        buckets = self._buckets.get(name)
        if buckets is not None:
            buckets.check(user_id)

    def charge(self, name: LimitClass | GroupLimit, user_id: str, cost: int, quota: Quota | None) -> Quota | None:
        """Takes what a request cost beyond what `take` took, and returns what is left; `quota` where nothing is due."""
        buckets = self._buckets.get(name)
        return buckets.charge(user_id, cost) if buckets is not None and cost > 0 else quota


class TokenBuckets:
    """The buckets of one class of request: of `burst` tokens each, filled by `per_second` tokens a second.

    At most `most` users have a bucket: the one of the least recently seen user is forgotten first. A user without a
    bucket has a full one.
    """

    def __init__(self, *, burst: int, per_second: float, most: int, now_s: Callable[[], float]) -> None:
        self.burst = burst
        self._per_second = per_second
        self._most = most
        self._now_s = now_s
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, user_id: str, cost: int = 1, *, keeps: int = 0) -> Quota:
        """Takes `cost` tokens (`burst` at most) and returns what is left. RateLimited when there are fewer, or fewer
        than `keeps` would be left.
        """
        cost = min(cost, self.burst)
        now = self._now_s()
        tokens = self._tokens(user_id, now)
        if tokens < cost + keeps:
            self._put(user_id, tokens, now)
            raise self._refusal(tokens, cost + keeps)
        return self._put(user_id, tokens - cost, now)

    def check(self, user_id: str) -> None:
        """Raises RateLimited where `take` would raise it for one token now. Takes nothing."""
        tokens = self._tokens(user_id, self._now_s())
        if tokens < 1:
            raise self._refusal(tokens, 1)

    def charge(self, user_id: str, cost: int) -> Quota:
        """Takes `cost` tokens even where there are fewer: the user's next requests are refused until that is paid."""
        now = self._now_s()
        return self._put(user_id, self._tokens(user_id, now) - cost, now)

    def _tokens(self, user_id: str, now: float) -> float:
        tokens, at = self._buckets.get(user_id, (float(self.burst), now))
        return min(self.burst, tokens + (now - at) * self._per_second)

    def _put(self, user_id: str, tokens: float, now: float) -> Quota:
        self._buckets[user_id] = (tokens, now)
        self._buckets.move_to_end(user_id)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return Quota(max(0, int(tokens)), math.ceil((self.burst - tokens) / self._per_second))

    def _refusal(self, tokens: float, cost: int) -> RateLimited:
        wait_ms = math.ceil((cost - tokens) / self._per_second * 1000)
        return RateLimited("too many requests of this user", retry_after_ms=wait_ms)
