"""One number that a part of the server counts, and whoever gives such numbers."""

from collections.abc import Iterable
from typing import Literal, NamedTuple, Protocol

Kind = Literal["counter", "gauge"]


class Sample(NamedTuple):
    """One number. `name` starts with rowbox_ and ends in its base unit, a counter's in _total; no user ids in labels.

    A plain tuple (name, kind, help, labels, value) of the same shape will do: a source need not import this module.
    """

    name: str
    kind: Kind
    help: str
    labels: dict[str, str]
    value: float


class Source(Protocol):
    """A part of the server that counts something. It is called on the event loop at each scrape, so it is cheap."""

    def __call__(self) -> Iterable[tuple[str, Kind, str, dict[str, str], float]]: ...
