"""The headers of draft-ietf-httpapi-ratelimit-headers: what a user may do, and what is left of it.

    RateLimit-Policy: "send";q=60;w=12        60 requests at once; an empty bucket is full again after 12 s
    RateLimit: "send";r=59;t=1                59 left; full again in 1 s

The owner of a user keeps the buckets; this module only writes down what it says.
"""

import math
from typing import Final, Literal

from rowbox.api.problems import whole_seconds
from rowbox.cacheserver.port import Quota
from rowbox.mailbox.config import RateLimitSettings

LimitClass = Literal["send", "fetch"]
POLICY: Final = "RateLimit-Policy"
STATE: Final = "RateLimit"


class LimitHeaders:
    """The headers of one class of requests. Where it has no limit, there are none."""

    def __init__(self, name: LimitClass, settings: RateLimitSettings) -> None:
        burst, per_second = settings.send_burst, settings.send_per_second
        if name == "fetch":
            burst, per_second = settings.fetch_burst, settings.fetch_per_second
        self._name = name
        self._policy: str | None = None
        if settings.enabled and burst and per_second:
            self._policy = f'"{name}";q={burst};w={math.ceil(burst / per_second)}'

    def add(self, headers: dict[str, str], quota: Quota | None) -> None:
        """For an answer that used up a part of `quota`."""
        if self._policy is not None and quota is not None:
            headers[POLICY] = self._policy
            headers[STATE] = f'"{self._name}";r={quota.remaining};t={quota.reset_s}'

    def add_exceeded(self, headers: dict[str, str], retry_after_ms: int) -> None:
        """For a refusal: nothing left, and when to come back."""
        if self._policy is not None:
            headers[POLICY] = self._policy
            headers[STATE] = f'"{self._name}";r=0;t={whole_seconds(retry_after_ms)}'
