"""Token buckets, one for each user and class of request. Exact, because a user has one owner."""

import math
from collections import OrderedDict
from collections.abc import Callable

from rowbox.cacheserver.port import Quota
from rowbox.mailbox.errors import RateLimited


class RateLimit:
    """Buckets of `burst` tokens that fill by `per_second`. A bucket that is forgotten is a full one.

    At most `most` users are remembered, the least recently seen is forgotten first: whoever keeps asking is remembered.
    """

    def __init__(self, *, burst: int, per_second: float, most: int, now_s: Callable[[], float]) -> None:
        self._burst = burst
        self._per_second = per_second
        self._most = most
        self._now_s = now_s
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, user_id: str) -> Quota:
        """Takes one token; what is left. RateLimited when there is none, saying when there will be one."""
        now = self._now_s()
        tokens, at = self._buckets.get(user_id, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - at) * self._per_second)
        if tokens < 1:
            self._buckets[user_id] = (tokens, now)
            self._buckets.move_to_end(user_id)
            wait_ms = math.ceil((1 - tokens) / self._per_second * 1000)
            raise RateLimited("too many requests of this user", retry_after_ms=wait_ms)
        self._buckets[user_id] = (tokens - 1, now)
        self._buckets.move_to_end(user_id)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        left = tokens - 1
        return Quota(int(left), math.ceil((self._burst - left) / self._per_second))
