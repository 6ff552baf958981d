"""Prometheus: the only module that knows its client library.

Other modules count in plain integers and offer them as Samples through a Source, so that nothing below `api/` imports
the library. Metrics that every process has (`process_*`) keep Prometheus's own names, so that common boards and alerts
find them. What several processes of one server count is one number (combined.py). Each server has a registry of its
own, because the library's global one would mix the servers of one test.
"""

import platform
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from rowbox import __version__
from rowbox.api.telemetry.combined import combined
from rowbox.api.telemetry.counters import BOUNDS_S, Counted, RouteCounters
from rowbox.api.telemetry.samples import Kind, Sample, Source

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_FAMILIES: dict[Kind, type[CounterMetricFamily] | type[GaugeMetricFamily]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
}


class _RowboxCollector(Collector):
    def __init__(self, http: Counted, sources: Sequence[Source]) -> None:
        self._http = http
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        yield _build_info()
        yield from _http_families(self._http)
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for name, kind, text, labels, value in combined(sample for source in self._sources for sample in source()):
            family = families.get(name)
            if family is None:
                family = families[name] = _FAMILIES[kind](name, text, labels=tuple(labels))
            family.add_metric(list(labels.values()), value)
        yield from families.values()


def _build_info() -> Metric:
    info = GaugeMetricFamily("rowbox_build_info", "What runs: always 1.", labels=("version", "python"))
    info.add_metric([__version__, platform.python_version()], 1)
    return info


def _http_families(http: Counted) -> Iterator[Metric]:
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


def process_samples() -> Iterable[Sample]:
    """Memory, CPU and file descriptors of this process, of /proc."""
    for family in ProcessCollector(registry=None).collect():
        for sample in family.samples:
            kind: Kind = "counter" if family.type == "counter" else "gauge"
            yield Sample(sample.name, kind, family.documentation, dict(sample.labels), sample.value)


class Metrics:
    """All metrics that one server exports."""

    def __init__(self, http: Counted, sources: Sequence[Source] = ()) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_RowboxCollector(http, (*sources, process_samples)))

    def render(self) -> bytes:
        """The text that Prometheus scrapes, of type CONTENT_TYPE."""
        return generate_latest(self._registry)
