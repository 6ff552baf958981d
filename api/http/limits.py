"""The headers of draft-ietf-httpapi-ratelimit-headers: what a user may do, and what is left of it.

    RateLimit-Policy: "send";q=60;w=12        60 requests at once; an empty bucket is full again after 12 s
    RateLimit: "send";r=59;t=1                59 left; full again in 1 s

The owner of a user keeps the token buckets; this module only writes their state into headers.
"""

import math
from typing import Final

from rowbox.api.http.problems import whole_seconds
from rowbox.cacheserver.port import Quota
from rowbox.mailbox.settings.config import LimitClass, RateLimitSettings

POLICY: Final = "RateLimit-Policy"
STATE: Final = "RateLimit"


class LimitHeaders:
    """The header lines of one class of requests. A class without a limit has no lines."""

    def __init__(self, name: LimitClass, settings: RateLimitSettings) -> None:
        self._name = name
        self._policy: str | None = None
        limit = settings.of(name)
        if limit is not None:
            burst, per_second = limit
            self._policy = f'{POLICY}: "{name}";q={burst};w={math.ceil(burst / per_second)}\r\n'

    def lines(self, quota: Quota) -> str:
        """The lines of an answer whose request used up a part of `quota`."""
        return self._lines(quota.remaining, quota.reset_s)

    def exceeded_lines(self, retry_after_ms: int) -> str:
        """The lines of a refusal: nothing is left, and there is something again in `retry_after_ms`."""
        return self._lines(0, whole_seconds(retry_after_ms))

    def _lines(self, remaining: int, reset_s: int) -> str:
        if self._policy is None:
            return ""
        return f'{self._policy}{STATE}: "{self._name}";r={remaining};t={reset_s}\r\n'
