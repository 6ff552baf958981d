"""What the tests of authentication share: time that passes when they say so, and the edge's way to ask."""

from rowbox.api.auth.authenticator import Authenticator
from rowbox.api.auth.claims import Claims


class Clock:
    """Seconds, for both clocks that authentication reads."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


async def claims_of(authenticator: Authenticator, authorization: str | None) -> Claims:
    """What the edge gets to know of a caller: from memory where it can."""
    return authenticator.remembered(authorization) or await authenticator.authenticate(authorization)
