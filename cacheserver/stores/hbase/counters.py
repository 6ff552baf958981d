"""What the connections to the gateways have done so far, as plain numbers for the metrics."""

from collections.abc import Iterable
from dataclasses import dataclass

from rowbox.cacheserver.samples import Sample


@dataclass
class Counters:
    """Counts since the store was opened; each only rises.

    The event loop counts reads and writes; the pool's threads count all else, under the pool's lock. The metrics read
    the counts without the lock: what is counted meanwhile is seen the next time.
    """

    reads: int = 0
    writes: int = 0
    read_round_trips: int = 0
    write_round_trips: int = 0
    connections_opened: int = 0
    failovers: int = 0
    deadline_misses: int = 0
    errors: int = 0
    """Answers that were errors, which may be the gateway's own."""
    refusals: int = 0
    """Refusals of region servers that a gateway passed on: busy, over a quota, not serving."""


def gateway_samples(counters: Counters) -> Iterable[Sample]:
    """The metrics of the connections to a cluster's gateways."""
    numbers = (
        ("rowbox_gateway_reads_total", "Reads through the gateways.", counters.reads),
        ("rowbox_gateway_writes_total", "Writes through the gateways.", counters.writes),
        (
            "rowbox_gateway_read_round_trips_total",
            "Round trips to the gateways that reads took.",
            counters.read_round_trips,
        ),
        (
            "rowbox_gateway_write_round_trips_total",
            "Round trips to the gateways that writes took.",
            counters.write_round_trips,
        ),
        ("rowbox_gateway_connections_total", "Connections opened to gateways.", counters.connections_opened),
        ("rowbox_gateway_failovers_total", "Times that another gateway was taken.", counters.failovers),
        (
            "rowbox_gateway_deadline_misses_total",
            "Calls to gateways that were given up at their deadline.",
            counters.deadline_misses,
        ),
        ("rowbox_gateway_errors_total", "Answers of gateways that were errors, maybe their own.", counters.errors),
        (
            "rowbox_gateway_refusals_total",
            "Refusals of region servers, passed on: busy, over a quota, not serving.",
            counters.refusals,
        ),
    )
    for name, text, value in numbers:
        yield name, "counter", text, {}, value
