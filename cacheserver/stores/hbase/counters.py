"""What the connections to the gateways have done so far, as plain numbers for the metrics."""

from dataclasses import dataclass


@dataclass
class Counters:
    """Each only rises. Changed under the pool's lock; read without it."""

    reads: int = 0
    writes: int = 0
    read_round_trips: int = 0
    write_round_trips: int = 0
    connections_opened: int = 0
    failovers: int = 0
    deadline_misses: int = 0
    errors: int = 0
    """Answers that were errors, maybe of the gateway itself."""
    refusals: int = 0
    """Refusals of region servers that a gateway passed on: busy, over a quota, not serving."""
