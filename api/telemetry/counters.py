"""What the HTTP edge counts: plain integers, because a Prometheus counter costs as much as the rest of a small handler.

A route is its template, never a path, and HEAD counts as a GET, so the number of time series is bounded. All static
files share one route, because each route costs 17 series. Long polls count as requests but not in the histogram of
durations, which would else show how long clients are willing to wait.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

BOUNDS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram's buckets; one more bucket holds what is slower."""

STATIC_ROUTE: Final = "static"
"""The one route under which the pages and their files (api/web/pages.py) are counted."""

CLIENT_GONE: Final = 499
"""The status counted where the client left before its answer. It is nginx's number; nobody receives it."""


class RouteCounters:
    """The counters of one route and method."""

    __slots__ = ("buckets", "by_status", "method", "route", "sum_s")

    def __init__(self, route: str, method: str) -> None:
        self.route = route
        self.method = method
        self.by_status: dict[int, int] = {}
        self.buckets = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def answered(self, status: int, duration_s: float) -> None:
        """An ordinary request ended."""
        self.by_status[status] = self.by_status.get(status, 0) + 1
        self.buckets[bisect_left(BOUNDS_S, duration_s)] += 1
        self.sum_s += duration_s

    def poll_answered(self, status: int) -> None:
        """A request that was asked to wait ended."""
        self.by_status[status] = self.by_status.get(status, 0) + 1

    def add(self, by_status: Mapping[int, int], buckets: Sequence[int], sum_s: float) -> None:
        """Adds what was counted of the same route elsewhere."""
        for status, number in by_status.items():
            self.by_status[status] = self.by_status.get(status, 0) + number
        self.buckets = [own + other for own, other in zip(self.buckets, buckets, strict=True)]
        self.sum_s += sum_s


class Counted(Protocol):
    """What was counted of all routes, here or by processes that count as one (combined.py)."""

    @property
    def routes(self) -> Iterable[RouteCounters]: ...


class HttpCounters:
    """The counters of all routes of one process."""

    def __init__(self) -> None:
        self._by_route: dict[tuple[str, str], RouteCounters] = {}

    @property
    def routes(self) -> Iterable[RouteCounters]:
        return self._by_route.values()

    def route(self, route: str, method: str) -> RouteCounters:
        """The counters of a route and method. Endpoints ask for them when the application is built; several may share
        one.
        """
        return self._by_route.setdefault((route, method), RouteCounters(route, method))
