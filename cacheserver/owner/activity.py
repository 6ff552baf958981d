"""What an owner does: in numbers of the last seconds, which its server tells the others with each beat."""

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from rowbox.cacheserver.clocks import NowS
from rowbox.cacheserver.commit.durations import quantile_s
from rowbox.cacheserver.owner.owner import Owner

WINDOW_S: Final = 10.0
SLOWEST: Final = 0.99


class Activity(NamedTuple):
    """`sends_per_s`, `fetches_per_s` and `commit_p99_ms` (99 in 100 writing store calls took no longer, a class of
    durations rounded up) are of the last WINDOW_S.
    """

    sends_per_s: float
    fetches_per_s: float
    mailboxes: int
    commit_p99_ms: float


class _Moment(NamedTuple):
    at_s: float
    sends: int
    fetches: int
    durations: Sequence[int]


class ActivityMeter:
    """One owner's. `read` is to be called once in a second or so."""

    def __init__(self, owner: Owner, now_s: NowS) -> None:
        self._owner = owner
        self._now_s = now_s
        self._moments = deque([self._moment()])

    def read(self) -> Activity:
        """What the owner did since a moment WINDOW_S ago, or since the first call if that was later."""
        now = self._moment()
        while len(self._moments) > 1 and self._moments[1].at_s <= now.at_s - WINDOW_S:
            self._moments.popleft()
        then = self._moments[0]
        self._moments.append(now)
        elapsed_s = now.at_s - then.at_s
        per_s = 1 / elapsed_s if elapsed_s > 0 else 0.0
        return Activity(
            round((now.sends - then.sends) * per_s, 1),
            round((now.fetches - then.fetches) * per_s, 1),
            len(self._owner.table),
            round(quantile_s(SLOWEST, then.durations, now.durations) * 1000, 1),
        )

    def _moment(self) -> _Moment:
        owner = self._owner
        commits = owner.committer
        return _Moment(self._now_s(), commits.counters.sends, owner.fetches_begun, tuple(commits.durations.counts))
