"""Several processes that count as one server: what they count is added up, and does not fall when one of them ends.

Each process gives a Report of all that it counts, again and again. Counters of a process that ended stay in the sums
as they were last reported; its gauges go with it. Most gauges are parts of a whole (connections, bytes) and are added
as counters are. Of those in ONE_FOR_ALL each process has the whole.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from rowbox.api.telemetry.counters import Counted, HttpCounters, RouteCounters
from rowbox.api.telemetry.samples import Kind, Sample, Source

ONE_FOR_ALL: Final[Mapping[str, Callable[[float, float], float]]] = {
    "process_start_time_seconds": min,
    "rowbox_auth_keys": min,
    "rowbox_auth_keys_left_out": max,
    "rowbox_auth_keys_age_seconds": max,
    "rowbox_auth_keys_max_age_seconds": max,
    "rowbox_auth_keys_valid": min,
    "rowbox_link_round_trip_seconds": max,
    "rowbox_ephemeral_up": min,
}
"""Gauges of which the value of one process stands for all: the one that an operator would want to hear of."""
_Plain = tuple[str, Kind, str, dict[str, str], float]


class RouteReport(msgspec.Struct, frozen=True, array_like=True):
    """What a process has counted of one route and method: see RouteCounters."""

    route: str
    method: str
    by_status: dict[int, int]
    buckets: Sequence[int]
    sum_s: float


class Report(msgspec.Struct, frozen=True, array_like=True):
    """All that one process counts, as of one moment."""

    routes: Sequence[RouteReport] = ()
    samples: Sequence[_Plain] = ()


def report_of(http: Counted, sources: Iterable[Source]) -> Report:
    """The report of this process."""
    samples = [sample for source in sources for sample in source()]
    return Report([_report(route) for route in http.routes], samples)


def combined(samples: Iterable[_Plain]) -> list[Sample]:
    """The samples with each series once, in the order in which they first came."""
    found: dict[tuple[str, tuple[str, ...]], Sample] = {}
    for one in map(Sample._make, samples):
        series = (one.name, tuple(one.labels.values()))
        other = found.get(series)
        if other is None:
            found[series] = one
        else:
            join = ONE_FOR_ALL.get(one.name)
            value = other.value + one.value if join is None else join(other.value, one.value)
            found[series] = other._replace(value=value)
    return list(found.values())


class Combined:
    """What other processes reported, added up. It is a Counted, and `samples` is a Source."""

    def __init__(self) -> None:
        self._latest: dict[Hashable, Report] = {}
        self._ended_routes = HttpCounters()
        self._ended_samples: list[Sample] = []

    def heard(self, process: Hashable, report: Report) -> None:
        """Takes the newest report of a process; its counters are never lower than in the one before."""
        self._latest[process] = report

    def ended(self, process: Hashable) -> None:
        """Keeps what the process has counted, and forgets its gauges. Does nothing for one that never reported."""
        report = self._latest.pop(process, None)
        if report is not None:
            _add(self._ended_routes, report.routes)
            counters = [sample for sample in report.samples if sample[1] == "counter"]
            self._ended_samples = combined([*self._ended_samples, *counters])

    @property
    def routes(self) -> Iterable[RouteCounters]:
        """The counters of all routes, of all processes together."""
        together = HttpCounters()
        _add(together, map(_report, self._ended_routes.routes))
        for report in self._latest.values():
            _add(together, report.routes)
        return together.routes

    def samples(self) -> Iterable[Sample]:
        """The samples of all processes together."""
        latest = [sample for report in self._latest.values() for sample in report.samples]
        return combined([*self._ended_samples, *latest])


def _report(route: RouteCounters) -> RouteReport:
    return RouteReport(route.route, route.method, route.by_status, route.buckets, route.sum_s)


def _add(counters: HttpCounters, reports: Iterable[RouteReport]) -> None:
    for report in reports:
        counters.route(report.route, report.method).add(report.by_status, report.buckets, report.sum_s)
