"""The headers of draft-ietf-httpapi-ratelimit-headers: what a user may do, and what is left of it.

    RateLimit-Policy: "send";q=60;w=12        60 requests at once; an empty bucket is full again after 12 s
    RateLimit: "send";r=59;t=1                59 left; full again in 1 s

The owner of a user keeps the buckets; this module only writes down what it says.
"""

import math
from typing import Final

from rowbox.api.http.problems import whole_seconds
from rowbox.cacheserver.port import Quota
from rowbox.mailbox.settings.config import LimitClass, RateLimitSettings

POLICY: Final = "RateLimit-Policy"
STATE: Final = "RateLimit"


class LimitHeaders:
    """The header lines of one class of requests. Where it has no limit, there are none."""

    def __init__(self, name: LimitClass, settings: RateLimitSettings) -> None:
        self._name = name
        self._policy: str | None = None
        limit = settings.of(name)
        if limit is not None:
            burst, per_second = limit
            self._policy = f'{POLICY}: "{name}";q={burst};w={math.ceil(burst / per_second)}\r\n'

    def lines(self, quota: Quota) -> str:
        """For an answer that used up a part of `quota`."""
        return self._lines(quota.remaining, quota.reset_s)

    def exceeded_lines(self, retry_after_ms: int) -> str:
        """For a refusal: nothing left, and when to come back."""
        return self._lines(0, whole_seconds(retry_after_ms))

    def _lines(self, remaining: int, reset_s: int) -> str:
        if self._policy is None:
            return ""
        return f'{self._policy}{STATE}: "{self._name}";r={remaining};t={reset_s}\r\n'
