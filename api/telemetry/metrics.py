"""Prometheus: the only module that knows its client library.

Other modules count in plain integers and offer them as Samples through a Source, so that nothing below `api/` imports
the library. Metrics that every process has (`process_*`) keep Prometheus's own names, so that common boards and alerts
find them. Each server has a registry of its own, because the library's global one would mix the servers of one test.
"""

import platform
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from rowbox import __version__
from rowbox.api.telemetry.counters import BOUNDS_S, HttpCounters, RouteCounters

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_FAMILIES: dict[str, type[CounterMetricFamily] | type[GaugeMetricFamily]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
}


class Sample(NamedTuple):
    """One number. `name` starts with rowbox_ and ends in its base unit, a counter's in _total; no user ids in labels.

    A plain tuple (name, kind, help, labels, value) of the same shape will do: a source need not import this module.
    """

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: dict[str, str]
    value: float


class Source(Protocol):
    """A part of the server that counts something. It is called on the event loop at each scrape, so it is cheap."""

    def __call__(self) -> Iterable[tuple[str, Literal["counter", "gauge"], str, dict[str, str], float]]: ...


class _RowboxCollector(Collector):
    def __init__(self, http: HttpCounters, sources: Sequence[Source]) -> None:
        self._http = http
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        yield _build_info()
        yield from _http_families(self._http)
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for source in self._sources:
            for name, kind, text, labels, value in source():
                family = families.get(name)
                if family is None:
                    family = families[name] = _FAMILIES[kind](name, text, labels=tuple(labels))
                family.add_metric(list(labels.values()), value)
        yield from families.values()


def _build_info() -> Metric:
    info = GaugeMetricFamily("rowbox_build_info", "What runs: always 1.", labels=("version", "python"))
    info.add_metric([__version__, platform.python_version()], 1)
    return info


def _http_families(http: HttpCounters) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "rowbox_http_requests_total",
        "Requests answered; 499: the client left first.",
        labels=("route", "method", "status"),
    )
    durations = HistogramMetricFamily(
        "rowbox_http_request_duration_seconds",
        "Time from the request's header to its answer, long polls left out.",
        labels=("route", "method"),
    )
    for counters in http.routes:
        for status, number in counters.by_status.items():
            requests.add_metric([counters.route, counters.method, str(status)], number)
        durations.add_metric([counters.route, counters.method], _cumulative(counters), counters.sum_s)
    yield requests
    yield durations


def _cumulative(counters: RouteCounters) -> list[tuple[str, float]]:
    bounds = [*map(str, BOUNDS_S), "+Inf"]
    return list(zip(bounds, accumulate(counters.buckets), strict=True))


class Metrics:
    """All metrics that one server exports."""

    def __init__(self, http: HttpCounters, sources: Sequence[Source] = ()) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_RowboxCollector(http, sources))
        ProcessCollector(registry=self._registry)  # process_*: memory, CPU, file descriptors; of /proc

    def render(self) -> bytes:
        """The text that Prometheus scrapes, of type CONTENT_TYPE."""
        return generate_latest(self._registry)
