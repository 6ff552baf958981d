"""Percentiles by the nearest rank: each is a value that was measured, none is interpolated."""

from collections.abc import Iterable, Sequence

SHOWN = (0.5, 0.9, 0.99, 0.999)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The least of the ascending `ordered` that at least `share` of them (0 to 1) do not exceed. IndexError: none."""
    rank = -int(-share * len(ordered) // 1)  # rounded up
    return ordered[max(0, rank - 1)]


def in_ms(latencies_s: Iterable[float]) -> list[float]:
    """Milliseconds, ascending."""
    return sorted(latency_s * 1000 for latency_s in latencies_s)


def shown(latencies_s: Iterable[float], shares: Sequence[float] = SHOWN) -> list[str]:
    """The percentiles `shares` and the longest latency, in milliseconds, as text for a table."""
    ordered = in_ms(latencies_s)
    return [f"{percentile(ordered, share):.2f}" for share in shares] + [f"{ordered[-1]:.2f}"]
