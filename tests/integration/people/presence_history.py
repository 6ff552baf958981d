"""What was shown of who is online while Redis was away and came back, and what of it is wrong. Pure.

Times are of one clock, time.monotonic() of the test's process.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

RIGHT_S: Final = 15.0
"""After Redis is back, all that is shown is right within this time, as is promised."""
JUDGED_S: Final = 4 * RIGHT_S
"""A busy machine is judged far from it (docs/testing.md). At its own pace it is shown in virtual time, by
tests/unit/cacheserver/ephemeral.
"""
_MOST_SHOWN: Final = 20


class Shown(NamedTuple):
    """An answer: whether a user is online, None where that is not known."""

    user_id: str
    asked_s: float
    online: bool | None


def presence_breaches(shown: Sequence[Shown], active: str, never: str, back_s: float) -> list[str]:
    """What is wrong: the first of it. `active` says all the time that he is there, `never` did not once. `back_s`: when
    Redis answered again, behind which somebody has looked for longer than JUDGED_S, or until all was right.
    """
    return [*_breaches(shown, active, never, back_s)][:_MOST_SHOWN]


def right_after(shown: Sequence[Shown], active: str, back_s: float) -> float | None:
    """How long after Redis was back the active one was shown as online, and has been ever since. None: he is not."""
    since: float | None = None
    for one in shown:
        if one.user_id == active and one.asked_s >= back_s:
            since = None if one.online is not True else one.asked_s if since is None else since
    return None if since is None else since - back_s


def _breaches(shown: Sequence[Shown], active: str, never: str, back_s: float) -> Iterator[str]:
    for one in shown:
        if one.user_id == never and one.online is True:
            yield f"online, and never was: {one}"
    took_s = right_after(shown, active, back_s)
    if took_s is None or took_s > JUDGED_S:
        late = [one for one in shown if one.user_id == active and one.asked_s > back_s]
        yield f"not right within {JUDGED_S:g} s: {took_s}, of {late[-3:]}"
