"""What the HTTP edge counts: plain integers, because a Prometheus counter costs as much as the rest of a small handler.

A route is its template, never a path, and HEAD counts as the GET that it is, so the number of series is bounded; all
static files share one, because each route costs 17 series. Long polls count as requests but not in the histogram of
durations: they would show how long clients are willing to wait.
"""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

BOUNDS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram's buckets; one more bucket holds what is slower."""

STATIC_ROUTE: Final = "static"
"""The pages and their files (pages.py): how one of them does, nobody asks of a time series."""

CLIENT_GONE: Final = 499
"""Counted where the client left before its answer (nginx's number; nobody receives it)."""


class RouteCounters:
    """One route and method."""

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


class HttpCounters:
    """All routes of one server."""

    def __init__(self) -> None:
        self._by_route: dict[tuple[str, str], RouteCounters] = {}

    @property
    def routes(self) -> Iterable[RouteCounters]:
        return self._by_route.values()

    def route(self, route: str, method: str) -> RouteCounters:
        """The counters of a route, for whoever answers on it when the application is built: one or several."""
        return self._by_route.setdefault((route, method), RouteCounters(route, method))
