"""What is counted of the links between processes: of one side, of all its links together, those that ended too.

Few series, whatever number of servers there is: which of them cannot be reached, the log says, and the operator's page.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

from rowbox.cacheserver.samples import Sample

Side = Literal["calls", "serves"]
Between = Literal["servers", "processes"]


class CountedLink(Protocol):
    """One link. Bytes are those of its messages, on this side."""

    @property
    def sent_bytes(self) -> int: ...

    @property
    def received_bytes(self) -> int: ...

    @property
    def in_flight(self) -> Mapping[str, int]:
        """Calls that are not answered yet, by lane."""
        ...

    @property
    def round_trip_s(self) -> float:
        """How long the last call that does nothing took; 0: none was made."""
        ...


class LinkCounts:
    """One side's. `between` is what the links are between: servers of a cluster, or processes of one server."""

    def __init__(self, side: Side, between: Between, lanes: Iterable[str], reasons: Iterable[str]) -> None:
        """Of `lanes` and `reasons`, those that are known beforehand, a zero is shown as well."""
        self._of: dict[str, str] = {"link": between, "side": side}
        self._is_caller = side == "calls"
        self._up: set[CountedLink] = set()
        self._ended_sent_bytes = self._ended_received_bytes = 0
        self.made = 0
        self._lanes = dict.fromkeys(lanes, 0)
        self.without_credit: Counter[str] = Counter(self._lanes)
        """Calls that were refused before they left, by lane."""
        self.refused: Counter[str] = Counter(dict.fromkeys(reasons, 0))
        """Connections of which no link came, by the reason that the handshake gave."""

    def began(self, link: CountedLink) -> None:
        """A link was made."""
        self._up.add(link)
        self.made += 1

    def ended(self, link: CountedLink) -> None:
        """The link is lost. Does nothing for one that was never made, or has ended before."""
        if link in self._up:
            self._up.remove(link)
            self._ended_sent_bytes += link.sent_bytes
            self._ended_received_bytes += link.received_bytes

    def samples(self) -> Iterable[Sample]:
        """For the metrics."""
        of, up = self._of, self._up
        yield "rowbox_links", "gauge", "Links to other processes that are up.", of, len(up)
        text = "Links that were made: the first one to each process, and each that followed one that was lost."
        yield "rowbox_links_made_total", "counter", text, of, self.made
        in_flight = Counter(self._lanes)
        for link in up:
            in_flight.update(link.in_flight)
        text = "Calls over links that are not answered yet, by their lane."
        for lane, calls in sorted(in_flight.items()):
            yield "rowbox_link_calls_in_flight", "gauge", text, {**of, "lane": lane}, calls
        sent_bytes = self._ended_sent_bytes + sum([link.sent_bytes for link in up])
        yield "rowbox_link_sent_bytes_total", "counter", "Bytes sent over links.", of, sent_bytes
        received_bytes = self._ended_received_bytes + sum([link.received_bytes for link in up])
        yield "rowbox_link_received_bytes_total", "counter", "Bytes received over links.", of, received_bytes
        text = "Connections of which no link came, by the reason of the refusal."
        for reason, refused in sorted(self.refused.items()):
            yield "rowbox_link_refusals_total", "counter", text, {**of, "reason": reason}, refused
        if self._is_caller:
            text = "Calls that were not sent, because their lane was full, by lane."
            for lane, refused in sorted(self.without_credit.items()):
                yield "rowbox_link_calls_refused_total", "counter", text, {**of, "lane": lane}, refused
            text = "How long a call that does nothing takes over the slowest link."
            longest_s = max([link.round_trip_s for link in up], default=0.0)
            yield "rowbox_link_round_trip_seconds", "gauge", text, of, longest_s
